"""Which slots of a cache the tokens of a batch take, and which of them are there: three kinds."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_transformer.backend.unknown_length import may_grow, unknown
from keras_transformer.scopes import CacheScope
from keras_transformer.types import Tensor

BLOCK = 16  # steps that a growing cache makes room for at a time


class FixedCache:
    """All the slots that there will ever be, from the first step on; XLA knows no other.

    Args:
        before: int, the tokens that are read before the first step: each has a slot.
        steps: int, after these.
        width: int, the slots of a step.
        starts: `(B, 1)` ints, how many of the first tokens of each row are padding, or 0.
        ahead: int, steps beyond the last that may have slots.

    Attributes:
        length: int, slots.
        around: how many slots are in front of those of the steps, and how many behind them.
        key_positions: `(1|B, slots)` ints, where the token of each slot stands in its row.
    """

    sliding = False

    def __init__(self, before: int, steps: int, width: int, starts: Tensor, ahead: int = 0):
        self.before = before
        self.width = width
        self.length = before + steps * width
        self.around = before, ahead * width
        of_steps = ops.repeat(ops.arange(steps + ahead) + before, width)
        self.key_positions = ops.concatenate([ops.arange(before), of_steps])[None] - starts

    def scope(
        self, state: Any, index: Tensor, positions: Tensor, visible: Tensor | None = None
    ) -> CacheScope:
        """What a decoder runs in on T new tokens, which take the slots from `index` on.

        Args:
            state: the cache, or None before there is one.
            index: int or scalar int tensor.
            positions: `(1|B, T)` ints, where the tokens stand in their rows.
            visible: `(B, T, steps * width)` bool, which slots of the steps they may look at; None
                means all.
        """
        new = positions.shape[1]
        length = self.slots(state, new)
        if visible is not None:
            visible = ops.pad(visible, [(0, 0), (0, 0), self.around], constant_values=True)
            visible = self.of_keys(visible, index, length, new)
        keys = self.of_keys(self.key_positions, index, length, new)
        return CacheScope(state, index, length, positions, keys, visible, self.sliding)

    def slots(self, state: Any, new: int) -> Tensor:
        """How many slots there are, when there is room for `new` tokens."""
        return self.length

    def of_keys(self, x: Tensor, index: Tensor, length: Tensor, new: int) -> Tensor:
        """Of `x (..., slots that there may ever be)` those that `new` tokens can look at."""
        return x

    def loop(self, going: Callable[..., Tensor], step: Callable[..., Any], carry: Any) -> Any:
        """As `ops.while_loop`, of a carry `(i, ..., state)`: how many tokens are new, the cache."""
        return ops.while_loop(going, step, carry)

    def of_full_length(self, state: Any) -> Any:
        """`state` with all the slots that there will ever be."""
        return state


class GrowingCache(FixedCache):
    """Slots for a few steps more, again and again: no step copies, nor looks at, many empty ones.

    Args: as of a `FixedCache`.
    """

    def __init__(self, before: int, steps: int, width: int, starts: Tensor):
        self.block = BLOCK
        super().__init__(before, steps, width, starts, ahead=self.block)

    def slots(self, state: Any, new: int) -> Tensor:
        past = keras.tree.flatten(state["past"]) if state else ()
        return ops.shape(past[0])[2] if past else new

    def of_keys(self, x: Tensor, index: Tensor, length: Tensor, new: int) -> Tensor:
        return x[..., :length]

    def loop(self, going: Callable[..., Tensor], step: Callable[..., Any], carry: Any) -> Any:
        def block(i, *others):
            *others, state = others
            end, more = i + self.block, (0, self.block * self.width)
            state = map_past(
                lambda x: ops.pad(x, [(0, 0), (0, 0), more] + [(0, 0)] * (len(x.shape) - 3)), state
            )
            return ops.while_loop(
                lambda i, *rest: ops.logical_and(i < end, going(i, *rest)),
                step,
                (i, *others, state),
            )

        i, *others, state = carry
        carry = i, *others, self._filled(state, i)
        i, *others, state = ops.while_loop(going, block, carry)
        return i, *others, self.of_full_length(self._filled(state, i))

    def of_full_length(self, state: Any) -> Any:
        def fill_up(x):
            batch, rows, _, *others = ops.shape(x)
            slots = ops.zeros((batch, rows, self.length, *others), dtype=x.dtype)
            return ops.slice_update(slots, [0] * len(x.shape), x)

        return map_past(fill_up, state)

    def _filled(self, state, i):
        """`state` with no slots but those of the first `i` steps and before."""
        count = unknown(self.before + i * self.width)
        return map_past(lambda x: x[:, :, :count], state)


class SlidingCache(FixedCache):
    """The slots of the last `window` steps, of a model that looks no further back.

    Args: as of a `FixedCache`, and `window`.
    """

    sliding = True

    def __init__(self, before: int, steps: int, width: int, starts: Tensor, window: int):
        super().__init__(before, steps, width, starts)
        self.length = window * width
        self.around = self.length + before, 0
        # Before the first slot there is nothing.
        empty = [(0, 0), (self.length, 0)]
        self.key_positions = ops.pad(self.key_positions, empty, constant_values=-1)

    def of_keys(self, x: Tensor, index: Tensor, length: Tensor, new: int) -> Tensor:
        *others, _ = x.shape
        return ops.slice(x, (*[0] * len(others), index), (*others, length + new))


def make_cache(
    before: int, steps: int, width: int, starts: Tensor, window: int | None = None
) -> FixedCache:
    """The kind of cache that suits a model that looks back `window` tokens, or at all for None."""
    if window is not None and window * width < before + steps * width:
        return SlidingCache(before, steps, width, starts, window)
    kind = GrowingCache if may_grow() else FixedCache
    return kind(before, steps, width, starts)


def map_past(function: Callable[[Tensor], Tensor], state: Any) -> Any:
    """A cache's `state` with a function of each of the tensors that have a slot a token."""
    return {**state, "past": keras.tree.map_structure(function, state["past"])}
