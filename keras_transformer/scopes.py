"""Ambient scopes: what a forward pass may read or record beside its inputs.

As with `keras.StatelessScope`, a layer asks for the scope that is active around the call. So no
layer, block or model has an argument for a cache or for attention weights, and any Functional
model made of these layers, a reloaded one included, can be run with either.
"""

import threading
from collections.abc import Callable
from typing import Any, Self

from keras import ops

from keras_transformer.checks import refusal
from keras_transformer.types import Mask, Positions, Tensor

_active = threading.local()


class Scope:
    """A context that layers find with `current()`; scopes of one kind nest."""

    def __init__(self) -> None:
        self._calls: dict[str, int] = {}

    def nth_call(self, path: str) -> int:
        """How many calls of the layer at `path` the scope has seen before: 0 the first time."""
        call = self._calls[path] = self._calls.get(path, -1) + 1
        return call

    def name_of_call(self, path: str) -> str:
        """The path of a layer that is called now and, but for the first time, which call it is."""
        call = self.nth_call(path)
        return f"{path}#{call}" if call else path

    @classmethod
    def current(cls) -> Self | None:
        """The innermost active scope of this kind in this thread, or None."""
        stack = getattr(_active, cls.__name__, None)
        return stack[-1] if stack else None

    def __enter__(self):
        vars(_active).setdefault(type(self).__name__, []).append(self)
        return self

    def __exit__(self, *error):
        getattr(_active, type(self).__name__).pop()


