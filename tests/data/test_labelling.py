"""Batches hold every text once with its label, in few shapes, in a reproducible order."""

import numpy as np
import pytest

from keras_transformer.data import LabelledBatches

START, END = 2, 3


def texts(count=1000, seed=0):
    """Texts of ids that tell which one they are, and labels that follow from the first id."""
    rng = np.random.default_rng(seed)
    ids = [np.full(rng.integers(1, 40), 10 + i, "int32") for i in range(count)]
    return ids, [i % 7 for i in range(count)]


def make(ids, labels, **settings):
    settings = {"batch_size": 32, "max_length": 30, "start_id": START, "end_id": END, **settings}
    return LabelledBatches(ids, labels, **settings)


def rows(batches):
    """All texts of some batches, unpadded, with their labels."""
    found = []
    for inputs, labels in batches:
        assert inputs["token_ids"].dtype == labels.dtype == np.int32
        for row, label in zip(inputs["token_ids"], labels, strict=True):
            real = np.count_nonzero(row)
            assert row[:real].all()
            found.append((row[:real].tolist(), int(label)))
    return found


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("count", [1, 31, 32, 1000])
def test_every_text_comes_once_with_its_label(shuffle, count):
    ids, labels = texts(count)
    batches = make(ids, labels, shuffle=shuffle)
    expected = [([START, *row[:28], END], n) for row, n in zip(ids, labels, strict=True)]
    assert sorted(rows(batches.epoch(0))) == sorted(expected)
    assert batches.num_texts == count
    assert batches.num_cut == sum(len(row) > 28 for row in ids)


def test_numbers_stay_numbers():
    ids, labels = texts(40)
    batches = make(ids, [label + 0.25 for label in labels], shuffle=False)
    found = np.concatenate([numbers for _, numbers in batches.epoch(0)])
    assert found.dtype == np.float32 and sorted(found) == sorted(label + 0.25 for label in labels)


def test_shapes_and_counts_hold_in_every_epoch():
    batches = make(*texts())
    assert len(batches.shapes) <= 8 and batches.num_batches == 32
    for epoch in (0, 1, 5):
        found = [inputs["token_ids"] for inputs, _ in batches.epoch(epoch)]
        assert {ids.shape for ids in found} == set(batches.shapes)
        assert len(found) == batches.num_batches
        assert sorted({len(ids) for ids in found}) == [1000 % 32, 32]
        real = sum(np.count_nonzero(ids) for ids in found)
        assert real == batches.tokens
        positions = sum(ids.size for ids in found)
        assert np.isclose(1 - real / positions, batches.padding_fraction)
    assert batches.padding_fraction < 0.12 < 1 - real / (1000 * 30)


def test_order_depends_on_seed_and_epoch_alone():
    ids, labels = texts(200)
    first = rows(make(ids, labels).epoch(3))
    assert rows(make(ids, labels).epoch(3)) == first
    assert rows(make(ids, labels).epoch(4)) != first
    assert rows(make(ids, labels, seed=1).epoch(3)) != first
    still = make(ids, labels, shuffle=False)
    assert rows(still.epoch(0)) == rows(still.epoch(1))


def test_rows_meet_others_in_other_epochs():
    batches = make(*texts(200))
    neighbours = [
        {frozenset(inputs["token_ids"][:, 1].tolist()) for inputs, _ in batches.epoch(number)}
        for number in (0, 1)
    ]
    assert neighbours[0] != neighbours[1]


def test_dataset_goes_on_anywhere():
    batches = make(*texts(200))
    whole = [rows([batch]) for number in (2, 3) for batch in batches.epoch(number)]
    taken = batches.dataset(initial_epoch=2, skip_batches=3).take(5).as_numpy_iterator()
    assert [rows([batch]) for batch in taken] == whole[3:8]
    assert len(make(*texts(200), shuffle=False).dataset()) == batches.num_batches


def test_segments_and_empty_texts():
    batches = make([[], [5, 6]], [1, 0], segments=True, pad_id=9)
    [(inputs, labels)] = batches.epoch(0)
    assert inputs["segment_ids"].shape == inputs["token_ids"].shape == (2, 4)
    assert not inputs["segment_ids"].any()
    assert inputs["token_ids"][labels == 1].tolist() == [[START, END, 9, 9]]


@pytest.mark.parametrize(
    ("ids", "labels", "settings"),
    [([], [], {}), ([[5]], [0, 1], {}), ([[5]], [0], {"max_length": 2}),
     ([[5]], [0], {"batch_size": 0})],
)  # fmt: skip
def test_what_makes_no_batches_is_refused(ids, labels, settings):
    with pytest.raises(ValueError, match=r"Expected .* Received"):
        make(ids, labels, **settings)
