"""Rows of tokens of different lengths, as arrays."""

from collections.abc import Sequence

import numpy as np

from keras_transformer.checks import require
from keras_transformer.types import Tensor


def pad_rows(rows: Tensor | Sequence[Sequence[int]], pad_id: int) -> tuple[np.ndarray, np.ndarray]:
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


def check_rows(
    ids: np.ndarray,
    lengths: np.ndarray,
    pad_id: int,
    vocabulary_size: int,
    may_start: bool = False,
) -> None:
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


def fill_up(
    ids: np.ndarray, lengths: np.ndarray, rows: int, length: int, pad_id: int
) -> tuple[np.ndarray, np.ndarray]:
    """`(ids (rows, length), lengths (rows,))`: with rows of padding, which have a length of -1."""
    filled = np.full((rows, length), max(pad_id, 0), "int32")
    filled[: ids.shape[0], : ids.shape[1]] = ids
    lengths = np.append(lengths, np.full(rows - len(lengths), -1, "int32"))
    return filled, lengths.astype("int32")


def append_rows(
    ids: np.ndarray, lengths: np.ndarray, sequences: np.ndarray, pad_id: int
) -> np.ndarray:
    """`(B, n, T + L)`: rows of `ids (B, T)` without padding, then their `sequences (B, n, L)`."""
    batch, count, new = sequences.shape
    rows = np.full((batch, count, ids.shape[1] + new), pad_id, "int32")
    for row, prompt, length, sequence in zip(rows, ids, lengths, sequences, strict=True):
        row[:, :length] = prompt[:length]
        row[:, length : length + new] = sequence
    return rows


def best_first(rows: np.ndarray, scores: np.ndarray, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """`(rows (B, n, ...), scores (B, n))` of arrays `(B * n, ...)`: n samples a prompt.

    >>> rows, scores = best_first(np.array(["bad", "good"]), np.array([-2.0, -1.0]), 2)
    >>> rows.tolist(), scores.tolist()
    ([['good', 'bad']], [[-1.0, -2.0]])
    """
    rows, scores = (x.reshape(-1, samples, *x.shape[1:]) for x in (rows, scores))
    order = np.argsort(-scores, axis=1, kind="stable")
    index = order.reshape(*order.shape, *[1] * (rows.ndim - 2))
    return np.take_along_axis(rows, index, axis=1), np.take_along_axis(scores, order, axis=1)
