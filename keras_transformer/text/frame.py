"""Special tokens around one text, or around the two texts of a pair."""

from collections.abc import Sequence

import numpy as np

from keras_transformer.checks import require
from keras_transformer.types import Ids


class Frame:
    """What stands around the ids of one text or two, and which segment each of these is of.

    Args:
        *parts: In order, `(part, segment)`: a list of special ids, 0 for the first text or 1 for
            the second.
        odd_to_first: Whether, when both texts are cut, the first has the odd token. Default
            `False`: the longer one, or the second of two as long.

    Attributes:
        special_ids, num_special: List of the special ids, and how many there are.
        before, after: Lists of the special ids before the first text and after the last.

    Example:

    >>> frame = Frame(([2], 0), (0, 0), ([3], 0), (1, 1), ([3], 1))
    >>> ids, segments = frame.fill([[5, 6, 7], [8]], max_length=6)
    >>> ids.tolist(), segments.tolist()
    ([2, 5, 6, 3, 8, 3], [0, 0, 0, 0, 1, 1])
    """

    def __init__(self, *parts: tuple[list[int] | int, int], odd_to_first: bool = False):
        self.parts = parts
        self.odd_to_first = odd_to_first
        special = [part for part, _ in parts if isinstance(part, list)]
        self.special_ids = [i for part in special for i in part]
        self.num_special = len(self.special_ids)
        self.before = parts[0][0] if parts[0][0] in special else []
        self.after = parts[-1][0] if parts[-1][0] in special else []

    def check(self, max_length: int | None) -> None:
        """Raises a ValueError unless the special tokens fit."""
        if max_length is None:
            return
        require(
            isinstance(max_length, int | np.integer) and max_length >= self.num_special,
            f"max_length, an int, of at least {self.num_special}, the number of special tokens",
            max_length=max_length,
        )

    def fill(
        self, texts: Sequence[Ids], max_length: int | None = None, from_left: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Puts texts into the frame.

        Args:
            texts: One sequence of ids, or two.
            max_length: Most ids, the special ones included: the longer text is cut first, and then
                both are. Default `None`: all.
            from_left: Whether the beginnings are cut off, not the ends.

        Returns:
            Two int32 arrays `(T,)`: the ids, and their segments.
        """
        if max_length is not None:
            lengths = self._lengths([len(text) for text in texts], max_length - self.num_special)
            texts = [
                text[len(text) - length :] if from_left else text[:length]
                for text, length in zip(texts, lengths, strict=True)
            ]
        rows = [part if isinstance(part, list) else texts[part] for part, _ in self.parts]
        segments = [segment for _, segment in self.parts]
        ids = np.concatenate([np.asarray(row, "int32") for row in rows])  # (T,)
        return ids, np.repeat(np.array(segments, "int32"), [len(row) for row in rows])

    def _lengths(self, lengths, room):
        if sum(lengths) <= room:
            return lengths
        if len(lengths) == 1:
            return [room]
        first, second = lengths
        half = (room + (self.odd_to_first or first > second)) // 2
        first = min(first, max(half, room - second))
        return [first, room - first]