class CacheScope(Scope):
    """Runs a model on new tokens only, with the keys and values of earlier ones from a cache.

    The cache is a row of `length` slots. A call on `T` new tokens writes them to the slots `index`
    to `index + T - 1`; afterwards `scope.state` holds the new cache. Inside a pure function
    `step(ids, index, state) -> (logits, state)` this works in `ops.while_loop`, `tf.function`,
    XLA and `jax.jit`.

    Args:
        state: nested dict of tensors, a former `scope.state`. None starts with an empty cache.
        index: int or scalar int tensor, the slot of the first new token.
        length: int, the number of slots.
        positions: `(1|B, T)` ints, the sequence position of each new token. None means that slots
            are positions. Negative ones are padding on the left, which nobody looks at.
        key_positions: `(1|B, S)` ints, the position of each key. None means that slots are
            positions.
        visible: `(B, T, S)` bool, True where a token may look at a key, in addition to causality.
            Beam search puts several hypotheses into one row this way. None means everywhere.
        sliding: bool, whether the cache keeps the last `length` tokens only. The S keys are then
            those in the cache, followed by the `T` new ones; else they are the `length` slots.

    Example:

    >>> import numpy as np
    >>> from keras import ops
    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> model = kt.models.decoder_only(config)
    >>> ids = np.array([[5, 7, 2, 8]])
    >>> with kt.CacheScope(None, 0, length=4) as scope:
    ...     _ = model(ids[:, :3])
    >>> with kt.CacheScope(scope.state, 3, length=4):
    ...     last = model(ids[:, 3:])
    >>> bool(ops.all(ops.isclose(model(ids)[:, 3:], last, atol=1e-5)))
    True
    """

    def __init__(
        self,
        state: dict | None = None,
        index: int | Tensor = 0,
        length: int | None = None,
        positions: Positions = None,
        key_positions: Positions = None,
        visible: Mask = None,
        sliding: bool = False,
    ) -> None:
        super().__init__()
        if length is None:
            raise refusal("a length for the cache", length=length)
        self.past = dict(state["past"]) if state else {}
        self.computed = dict(state["computed"]) if state else {}
        self.index = index
        self.length = length
        self.positions = positions
        self.key_positions = key_positions
        self.visible = visible
        self.sliding = sliding

    @property
    def state(self) -> dict:
        """The cache: `past`, whose tensors `(B, any, S, ...)` have a slot a token, and the rest."""
        return {"past": self.past, "computed": self.computed}

    def append(self, path: str, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Adds each tensor `(B, any, T, ...)` to its cache; returns the S entries.

        `path` names the layer; a layer called several times in one pass has a cache a call.
        """
        key = self._key(path)
        if key not in self.past:
            self.past[key] = tuple(self._empty(tensor) for tensor in tensors)
        pairs = list(zip(self.past[key], tensors, strict=True))
        if self.sliding:
            entries = tuple(ops.concatenate(pair, axis=2) for pair in pairs)
            self.past[key] = tuple(x[:, :, ops.shape(tensors[0])[2] :] for x in entries)
            return entries
        self.past[key] = tuple(
            ops.slice_update(cache, [0, 0, self.index, *[0] * (len(cache.shape) - 3)], tensor)
            for cache, tensor in pairs
        )
        return self.past[key]

    def places(self, steps: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """As the function `places`, for tokens `steps (1, T)`, counted from 0."""
        query = self.index + steps if self.positions is None else self.positions
        key = self.key_positions
        if key is None:
            key = ops.arange(self.length)[None]
            if self.sliding:
                key = ops.concatenate([self.index - self.length + key, self.index + steps], axis=1)
        visible = ops.expand_dims(key >= 0, 1)  # (1|B, 1, S)
        if self.visible is not None:
            visible = ops.logical_and(visible, self.visible)
        return query, key, visible

    def append_mask(self, path: str, mask: Mask, x: Tensor) -> Tensor:
        """`mask (B|1, T)` of the new tokens `x (B, T, ...)` as that of all S entries, `(B, S)`."""
        mask = ops.broadcast_to(mask, ops.shape(x)[:2])
        (mask,) = self.append(path, ops.expand_dims(mask, 1))  # (B, 1, S)
        return mask[:, 0]

    def once(self, path: str, compute: Callable[[], Any]) -> Any:
        """What `compute()` returned for the layer at `path` when the cache was made."""
        key = self._key(path)
        if key not in self.computed:
            self.computed[key] = compute()
        return self.computed[key]

    def _key(self, path):
        return f"{path}#{self.nth_call(path)}"

    def _empty(self, tensor):
        batch, rows, _, *others = ops.shape(tensor)
        return ops.zeros((batch, rows, self.length, *others), dtype=tensor.dtype)


class AttentionScope(Scope):
    """Records the attention weights of every attention layer that runs inside it.

    After the call `scope.weights[layer.path]` is `(B, N, T, S)`, float32, before dropout. Those of
    the layer's second call are at `f"{layer.path}#1"`, those of the third at `#2`, and so on.

    Example:

    >>> import numpy as np
    >>> import keras_transformer as kt
    >>> attention = kt.MultiHeadSelfAttention(num_heads=2, name="attention")
    >>> with kt.AttentionScope() as scope:
    ...     _ = attention(np.ones((1, 3, 4), "float32"))
    >>> tuple(scope.weights["attention"].shape)
    (1, 2, 3, 3)
    """

    def __init__(self) -> None:
        super().__init__()
        self.weights: dict[str, Tensor] = {}

    def record(self, path: str, weights: Tensor) -> None:
        """Keeps `weights (B, N, T, S)` under the layer's path and, but for the first, its call."""
        self.weights[self.name_of_call(path)] = weights


class ActivationScope(Scope):
    """Records what the neurons of every feed-forward network do that runs inside it.

    After the call `scope.activations[layer.path]` is `(B, T, F)`, after the activation, gated ones
    multiplied: what the second linear map gets. Names of other calls are as of `AttentionScope`.
    On TensorFlow a block of a model with padding hands on its real tokens only, `(1, R, F)`.

    Example:

    >>> import numpy as np
    >>> import keras_transformer as kt
    >>> network = kt.FeedForward(16, name="feed_forward")
    >>> with kt.ActivationScope() as scope:
    ...     _ = network(np.ones((1, 3, 4), "float32"))
    >>> tuple(scope.activations["feed_forward"].shape)
    (1, 3, 16)
    """

    def __init__(self) -> None:
        super().__init__()
        self.activations: dict[str, Tensor] = {}

    def record(self, path: str, activations: Tensor) -> None:
        """Keeps `activations (B, T, F)` under the layer's path and, but for the first, its call."""
        self.activations[self.name_of_call(path)] = activations


class Recomputation(Scope):
    """Around a layer that may be computed again, as a whole, for the gradient."""


class Uncached:
    """What a layer finds where there is no cache: its tokens are all that there are."""

    def append(self, path: str, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tensors

    def places(self, steps: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        return steps, steps, None

    def append_mask(self, path: str, mask: Mask, x: Tensor) -> Tensor:
        return mask

    def once(self, path: str, compute: Callable[[], Any]) -> Any:
        return compute()


UNCACHED = Uncached()


def cache() -> CacheScope | Uncached:
    """The `CacheScope` around, or what does as if there were no cache."""
    return CacheScope.current() or UNCACHED


def places(x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Where the tokens of `x (B, T, ...)` are, and the keys that they may look at.

    Returns:
        `(query, key, visible)`: the positions of the tokens `(1|B, T)` and of the keys `(1|B, S)`
        in their sequence, ints, and which keys are there, `(1|B, 1|T, S)` bool or None for all.
    """
    return cache().places(ops.arange(ops.shape(x)[1])[None])


def query_positions(x: Tensor) -> Tensor:
    """The position of each token of `x (B, T, ...)` in its sequence: `(1|B, T)` ints."""
    return places(x)[0]
