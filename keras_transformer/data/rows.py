"""Rows of ids of different lengths in one array."""

from collections.abc import Sequence

import numpy as np

from keras_transformer.types import Ids


class Rows:
    """Rows of ids, end to end in one array, so that a batch is one indexing operation.

    Args:
        rows: Sequence of sequences of ids; any may be empty.
        before, after: Ids that every row gets at its ends. Default `None`: nothing.

    Attributes:
        lengths: int array, the length of each row, and 0 of one more: row -1 is empty.

    Example:

    >>> Rows([[5, 6], [7]], after=3).padded(np.array([1, 0, -1]), width=4, pad_id=0)
    array([[7, 3, 0, 0],
           [5, 6, 3, 0],
           [0, 0, 0, 0]], dtype=int32)
    """

    def __init__(self, rows: Sequence[Ids], before: int | None = None, after: int | None = None):
        nothing = np.array([], "int32")  # an empty list would turn ids into floats
        first, last = (nothing if token is None else [token] for token in (before, after))
        parts = [*(np.concatenate([first, row, last]) for row in rows), nothing]  # row -1: empty
        self.lengths = np.array([len(part) for part in parts])
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.ids = np.concatenate([*parts, [0]]).astype("int32")  # 0: to take if all are empty

    def padded(self, rows: np.ndarray, width: int, pad_id: int) -> np.ndarray:
        """The rows of these numbers, int32 `(B, width)`."""
        columns = np.arange(width)
        places = self.starts[rows][:, None] + columns  # (B, width)
        real = columns < self.lengths[rows][:, None]
        return np.where(real, self.ids.take(places, mode="clip"), np.int32(pad_id))
