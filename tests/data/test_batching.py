"""Batches hold every pair once, within the budget, in few shapes, in a reproducible order."""

from pathlib import Path

import keras
import numpy as np
import pytest

from keras_transformer.data import PairBatches, length_batches

REAL = Path(__file__).parents[3] / "shared" / "data" / "multi30k-bpe"
START, END = 2, 3


def pairs(count=3000, seed=0):
    """Sentences of distinct ids, lengths correlated as in translation."""
    rng = np.random.default_rng(seed)
    lengths = rng.poisson(rng.gamma(6, 2, count)) + 1
    others = np.maximum(lengths + rng.integers(-3, 4, count), 1)
    source = [np.full(n, 4 + i, "int32") for i, n in enumerate(lengths)]
    target = [np.r_[4 + i, np.arange(n - 1) + 10].astype("int32") for i, n in enumerate(others)]
    return source, target


def make(source, target, batch_tokens=512, **settings):
    settings = {"start_id": START, "end_id": END, **settings}
    return PairBatches(source, target, batch_tokens=batch_tokens, **settings)


def unpadded(ids):
    rows = [row[: np.count_nonzero(row)] for row in ids]
    assert all(
        (row == 0).sum() == len(row) - len(real) for row, real in zip(ids, rows, strict=True)
    )
    return [real.tolist() for real in rows]


def read(batches):
    """All pairs of some batches, as (source, target_ids, labels) tuples."""
    found = []
    for inputs, labels in batches:
        columns = map(unpadded, (inputs["source_ids"], inputs["target_ids"], labels))
        found += [row for row in zip(*columns, strict=True) if any(row)]
    return found


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_tokens", [64, 512, 100_000])
def test_every_pair_comes_once_in_the_right_form(shuffle, batch_tokens):
    source, target = pairs(800)
    batches = make(source, target, batch_tokens, shuffle=shuffle)
    expected = [
        ([*s.tolist(), END], [START, *t.tolist()], [*t.tolist(), END])
        for s, t in zip(source, target, strict=True)
        if max(len(s), len(t)) < batch_tokens
    ]
    assert sorted(read(batches.epoch(0))) == sorted(expected)
    assert batches.num_pairs == len(expected) == 800 - batches.dropped_long


def test_budget_shapes_and_counts():
    source, target = pairs()
    batches = make(source, target, max_shapes=20)
    assert len(set(batches.shapes)) <= 20
    shapes, positions, real, labels_real, count = set(), 0, 0, 0, 0
    for inputs, labels in batches.epoch(3):
        (b, s), (b_target, t) = inputs["source_ids"].shape, labels.shape
        assert b == b_target and inputs["target_ids"].shape == labels.shape
        assert b * s <= 512 and b * t <= 512
        assert labels.dtype == inputs["source_ids"].dtype == inputs["target_ids"].dtype == np.int32
        assert labels.any()
        shapes.add((b, s, t))
        count += 1
        positions += inputs["source_ids"].size + labels.size
        real += np.count_nonzero(inputs["source_ids"]) + np.count_nonzero(labels)
        labels_real += np.count_nonzero(labels)
    assert shapes == set(batches.shapes)
    assert count == batches.num_batches
    assert labels_real == batches.target_tokens
    assert np.isclose(1 - real / positions, batches.padding_fraction)
    assert batches.padding_fraction < 0.1


def same(first, second):
    return all(
        np.array_equal(a, b)
        for x, y in zip(first, second, strict=True)
        for a, b in zip(keras.tree.flatten(x), keras.tree.flatten(y), strict=True)
    )


def test_order_depends_on_seed_and_epoch_alone():
    data = pairs(600)
    batches = make(*data, seed=5)
    first = list(batches.epoch(1))
    list(batches.epoch(2))
    assert same(first, batches.epoch(1)) and same(first, make(*data, seed=5).epoch(1))
    company = [
        {frozenset(inputs["source_ids"][:, 0].tolist()) for inputs, _ in epoch}
        for epoch in (first, batches.epoch(2), make(*data, seed=6).epoch(1))
    ]
    assert not company[0] & company[1] and not company[0] & company[2]  # rows meet other rows
    still = make(*data, shuffle=False)
    assert same(still.epoch(0), still.epoch(1))


def test_dataset_goes_on_from_any_place():
    batches = make(*pairs(400))
    n = batches.num_batches
    expected = [*batches.epoch(3)][5:] + [*batches.epoch(4)] + [*batches.epoch(5)][:2]
    dataset = batches.dataset(initial_epoch=3, skip_batches=5)
    assert same(expected, dataset.take(2 * n - 3).as_numpy_iterator())
    assert same(expected[:3], dataset.take(3).as_numpy_iterator())  # a second look changes nothing
    assert dataset.cardinality() < 0 and not dataset.element_spec[1].shape.is_fully_defined()


def test_validation_is_one_pass_of_known_length():
    batches = make(*pairs(400), shuffle=False)
    dataset = batches.dataset()
    assert int(dataset.cardinality()) == batches.num_batches
    for _ in range(2):
        assert same(batches.epoch(0), dataset.as_numpy_iterator())


class LastBatch(keras.metrics.Metric):
    """A number that tells batches apart, as Keras reports it after each."""

    def __init__(self):
        super().__init__(name="last_batch")
        self.value = self.add_variable((), "zeros", dtype="float32")

    def update_state(self, labels, predicted, sample_weight=None):
        self.value.assign(keras.ops.sum(keras.ops.cast(labels[0], "float32")))

    def result(self):
        return self.value + 0


