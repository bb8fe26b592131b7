"""Rows of tokens of different lengths, as arrays."""

import numpy as np

from keras_transformer.layers.arguments import require


def pad_rows(rows, pad_id):
    """`(ids (B, T), lengths (B,))` int32 of an array padded on the right or a list of lists."""
    if isinstance(rows, (list, tuple)):
        require(
            all(np.ndim(row) == 1 for row in rows), "a list of rows, each a list of ids", ids=rows
        )
        lengths = np.array([len(row) for row in rows], "int32")
        ids = np.full((len(rows), lengths.max(initial=1)), pad_id, "int32")
        for row, length, filled in zip(rows, lengths, ids, strict=True):
            filled[:length] = row
        return ids, lengths
    ids = np.asarray(rows, "int32")
    require(ids.ndim == 2, "ids of shape (B, T)", shape=ids.shape)
    real = np.where(ids != pad_id, np.arange(1, ids.shape[1] + 1), 0)
    return ids, real.max(axis=1, initial=0).astype("int32")


def append_rows(ids, lengths, sequences, pad_id):
    """`(B, n, T + L)`: rows of `ids (B, T)` without padding, then their `sequences (B, n, L)`."""
    batch, count, new = sequences.shape
    rows = np.full((batch, count, ids.shape[1] + new), pad_id, "int32")
    for row, prompt, length, sequence in zip(rows, ids, lengths, sequences, strict=True):
        row[:, :length] = prompt[:length]
        row[:, length : length + new] = sequence
    return rows
