"""Masked lines: the likeliest tokens, and whole lines of them."""

import itertools

import making
import numpy as np
import pytest
import tiny

from keras_transformer.tasks import MaskFiller


@pytest.fixture(scope="module")
def fill():
    return making.make(MaskFiller)


def shares_by_hand(fill, ids, place):
    """The probability of each word at a place of a row."""
    logits = tiny.forward(fill.model, [ids], [[place]])[0, 0].astype("float64")
    logits[fill.tokenizer.special_ids] = -np.inf
    shares = np.exp(logits) / np.exp(logits).sum()
    return {fill.tokenizer.vocabulary[i]: share for i, share in enumerate(shares) if share}


def row_of(fill, words):
    ids = {"[MASK]": fill.tokenizer.mask_id}
    return [2, *(ids.get(w, fill.tokenizer.encode([w])[0][0]) for w in words.split()), 3]


def test_candidates(fill):
    lines = ["a [MASK] runs", "[MASK] [MASK] the old [MASK]", "the small [MASK] is old and a dog"]
    found = fill.candidates(lines, n=3)
    for line, masks in zip(lines, found, strict=True):
        ids = row_of(fill, line)
        places = [i for i, token in enumerate(ids) if token == fill.tokenizer.mask_id]
        for place, best in zip(places, masks, strict=True):
            shares = shares_by_hand(fill, ids, place)
            expected = sorted(shares, key=shares.get, reverse=True)[:3]
            assert [token for token, _ in best] == expected
            np.testing.assert_allclose([p for _, p in best], [shares[t] for t in expected], 1e-5)
    assert fill.candidates(lines[0], n=3)[0][0][0] == found[0][0][0][0]
    [every] = fill.candidates("[MASK]", n=100)  # never a special token
    assert {token for token, _ in every} == {*making.WORDS}
    assert abs(sum(p for _, p in every) - 1) < 1e-6


def test_whole_lines_are_the_best_of_all_combinations(fill):
    line = "the [MASK] house [MASK]"
    first, second = fill.candidates(line, n=100)
    products = [
        (p * q, f"the {a} house {b}") for (a, p), (b, q) in itertools.product(first, second)
    ]
    expected = sorted(products, reverse=True)[:4]
    found = fill(line, n=4)
    assert [text for text, _ in found] == [text for _, text in expected]
    np.testing.assert_allclose([p for _, p in found], [p for p, _ in expected])
    assert [len(own) for own in fill([line, "[MASK]"])] == [5, 5]
    assert len(fill(line, n=1)) == 1


def test_what_cannot_be_filled(fill):
    long = "a " * 10 + "[MASK]"
    assert fill.problems(["a dog", "[MASK] dog", long]) == [
        "no [MASK] in it",
        None,
        "13 tokens, the model reads 12",
    ]
    with pytest.raises(ValueError, match=r"line 2: no \[MASK\] in it"):
        fill(["[MASK]", "a"])
    with pytest.raises(ValueError, match=r"line 1: no \[MASK\] in it"):  # the end is cut off
        fill(long, truncate=True)
    assert len(fill("[MASK] " + long, truncate=True)) == 5
    with pytest.raises(ValueError, match="n to be positive"):
        fill("[MASK]", n=0)
    with pytest.raises(ValueError, match="a tokenizer with a mask token"):
        MaskFiller(fill.model, making.tokenizer_of(None))


def test_length_of_a_run(tmp_path):
    folder = making.make_run(MaskFiller, tmp_path / "run", row_length=8)
    assert MaskFiller.load(folder).max_length == 8


def test_published_special_tokens(tmp_path):
    fill = MaskFiller.load(making.make_published(MaskFiller, tmp_path))
    tokenizer = fill.tokenizer
    [row] = fill._rows(["a [MASK] dog"])
    before, after = (ids.tolist() for ids in tokenizer.encode(["a", " dog"]))
    assert row == [tokenizer.start_id, *before, tokenizer.mask_id, *after, tokenizer.end_id]
    assert all(0 < p <= 1 for _, p in fill("a [MASK] dog"))
