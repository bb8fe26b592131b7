"""Rows of tokens of different lengths, as arrays."""

import numpy as np

from keras_transformer.checks import require


def pad_rows(rows, pad_id):
    """`(ids (B, T), lengths (B,))` ints of an array padded on the right or a list of lists."""
    if hasattr(rows, "to_list"):  # a RaggedTensor
        rows = rows.to_list()
    if isinstance(rows, (list, tuple)):
        require(
            all(np.ndim(row) == 1 for row in rows), "a list of rows, each a list of ids", ids=rows
        )
        rows = [_integers(row) for row in rows]
        lengths = np.array([len(row) for row in rows], "int32")
        ids = np.full((len(rows), lengths.max(initial=1)), pad_id)
        for row, length, filled in zip(rows, lengths, ids, strict=True):
            filled[:length] = row
        return ids, lengths
    ids = _integers(rows)
    require(ids.ndim == 2, "ids of shape (B, T)", shape=ids.shape)
    real = np.where(ids != pad_id, np.arange(1, ids.shape[1] + 1), 0)
    return ids, real.max(axis=1, initial=0).astype("int32")


def _integers(ids):
    """An array of ids, exactly as they are: int32 would make others of large ones."""
    ids = np.asarray(ids)
    whole = ids.astype("int64") if ids.dtype.kind in "iuf" else None
    require(whole is not None and (whole == ids).all(), "whole numbers as ids", ids=ids)
    return whole


def check_rows(ids, lengths, pad_id, vocabulary_size, may_start=False):
    """Refuses rows `ids (B, T)` that a model would silently read as others.

    These are ids that are no tokens, and padding on the left, which the positions would count. With
    `may_start` one `pad_id` at the front is the start of a text.
    """
    place = np.arange(ids.shape[1])
    outside = ((ids < 0) | (ids >= vocabulary_size)) & (place < lengths[:, None])
    require(
        not outside.any(),
        f"ids from 0 to {vocabulary_size - 1:,}, which are the vocabulary",
        id=int(ids[outside][0]) if outside.any() else None,
    )
    most = 1 + may_start
    left = (ids[:, :most] == pad_id).all(axis=1) & (lengths > most)
    require(
        not left.any(),
        "rows padded on the right, or a list of rows without padding",
        row=ids[left][0].tolist() if left.any() else None,
    )


def append_rows(ids, lengths, sequences, pad_id):
    """`(B, n, T + L)`: rows of `ids (B, T)` without padding, then their `sequences (B, n, L)`."""
    batch, count, new = sequences.shape
    rows = np.full((batch, count, ids.shape[1] + new), pad_id, "int32")
    for row, prompt, length, sequence in zip(rows, ids, lengths, sequences, strict=True):
        row[:, :length] = prompt[:length]
        row[:, length : length + new] = sequence
    return rows
