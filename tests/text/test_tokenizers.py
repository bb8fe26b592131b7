"""Every kind of tokenizer: special ids, round trips, saving, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from keras_transformer.text import load_tokenizer, read_parallel, train_tokenizer

SIZES = {"sentencepiece": 75, "sentencepiece_bpe": 120, "wordpiece": 90, "whitespace": None}
REAL = Path(__file__).parents[3] / "shared" / "data" / "multi30k-bpe"


def corpus():
    rng = np.random.default_rng(0)
    syllables = [
        "ka",
        "lo",
        "mi",
        "ne",
        "ru",
        "sta",
        "ver",
        "bin",
        "dol",
        "qui",
        "fe",
        "pax",
        "thu",
        "ziw",
        "goj",
        "yh",
    ]
    words = ["".join(rng.choice(syllables, n)) for n in rng.integers(1, 4, 80)]
    words += ["the", "cat", "a", "dog"]
    lines = [" ".join(rng.choice(words, 6)) + " ." for _ in range(400)]
    return [*lines, "a rare é , and 3 of [ these ] ."]


@pytest.fixture(scope="module", params=SIZES)
def tokenizer(request):
    return train_tokenizer(request.param, corpus(), SIZES[request.param])


def as_lists(ids):
    return [row.tolist() for row in ids]


def test_special_ids_are_the_same_everywhere(tokenizer):
    special = tokenizer.pad_id, tokenizer.unknown_id, tokenizer.start_id, tokenizer.end_id
    assert special == (0, 1, 2, 3)
    assert len(set(tokenizer.vocabulary)) == tokenizer.vocabulary_size
    size = SIZES[tokenizer.kind]
    assert size is None or 0.95 * size <= tokenizer.vocabulary_size <= size


def test_text_comes_back(tokenizer):
    lines = corpus()[:20]
    ids = tokenizer.encode(lines)
    assert all(row.dtype == np.int32 and row.min() > 3 for row in ids)
    assert max(row.max() for row in ids) < tokenizer.vocabulary_size
    decoded = tokenizer.decode(ids)
    spaced = (
        [line.replace(".", " .") for line in decoded] if tokenizer.kind == "wordpiece" else decoded
    )
    assert spaced == lines


def test_even_rare_characters_are_known(tokenizer):
    [ids] = tokenizer.encode(corpus()[-1:])
    assert tokenizer.unknown_id not in ids


def test_empty_lines_and_nothing_at_all(tokenizer):
    empty, words, blank = tokenizer.encode(["", "the cat", "  "])
    assert len(empty) == len(blank) == 0 and len(words) > 0
    assert tokenizer.decode([empty, words]) == ["", "the cat"]
    assert tokenizer.encode([]) == [] and tokenizer.decode([]) == []


def test_decode_stops_at_the_end_and_drops_special_tokens(tokenizer):
    cat, dog = tokenizer.encode(["the cat", "a dog"])
    row = [0, 2, *cat, 3, *dog, 0, 0]
    assert tokenizer.decode(np.array([row, row])) == ["the cat"] * 2


def test_special_tokens_written_out_are_ordinary_text(tokenizer):
    written = ["[PAD] [UNK] [START] [END] <pad> <s> </s>", "the cat</s>", *tokenizer.vocabulary[:4]]
    for ids in tokenizer.encode(written):
        assert not {0, 2, 3} & set(ids.tolist())


def test_saved_and_loaded_gives_the_same_ids(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    lines = [*corpus(), "something Unseen ; ü", ""]
    assert as_lists(loaded.encode(lines)) == as_lists(tokenizer.encode(lines))
    assert (loaded.kind, loaded.vocabulary) == (tokenizer.kind, tokenizer.vocabulary)


def test_training_twice_gives_the_same_tokenizer(tokenizer):
    again = train_tokenizer(tokenizer.kind, corpus(), SIZES[tokenizer.kind])
    assert again.vocabulary == tokenizer.vocabulary


@pytest.mark.parametrize("kind", SIZES)
def test_lowercase_is_kept_with_the_tokenizer(kind, tmp_path):
    size = SIZES[kind]
    train_tokenizer(kind, [line.upper() for line in corpus()], size, lowercase=True).save(tmp_path)
    upper, lower = load_tokenizer(tmp_path).encode(["THE Cat", "the cat"])
    assert upper.tolist() == lower.tolist() and 1 not in upper


@pytest.mark.parametrize("kind", SIZES)
def test_a_vocabulary_larger_than_the_text_allows(kind):
    with pytest.raises(ValueError, match=r"at most [\d,]+ for this text.*99999") as error:
        train_tokenizer(kind, corpus(), 99999)
    most = int(str(error.value).split("at most ")[1].split()[0].replace(",", ""))
    assert train_tokenizer(kind, corpus(), most).vocabulary_size <= most


def test_sentencepiece_says_how_small_is_too_small():
    with pytest.raises(ValueError, match=r"at least \d+ for this text's characters"):
        train_tokenizer("sentencepiece", corpus(), 6)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"did you mean 'wordpiece'.*Received: kind='wordpeice'"):
        train_tokenizer("wordpeice", corpus(), 100)
    with pytest.raises(ValueError, match="Expected vocabulary_size"):
        train_tokenizer("sentencepiece", corpus())
    with pytest.raises(ValueError, match="4 special tokens"):
        train_tokenizer("whitespace", corpus(), 4)
    with pytest.raises(ValueError, match="no line with text"):
        train_tokenizer("wordpiece", ["", " "], 100)


def test_a_folder_that_holds_no_tokenizer(tmp_path):
    def refused():
        with pytest.raises(ValueError, match=f"{tmp_path}: not a tokenizer's folder"):
            load_tokenizer(tmp_path)

    refused()
    (tmp_path / "tokenizer.json").write_text("{not json")
    refused()
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": "of another library"}))
    refused()
    for kind, file in [("whitespace", "vocabulary.txt"), ("sentencepiece", "tokenizer.model")]:
        (tmp_path / "tokenizer.json").write_text(json.dumps({"kind": kind, "lowercase": False}))
        refused()
        (tmp_path / file).write_text("some\nother\nfile\nof words\n")
        refused()


def test_whitespace_order_size_and_joining():
    tokenizer = train_tokenizer("whitespace", ["b a c", "c a d", "a"])
    assert tokenizer.vocabulary[4:] == ["a", "c", "b", "d"]  # by frequency, then first seen
    assert train_tokenizer("whitespace", ["b a c", "c a d", "a"], 6).vocabulary[4:] == ["a", "c"]
    joined = train_tokenizer("whitespace", ["pul@@ ley sys@@ tem a@@ @@b"])
    assert joined.decode(joined.encode(["pul@@ ley sys@@ tem", "ley sys@@"])) == [
        "pulley system",
        "ley sys",
    ]


def test_whitespace_keeps_a_literal_special_token_apart():
    tokenizer = train_tokenizer("whitespace", ["<s> <s> a"])
    assert tokenizer.encode(["<s> a"])[0].tolist() == [4, 5]


def test_wordpiece_puts_punctuation_back():
    lines = ['He said: "don\'t, (ever) say 3.5!"', "A well-known l'eau, isn't it?"]
    tokenizer = train_tokenizer("wordpiece", lines * 20, 75)
    assert tokenizer.decode(tokenizer.encode(lines)) == lines


@pytest.mark.skipif(not REAL.exists(), reason=f"the real text {REAL} is not on this machine")
def test_multi30k_has_the_published_vocabulary():
    source, target = read_parallel(REAL / "train.en", REAL / "train.de")
    tokenizer = train_tokenizer("whitespace", source + target)
    assert tokenizer.vocabulary_size == 9712
    plain = [line.replace("@@ ", "") for line in target]
    assert tokenizer.decode(tokenizer.encode(target)) == plain
