"""Every kind of tokenizer, and the frames around its ids."""

import functools

import numpy as np
from hypothesis import strategies as st

from fuzzing import mutation
from fuzzing.judging import Target
from keras_transformer.text import load_tokenizer, train_tokenizer
from keras_transformer.text.frame import Frame
from keras_transformer.text.tokenizers import KINDS

WORDS = ["abc", "fed", "häh", "ab", "d", "hi", "cab@@", "gh@@"]
LINES = [" ".join(WORDS[i:] + WORDS[:i]) for i in range(8)] * 20
FAST = "sentencepiece", "sentencepiece_bpe", "whitespace", "character", "bpe"
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def normal(tokenizer, line):
    """What a line is after `decode(encode(line))`, or None where the kind promises nothing."""
    line = line.lower() if tokenizer.lowercase else line
    match tokenizer.kind:
        case "bpe":
            return line
        case "sentencepiece" | "sentencepiece_bpe":
            return line.replace("▁", " ") if tokenizer.lossless else None
        case "character":
            known = {*tokenizer.vocabulary[len(tokenizer.special_ids) :]}
            return "".join(c if c in known else "<unk>" for c in line)
        case "whitespace":
            known = {*tokenizer.vocabulary[len(tokenizer.special_ids) :]}
            return tokenizer.plain(" ".join(w if w in known else "<unk>" for w in line.split()))
    return None


def check_texts(tokenizer, loaded, lines):
    rows = tokenizer.encode(lines)
    for line, ids, again in zip(lines, rows, loaded.encode(lines), strict=True):
        assert ids.dtype == np.int32 and ids.ndim == 1
        assert ids.tolist() == again.tolist(), (ids, again)
        assert not len(ids) or 0 <= ids.min() <= ids.max() < tokenizer.vocabulary_size
        special = {*tokenizer.special_ids} - {tokenizer.unknown_id}
        assert not special & {*ids.tolist()}, ids
        starts = tokenizer.word_starts(ids)
        assert starts.shape == ids.shape and starts[:1].all()
        [found] = tokenizer.decode([ids])
        expected = normal(tokenizer, line)
        assert expected is None or found == expected, (found, expected)
    stream = "\n".join(lines)
    ids = tokenizer.encode_stream(stream)
    if tokenizer.lossless:
        assert tokenizer.decode([ids]) == [normal(tokenizer, stream)], ids
    else:
        kept = [line for line in stream.split("\n") if line.strip()]
        ends = np.flatnonzero(ids == tokenizer.end_id)
        assert len(ends) == len(kept)
        parts = np.split(ids, ends + 1)[:-1]
        assert tokenizer.decode(parts) == tokenizer.decode(tokenizer.encode(kept))


def texts(kind, lowercase, folder):
    tokenizer = train_tokenizer(kind, LINES, None, lowercase, mask=True)
    tokenizer.save(folder)
    loaded = load_tokenizer(folder)
    single = functools.partial(mutation.text, most=40)

    def source(rng):
        return [single(rng) for _ in range(rng.choice((1, 1, 1, 3)))]

    return source, lambda lines: check_texts(tokenizer, loaded, lines)


def words(kind, folder):
    """Lines of words that were learned from come back."""
    tokenizer = train_tokenizer(kind, LINES, mask=True)
    source = st.lists(st.lists(st.sampled_from(WORDS[:6]), max_size=5).map(" ".join), max_size=3)

    def check(lines):
        check_texts(tokenizer, tokenizer, lines)
        assert tokenizer.decode(tokenizer.encode(lines)) == list(map(tokenizer.plain, lines))

    return source, check


def learned(kind, folder):
    """A tokenizer is learned from any text."""
    source = st.tuples(
        st.lists(ANY, max_size=5),
        st.one_of(*[st.none()] * 3, st.integers(-1, 400)),
        st.booleans(),
        st.booleans(),
    )

    def check(example):
        lines, size, lowercase, mask = example
        tokenizer = train_tokenizer(kind, lines, size, lowercase, mask)
        assert size is None or tokenizer.vocabulary_size <= size
        tokenizer.save(folder)
        check_texts(tokenizer, load_tokenizer(folder), lines)

    return source, check


def frames(folder):
    ids = st.lists(st.integers(10, 20), max_size=9)
    special = st.lists(st.integers(1, 3), max_size=2)
    source = st.tuples(
        st.lists(special, min_size=3, max_size=3),
        st.lists(ids, min_size=1, max_size=2),
        st.one_of(st.none(), st.integers(-1, 20), st.sampled_from([2.5, "3", True])),
        st.booleans(),
        st.booleans(),
    )

    def check(example):
        (before, between, after), rows, most, odd, left = example
        pair = [(between, 0), (1, 1)][: 2 * len(rows) - 2]
        frame = Frame((before, 0), (0, 0), *pair, (after, 1), odd_to_first=odd)
        frame.check(most)
        found, segments = frame.fill(rows, most, left)
        assert found.shape == segments.shape and set(segments.tolist()) <= {0, 1}
        assert most is None or len(found) <= most
        kept = [i for i in found.tolist() if i >= 10]
        assert len(found) - len(kept) == frame.num_special
        room = sum(map(len, rows)) if most is None else most - frame.num_special
        assert len(kept) == min(room, sum(map(len, rows)))

    return source, check


TARGETS = {
    **{
        f"{kind}{', lower case' * lower}": Target(
            40_000 if kind in FAST else 2_000, functools.partial(texts, kind, lower)
        )
        for kind in KINDS
        for lower in (False, True)
        if kind in FAST or lower == (kind == "bert")
    },
    **{f"{kind}, words": Target(1_500, functools.partial(words, kind)) for kind in KINDS},
    **{
        f"{kind}, learned": Target(1_500 if kind in FAST else 60, functools.partial(learned, kind))
        for kind in KINDS
    },
    "frames": Target(8_000, frames),
}
