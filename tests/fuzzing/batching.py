"""Batches: every token exactly once, in shapes that are bounded."""

from collections import Counter

import numpy as np
from hypothesis import strategies as st

from fuzzing.judging import Target
from keras_transformer import data
from keras_transformer.data.packing import pack
from keras_transformer.text import train_tokenizer

IDS = {"start_id": 2, "end_id": 3}
SIZE = st.integers(0, 12)
SEED = st.integers(0, 3)


def rows(least=4, most=20, length=12, **options):
    """Rows of ids, lists or arrays."""
    row = st.lists(st.integers(least, most), max_size=length)
    return st.lists(st.one_of(row, row.map(lambda ids: np.array(ids, "int32"))), **options)


def counted(rows):
    return Counter(tuple(map(int, row)) for row in rows)


def without(row, *ids):
    return [i for i in row.tolist() if i not in ids]


def check_shapes(batches, first, epochs):
    """The same shapes in every epoch, as many batches as said."""
    assert all(len(epoch) == batches.num_batches for epoch in epochs)
    shapes = [Counter(first(batch).shape for batch in epoch) for epoch in epochs]
    assert shapes[0] == shapes[1]
    assert 0 <= batches.padding_fraction <= 1 and batches.describe()


def pairs(folder):
    source = st.tuples(
        st.lists(st.tuples(*[st.lists(st.integers(4, 20), max_size=12)] * 2), max_size=30),
        st.integers(-1, 60),
        st.one_of(st.none(), SIZE),
        st.booleans(),
        SEED,
        st.integers(1, 9),
    )

    def check(example):
        rows, batch_tokens, max_length, shuffle, seed, max_shapes = example
        sides = [row[0] for row in rows], [row[1] for row in rows]
        options = {"max_length": max_length, "shuffle": shuffle, "seed": seed}
        batches = data.PairBatches(
            *sides, batch_tokens=batch_tokens, max_shapes=max_shapes, **options, **IDS
        )
        limit = min(max_length or batch_tokens, batch_tokens)
        kept = [row for row in rows if min(map(len, row)) > 0 and max(map(len, row)) < limit]
        epochs = [list(batches.epoch(n)) for n in (0, 1)]
        check_shapes(batches, lambda batch: batch[0]["source_ids"], epochs)
        for epoch in epochs:
            found = []
            for inputs, labels in epoch:
                assert max(inputs["source_ids"].size, labels.size) <= batch_tokens
                for a, b, c in zip(inputs["source_ids"], inputs["target_ids"], labels, strict=True):
                    assert without(b, 0, 2) == without(c, 0, 3)
                    found.append((*without(a, 0), 0, *without(c, 0)))
            filled = Counter(found)
            del filled[(0,)]
            assert filled == counted((*a, 3, 0, *b, 3) for a, b in kept)
            shapes = {(*i["source_ids"].shape, labels.shape[1]) for i, labels in epoch}
            assert shapes <= set(batches.shapes) and len(shapes) <= max_shapes

    return source, check


def labelled(folder):
    number = st.one_of(st.integers(0, 5), st.floats(-9, 9, width=32))
    source = st.tuples(
        st.lists(st.tuples(st.lists(st.integers(4, 20), max_size=9), number), max_size=20),
        *(SIZE, SIZE, st.booleans(), SEED, st.integers(2, 6)),
    )

    def check(example):
        rows, batch_size, max_length, shuffle, seed, max_shapes = example
        texts, labels = [text for text, _ in rows], [label for _, label in rows]
        batches = data.LabelledBatches(
            texts,
            labels,
            batch_size=batch_size,
            max_length=max_length,
            shuffle=shuffle,
            seed=seed,
            max_shapes=max_shapes,
            **IDS,
        )
        epochs = [list(batches.epoch(n)) for n in (0, 1)]
        check_shapes(batches, lambda batch: batch[0]["token_ids"], epochs)
        for epoch in epochs:
            found = [
                (*without(row, 0), float(label))
                for inputs, labels in epoch
                for row, label in zip(inputs["token_ids"], labels, strict=True)
            ]
            wanted = [(2, *t[: max_length - 2], 3, float(np.float32(n))) for t, n in rows]
            assert Counter(found) == Counter(wanted)
            shapes = {inputs["token_ids"].shape for inputs, _ in epoch}
            assert len(shapes) <= max_shapes and max(w for _, w in shapes) <= max_length

    return source, check


