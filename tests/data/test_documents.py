"""Packed documents: every token is an input and a label once, and follows its own."""

import numpy as np
import pytest

from keras_transformer.data import DocumentBatches

START, END, FIRST = 2, 3, 10
T = 16


def make_documents(count=100, longest=40, seed=0):
    """Documents of tokens that occur nowhere else, each token the one before it and 1."""
    lengths = np.random.default_rng(seed).integers(1, longest, count)
    return np.split(np.arange(FIRST, FIRST + lengths.sum()), np.cumsum(lengths)[:-1])


def make(documents, batch_size=7, row_length=T, **settings):
    settings = {"start_id": START, "end_id": END, **settings}
    return DocumentBatches(documents, batch_size=batch_size, row_length=row_length, **settings)


def read(batches, epoch=0):
    """All rows of an epoch, token_ids and labels, (rows, 2, T)."""
    found = []
    for token_ids, labels in batches.epoch(epoch):
        assert token_ids.shape == labels.shape == (batches.batch_size, batches.row_length)
        assert token_ids.dtype == labels.dtype == np.int32
        found.append(np.stack([token_ids, labels], axis=1))
    assert len(found) == batches.num_batches
    return np.concatenate(found)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("row_length", [2, 16, 39, 40, 100])
def test_every_token_is_an_input_and_a_label_once(shuffle, row_length):
    documents = make_documents()
    batches = make([[], *documents], row_length=row_length, shuffle=shuffle)
    firsts, lasts = ([document[i] for document in documents] for i in (0, -1))
    for epoch in (0, 1):
        token_ids, labels = read(batches, epoch).transpose(1, 0, 2).reshape(2, -1)
        text, everything = token_ids[token_ids >= FIRST], np.concatenate(documents)
        np.testing.assert_array_equal(np.sort(text), everything)
        np.testing.assert_array_equal(np.sort(labels[labels >= FIRST]), everything)
        after = labels[token_ids >= FIRST]  # what a token predicts
        np.testing.assert_array_equal(after, np.where(np.isin(text, lasts), END, text + 1))
        begun = labels[token_ids == START]
        np.testing.assert_array_equal(np.sort(begun[begun > 0]), firsts)
        assert not labels[token_ids == 0].any()
    assert (batches.num_documents, batches.tokens) == (100, len(everything) + 100)
    assert batches.padding_fraction == pytest.approx(1 - batches.tokens / labels.size)


def test_long_documents_are_cut_into_full_pieces():
    lengths = [15, 16, 30, 31, 1]
    documents = np.split(np.arange(FIRST, FIRST + 93), np.cumsum(lengths)[:-1])
    batches = make(documents)
    assert batches.num_cut == 3
    pieces = []
    for token_ids, labels in read(batches):
        starts = np.flatnonzero(token_ids == START)
        assert len(starts) == 0 or starts[0] == 0
        real = np.count_nonzero(token_ids)
        assert token_ids[:real].all()
        pieces += [ids.tolist() for ids in np.split(token_ids[:real], starts)[1:]]
        for start in starts:  # it predicts a document's first token, and none within one
            assert labels[start] in (0, token_ids[start + 1])
    assert sorted(map(len, pieces)) == [2, 2, 2, *[16] * 6]  # 15 tokens and the start
    assert (batches.num_rows, batches.num_batches) == (7, 1)
    assert batches.describe() == (
        "5 documents (3 longer than a row) packed into 7 rows of 16, 98 labels in 1 batches, "
        "12.5 % padding"
    )


def test_rows_are_full():
    batches = make(make_documents(), batch_size=1)
    assert batches.padding_fraction < 0.12  # cut pieces' first labels, a fifteenth, included


def test_the_last_batch_ends_in_rows_of_padding():
    batches = make(make_documents(), batch_size=8, pad_id=-7)
    found = read(batches)
    assert batches.num_rows % 8 and len(found) % 8 == 0
    filled = (found != -7).any(axis=(1, 2))
    assert filled.sum() == batches.num_rows and not (found == 0).any()


def test_order_depends_on_seed_and_epoch_alone():
    documents = make_documents()
    batches = make(documents, seed=3)
    first = read(batches, 1)
    read(batches, 2)
    np.testing.assert_array_equal(first, read(batches, 1))
    np.testing.assert_array_equal(first, read(make(documents, seed=3), 1))
    assert (first != read(batches, 2)).any() and (first != read(make(documents, seed=4), 1)).any()
    still = make(documents, shuffle=False)
    np.testing.assert_array_equal(read(still, 0), read(still, 1))


def test_dataset_goes_on_from_any_place():
    batches = make(make_documents())
    n = batches.num_batches
    expected = np.concatenate([read(batches, 3)[7 * 2 :], read(batches, 4)[:7]])
    dataset = batches.dataset(initial_epoch=3, skip_batches=2).take(n - 2 + 1)
    found = [
        np.stack([token_ids, labels], axis=1) for token_ids, labels in dataset.as_numpy_iterator()
    ]
    np.testing.assert_array_equal(np.concatenate(found), expected)
    assert len(make(make_documents(), shuffle=False).dataset()) == n


def test_documents_may_be_lists():
    documents = make_documents()
    lists = [document.tolist() for document in documents]
    np.testing.assert_array_equal(read(make(lists)), read(make(documents)))


@pytest.mark.parametrize(
    ("documents", "settings", "message"),
    [
        ([], {}, "documents with tokens. Received: 0"),
        ([[], []], {}, "documents with tokens. Received: 2"),
        ([[5]], {"row_length": 1}, "at least 2. Received: row_length=1"),
        ([[5]], {"batch_size": 0}, "at least 1. Received: batch_size=0"),
    ],
)
def test_what_makes_no_batches_is_refused(documents, settings, message):
    with pytest.raises(ValueError, match=f"Expected .*{message}"):
        make(documents, **settings)
