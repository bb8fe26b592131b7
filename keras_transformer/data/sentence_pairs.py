"""Sentences with the ones that follow, for BERT's second task."""

from collections.abc import Iterator, Sequence

import numpy as np

from keras_transformer.checks import require
from keras_transformer.types import Ids


class SentencePairs:
    """Sentences with the one that follows, and with one that does not.

    Args:
        lines: Sequence of sequences of ids; an empty one ends a document.

    Raises:
        ValueError: no line is followed by another, or there is one document only.

    Reference:
        Devlin et al. 2019, "BERT", section 3.1, task 2, with single sentences.

    Example:

    >>> pairs = SentencePairs([[5, 6], [7], [], [8], [9]])
    >>> [(list(a), list(b), c) for a, b, c in pairs.draw(np.random.default_rng(0), 9)]
    [([5, 6], [9], 1), ([8], [9], 0)]
    """

    def __init__(self, lines: Sequence[Ids]):
        self.lines = [line for line in lines if len(line)]
        ends = np.array([len(line) == 0 for line in lines])
        self.document = np.cumsum(ends)[~ends]
        self.follows = np.flatnonzero(np.diff(self.document) == 0)
        require(
            len(self.follows) and self.document[-1] != self.document[0],
            "documents of at least two lines with an empty line between them, for next-sentence "
            "pairs",
            f"{len(self.follows):,} lines with one that follows in "
            f"{len(np.unique(self.document)):,} documents",
        )

    def arrays(self) -> Iterator[np.ndarray]:
        """Yields the sentences, end to end, their lengths, and which are in one document."""
        yield np.concatenate(self.lines)
        yield np.array([len(line) for line in self.lines])
        yield self.document

    def draw(self, rng: np.random.Generator, room: int) -> Iterator[tuple[Ids, Ids, int]]:
        """Yields `(first, second, is_random)` for every line that another follows.

        Args:
            rng: `numpy.random.Generator`.
            room: int, most tokens of both together; the longer one loses its last ones.
        """
        random = rng.random(len(self.follows)) >= 0.5
        for i, is_random in zip(self.follows.tolist(), random.tolist(), strict=True):
            j = i + 1
            while is_random and self.document[j] == self.document[i]:
                j = int(rng.integers(len(self.lines)))
            first, second = self.lines[i], self.lines[j]
            kept = max(room - len(second), room // 2) if len(first) + len(second) > room else None
            first = first[:kept]
            yield first, second[: room - len(first)], int(is_random)
