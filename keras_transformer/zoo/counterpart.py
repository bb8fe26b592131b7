"""How a weight of ours is made of published tensors, and they of it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from keras_transformer.types import Shape


class Counterpart(NamedTuple):
    """The published tensors that one of our weights stands for.

    Attributes:
        names: of the tensors, joined along the last axis of ours.
        sizes: of these parts, along that axis.
        transposed: whether theirs is `(outputs, inputs)`.
        shift: what ours is more than theirs.
        skip: rows of theirs, before the first of ours, that stand for no position.
        added: name of a tensor of one row, which ours has in every row; or None.
        row: whether theirs has a first axis of 1 more.
    """

    names: Sequence[str]
    sizes: Sequence[int]
    transposed: bool = False
    shift: float = 0.0
    skip: int = 0
    added: str | None = None
    row: bool = False

    def all_names(self) -> list[str]:
        """The names of all of them."""
        return [*self.names, *([self.added] if self.added else [])]

    def shapes(self, shape: Shape) -> dict[str, Shape]:
        """`{name: shape}` of the published tensors for one of ours of that shape."""
        shapes = {}
        for name, size in zip(self.names, self.sizes, strict=True):
            part = (*shape[:-1], size)
            part = part[::-1] if self.transposed else part
            part = (part[0] + self.skip, *part[1:]) if self.skip else part
            shapes[name] = (1, *part) if self.row else part
        return shapes | ({self.added: (1, shape[-1])} if self.added else {})

    def read(self, read: Callable[[str], np.ndarray]) -> np.ndarray:
        """Our array, of a function from names to their arrays."""
        parts = [read(name) for name in self.names]
        parts = [part.T for part in parts] if self.transposed else parts
        ours = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        ours = ours[0] if self.row else ours[self.skip :]
        ours = ours + self.shift if self.shift else ours
        return ours + read(self.added) if self.added else ours

    def write(self, ours: np.ndarray) -> dict[str, np.ndarray]:
        """`{name: array}` of our array."""
        theirs = ours - self.shift if self.shift else ours
        if self.skip:
            theirs = np.concatenate([np.zeros_like(theirs[:1])] * self.skip + [theirs])
        parts = np.split(theirs, np.cumsum(self.sizes)[:-1], axis=-1)
        parts = [part.T for part in parts] if self.transposed else parts
        parts = [part[None] for part in parts] if self.row else parts
        found = dict(zip(self.names, parts, strict=True))
        return found | ({self.added: np.zeros_like(ours[:1])} if self.added else {})
