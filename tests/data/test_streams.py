"""Rows of a stream: labels are one further on, and where rows begin is random or follows."""

import numpy as np
import pytest

from keras_transformer.data import StreamBatches

FIRST = 5  # token number i of the stream is i + 5


def make(count=1000, batch_size=4, row_length=8, **settings):
    ids = np.arange(FIRST, FIRST + count)
    return StreamBatches(ids, batch_size=batch_size, row_length=row_length, **settings)


def read(batches, epoch=0):
    """All batches of an epoch, each as an array of token_ids and labels, (2, B, T)."""
    found = []
    for token_ids, labels in batches.epoch(epoch):
        assert token_ids.dtype == labels.dtype == np.int32
        found.append(np.array([token_ids, labels]))
    return np.array(found)


def test_crops_are_of_the_stream_and_labels_are_one_further():
    batches = make()
    found = read(batches)
    assert found.shape == (999 // 32, 2, 4, 8) == (batches.num_batches, 2, 4, 8)
    assert (found[:, 1] == found[:, 0] + 1).all() and (np.diff(found) == 1).all()
    assert found.min() >= FIRST and found.max() < FIRST + 1000
    assert (batches.tokens, batches.padding_fraction) == (31 * 32, 0)


def test_crops_begin_everywhere_alike():
    counts = np.bincount(read(make(11, num_batches=500))[:, 0, :, 0].ravel() - FIRST)
    assert len(counts) == 3  # the places from which there is a row and its label
    sigma = (2000 * 1 / 3 * 2 / 3) ** 0.5
    assert (np.abs(counts - 2000 / 3) < 5 * sigma).all()


@pytest.mark.parametrize("num_batches", [None, 1, 7])
def test_an_epoch_has_so_many_batches(num_batches):
    assert len(read(make(num_batches=num_batches))) == (num_batches or 31)
    assert make(9, num_batches=num_batches).num_batches == (num_batches or 1)  # never none


@pytest.mark.parametrize("count", [2, 9, 10, 33, 34, 65, 1000])
def test_without_shuffle_every_token_but_the_first_is_a_label_once(count):
    batches = make(count, shuffle=False)
    found = read(batches)
    assert found.shape == (-(-(count - 1) // 32), 2, 4, 8) == (batches.num_batches, 2, 4, 8)
    token_ids, labels = found.transpose(1, 0, 2, 3).reshape(2, -1)
    expected = np.zeros(labels.size)
    expected[: count - 1] = np.arange(FIRST, FIRST + count - 1)
    np.testing.assert_array_equal(token_ids, expected)
    np.testing.assert_array_equal(labels, np.where(expected, expected + 1, 0))
    assert batches.tokens == np.count_nonzero(labels)
    assert batches.padding_fraction == pytest.approx(1 - batches.tokens / labels.size)
    np.testing.assert_array_equal(found, read(batches, 3))


def test_padding_has_the_given_id():
    found = read(make(10, shuffle=False, pad_id=-7))
    assert (found == -7).sum() == 2 * (32 - 9)


def test_crops_depend_on_the_seed_and_the_epoch_alone():
    batches = make(seed=3)
    first = read(batches, 1)
    read(batches, 2)
    np.testing.assert_array_equal(first, read(batches, 1))
    np.testing.assert_array_equal(first, read(make(seed=3), 1))
    assert (first != read(batches, 2)).any() and (first != read(make(seed=4), 1)).any()


def test_dataset_goes_on_from_any_place():
    batches = make(num_batches=5)
    expected = np.concatenate([read(batches, 3)[2:], read(batches, 4)[:1]])
    dataset = batches.dataset(initial_epoch=3, skip_batches=2).take(4)
    found = list(dataset.as_numpy_iterator())
    np.testing.assert_array_equal(found, expected)
    assert len(make(shuffle=False).dataset()) == 32


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_memory_map_of_small_integers(tmp_path, shuffle):
    expected = make(shuffle=shuffle)
    np.arange(FIRST, FIRST + 1000, dtype="uint16").tofile(tmp_path / "ids")
    ids = np.memmap(tmp_path / "ids", "uint16", "r")
    batches = StreamBatches(ids, batch_size=4, row_length=8, shuffle=shuffle)
    np.testing.assert_array_equal(read(batches), read(expected))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 8}, "at least 9 tokens. Received: 8"),
        ({"count": 1, "shuffle": False}, "at least 2 tokens. Received: 1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"row_length": 0}, "row_length=0"),
        ({"num_batches": 0}, "num_batches=0"),
        ({"num_batches": 3, "shuffle": False}, "num_batches=3"),
    ],
)
def test_what_makes_no_batches_is_refused(settings, message):
    with pytest.raises(ValueError, match=f"Expected .*{message}"):
        make(**settings)