def test_fit_goes_on_in_the_middle_and_sees_a_new_order_every_epoch():
    batches = make(*pairs(60), batch_tokens=128)
    source_ids = keras.Input((None,), dtype="int32", name="source_ids")
    target_ids = keras.Input((None,), dtype="int32", name="target_ids")
    share = keras.ops.mean(keras.ops.cast(source_ids, "float32"))
    predicted = keras.layers.Embedding(100, 2)(target_ids) * share
    model = keras.Model([source_ids, target_ids], predicted)
    model.compile("sgd", lambda labels, x: keras.ops.mean(x), metrics=[LastBatch()])
    seen = []
    report = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(float(logs["last_batch"]))
    )
    settings = {"steps_per_epoch": batches.num_batches, "callbacks": [report], "verbose": 0}
    model.fit(batches.dataset(1, skip_batches=3), epochs=2, shuffle=False, **settings)
    expected = [float(labels[0].sum()) for epoch in (1, 2, 3) for _, labels in batches.epoch(epoch)]
    assert seen == expected[3 : 3 + 2 * batches.num_batches]


def test_dropped_pairs_are_counted():
    source = [[5] * 4, [5] * 5, [], [5], [5] * 9, []]
    target = [[6] * 4, [6] * 3, [6], [], [6], []]
    batches = make(source, target, max_length=5)
    assert (batches.num_pairs, batches.dropped_long, batches.dropped_empty) == (1, 2, 3)
    assert "1 pairs (dropped: 2 too long, 3 empty)" in batches.describe()


def test_unusable_pairs_are_refused():
    with pytest.raises(ValueError, match=r"len\(source\)=1, len\(target\)=2"):
        make([[5]], [[5], [6]])
    with pytest.raises(ValueError, match="1 too long and 1 empty"):
        make([[5] * 9, []], [[5], [6]], max_length=5)
    with pytest.raises(ValueError, match="Received: 0 pairs"):
        make([], [])


@pytest.mark.parametrize("end_id", [None, END])
def test_length_batches_give_every_row_its_place(end_id):
    ids = [row.tolist() for row in pairs(500)[0]] + [[], []]
    found, shapes = {}, set()
    for rows, batch in length_batches(ids, batch_tokens=256, end_id=end_id, max_length=49):
        assert batch.size <= 256 and batch.dtype == np.int32 and len(rows) > 0
        assert not batch[len(rows) :].any()
        shapes.add(batch.shape)
        found |= dict(zip(rows.tolist(), unpadded(batch[: len(rows)]), strict=True))
    widths = {width for _, width in shapes}
    assert widths <= {16, 24, 32, 48, 49} and len(shapes) <= 2 * len(widths)
    added = [] if end_id is None else [end_id]
    assert [found[i] for i in range(len(ids))] == [row + added for row in ids]


def test_length_batches_of_odd_input():
    assert list(length_batches([], batch_tokens=8)) == []
    [(rows, batch)] = length_batches([[]], batch_tokens=8)
    assert rows.tolist() == [0] and batch.tolist() == [[0] * 16]
    [(_, batch)] = length_batches([[7] * 20], batch_tokens=8, max_length=22)
    assert batch.shape == (1, 22)  # longer than the budget: alone, not cut
    [(_, batch)] = length_batches([[7] * 20], batch_tokens=8, max_length=19)
    assert batch.shape == (1, 20)  # whoever reads it will say that it is too long


def test_all_lines_there_are_have_few_shapes():
    """Whatever is asked, and however often."""
    rng, shapes = np.random.default_rng(0), set()
    for _ in range(200):
        lengths = rng.integers(1, 513, rng.integers(1, 40))
        batches = length_batches([[7] * n for n in lengths], batch_tokens=2048, max_length=512)
        for rows, batch in batches:
            assert len(rows) <= len(batch) and max(lengths[rows]) <= batch.shape[1]
            shapes.add(batch.shape)
    assert len(shapes) <= 66


@pytest.mark.skipif(not REAL.exists(), reason=f"the real text {REAL} is not on this machine")
@pytest.mark.parametrize("batch_tokens", [4096, 8192])
def test_multi30k_is_padded_by_less_than_a_tenth(batch_tokens):
    from keras_transformer.text import read_parallel, train_tokenizer

    source, target = read_parallel(REAL / "train.en", REAL / "train.de")
    tokenizer = train_tokenizer("whitespace", source + target)
    batches = make(tokenizer.encode(source), tokenizer.encode(target), batch_tokens)
    assert batches.num_pairs == 29_000 and batches.target_tokens == 400_507 + 29_000
    assert batches.padding_fraction < 0.1 and len(batches.shapes) <= 40


@pytest.mark.parametrize("prefix", [[], [2]])
def test_sentences_get_the_tokens_that_the_model_wants(prefix):
    class Tokenizer:
        """Of letters; targets are in another vocabulary."""

        prefix_ids, decoder_start_id, end_id, pad_id = prefix, 7, 3, 0

        def encode(self, lines, first=10):
            return [np.array([ord(c) - ord("a") + first for c in line], "int32") for line in lines]

        def encode_target(self, lines):
            return self.encode(lines, first=50)

    settings = {"batch_tokens": 64, "shuffle": False}
    batches = PairBatches.of_text(Tokenizer(), ["ab", "", "c"], ["cab", "a", "b"], **settings)
    found = read(batches.epoch(0))
    assert sorted(found) == sorted(
        [
            ([*prefix, 10, 11, END], [7, *prefix, 52, 50, 51], [*prefix, 52, 50, 51, END]),
            ([*prefix, 12, END], [7, *prefix, 51], [*prefix, 51, END]),
        ]
    )  # a pair without words on one side is dropped