def masked(folder):
    words = train_tokenizer("whitespace", [" ".join(map(chr, range(97, 113)))], mask=True)
    source = st.tuples(
        rows(0, 20, max_size=15),
        st.integers(0, 6),
        st.integers(5, 14),
        st.sampled_from([0.15, 0.15, 0.5, 0.5, 1.0, 1e-9, 0.0, -1.0, float("nan")]),
        *(st.booleans(), st.booleans(), st.booleans(), SEED),
    )

    def check(example):
        lines, batch_size, row_length, rate, whole, sentences, shuffle, seed = example
        lines = [[i for i in line if i not in (0, 2, 3, 4)] for line in lines]
        batches = data.MaskedBatches(
            lines,
            words,
            batch_size=batch_size,
            row_length=row_length,
            mask_rate=rate,
            whole_words=whole,
            next_sentence=sentences,
            shuffle=shuffle,
            seed=seed,
        )
        epochs = [list(batches.epoch(n)) for n in (0, 1)]
        check_shapes(batches, lambda batch: batch[0]["token_ids"], epochs)
        for epoch in epochs:
            found = []
            for inputs, labels in epoch:
                labels = labels[0] if sentences else labels
                ids, places = inputs["token_ids"].copy(), inputs["masked_positions"]
                assert ids.shape == (batch_size, row_length) and places.shape == labels.shape
                for row, where, truth in zip(ids, places, labels, strict=True):
                    assert len({*where[truth > 0].tolist()}) == (truth > 0).sum()
                    row[where[truth > 0]] = truth[truth > 0]
                    found += without(row, 0, 2, 3)
            if not sentences:
                assert Counter(found) == Counter(i for line in lines for i in map(int, line))

    return source, check


def streams(folder):
    source = st.tuples(
        st.lists(st.integers(4, 20), max_size=60),
        *(SIZE, SIZE, st.one_of(st.none(), SIZE), st.booleans(), SEED),
    )

    def check(example):
        ids, batch_size, row_length, num_batches, shuffle, seed = example
        options = {"num_batches": num_batches, "shuffle": shuffle, "seed": seed}
        batches = data.StreamBatches(ids, batch_size=batch_size, row_length=row_length, **options)
        epochs = [list(batches.epoch(n)) for n in (0, 1)]
        check_shapes(batches, lambda batch: batch[0], epochs)
        text = " ".join(map(str, ids))
        for epoch in epochs:
            assert all(x.shape == y.shape == (batch_size, row_length) for x, y in epoch)
            if not shuffle:
                assert [i for _, labels in epoch for i in without(labels.ravel(), 0)] == ids[1:]
                assert [i for inputs, _ in epoch for i in without(inputs.ravel(), 0)] == ids[:-1]
                continue
            for inputs, labels in epoch:
                for x, y in zip(inputs.tolist(), labels.tolist(), strict=True):
                    assert " ".join(map(str, [*x, y[-1]])) in text and x[1:] == y[:-1]

    return source, check


def documents(folder):
    source = st.tuples(rows(max_size=15), SIZE, SIZE, st.booleans(), SEED)

    def check(example):
        texts, batch_size, row_length, shuffle, seed = example
        options = {"shuffle": shuffle, "seed": seed, **IDS}
        batches = data.DocumentBatches(
            texts, batch_size=batch_size, row_length=row_length, **options
        )
        epochs = [list(batches.epoch(n)) for n in (0, 1)]
        check_shapes(batches, lambda batch: batch[0], epochs)
        wanted = Counter(int(i) for text in texts if len(text) for i in [*text, 3])
        for epoch in epochs:
            assert all(x.shape == y.shape == (batch_size, row_length) for x, y in epoch)
            assert Counter(i for _, labels in epoch for i in without(labels.ravel(), 0)) == wanted

    return source, check


def lengths(folder):
    end = st.one_of(st.none(), st.just(3))
    source = st.tuples(rows(max_size=20, length=40), st.integers(-1, 90), end, SIZE)

    def check(example):
        ids, batch_tokens, end_id, most = example
        options = {"end_id": end_id, "max_length": most if most > 0 else None}
        ends = [end_id] * (end_id is not None)
        found, widths = {}, set()
        for places, batch in data.length_batches(ids, batch_tokens=batch_tokens, **options):
            assert batch.size <= batch_tokens or len(batch) == 1
            widths.add(batch.shape[1])
            for place, row in zip(places.tolist(), batch, strict=False):
                assert place not in found
                found[place] = without(row, 0)
        assert found == {n: [*map(int, row), *ends] for n, row in enumerate(ids)}
        assert len(widths) < 8 + 40 * bool(options["max_length"])

    return source, check


def packing(folder):
    source = st.tuples(st.lists(st.integers(0, 30), max_size=40), st.integers(0, 30))

    def check(example):
        lengths, room = example
        found = pack(lengths, room)
        assert sorted(i for row in found for i in row) == list(range(len(lengths)))
        assert all(sum(lengths[i] for i in row) <= room for row in found)

    return source, check


def held_out(folder):
    items = st.lists(st.text("abcdefghijklmnopqrstuvwxyz", max_size=2), max_size=60)
    items = st.one_of(items, items.map(lambda few: [*few, *"0123456789"]))

    def check(example):
        items, seed, count = example
        rest, held = data.hold_out(items, seed, count)
        assert held and not {*rest} & {*held} and {*rest} | {*held} == {*items}
        assert len(held) == len({*held}) <= max(1, count)

    return st.tuples(items, SEED, st.integers(-1, 20)), check


TARGETS = {
    "batches of pairs": Target(10_000, pairs),
    "batches of labelled texts": Target(8_000, labelled),
    "batches with masks": Target(8_000, masked),
    "batches of a stream": Target(8_000, streams),
    "batches of documents": Target(8_000, documents),
    "batches by length": Target(8_000, lengths),
    "packing": Target(8_000, packing),
    "held out": Target(6_000, held_out),
}
