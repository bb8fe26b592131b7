"""Some of the tokens of a sequence, and the masks that go with them."""

import keras
from keras import ops

from keras_transformer.backend.implicit_mask import implicit_mask, with_implicit_mask
from keras_transformer.types import Mask, Positions, Tensor


def tokens_at(x: Tensor, wanted: Positions) -> Tensor:
    """The tokens of `x (B, T, ...)` at `wanted (B, P)`: `(B, P, ...)`; None stands for all."""
    if wanted is None:
        return x
    batch, length, *others = ops.shape(x)
    # One index into all rows: on CPUs twice as fast as an index within each.
    first = ops.expand_dims(ops.arange(batch, dtype="int32") * length, 1)
    index = ops.cast(wanted, "int32") + first  # (B, P)
    y = ops.take(ops.reshape(x, (batch * length, *others)), index, axis=0)
    return ops.reshape(y, (*ops.shape(index), *others))  # (B, P, ...), which JAX forgets of no rows


def whole_mask(mask: Mask, x: Tensor) -> Mask:
    """`mask (B|1, T|1)` of the tokens of `x (B, T, D)` as `(B, T)`; None stays None."""
    if mask is None or 1 not in mask.shape:
        return mask
    return ops.logical_and(mask, ops.ones_like(x[..., 0], dtype="bool"))  # (B, T)


def with_mask_at(y: Tensor, x: Tensor, mask: Mask, wanted: Positions) -> Tensor:
    """`y` with the implicit mask that is `mask (B|1, T|1)` of `x` at `wanted (B, P)`.

    Without `wanted` it is `y` alone, to which Keras gives the mask of `x`.
    """
    if mask is None or wanted is None:
        return y
    mask = ops.take_along_axis(whole_mask(mask, x), ops.cast(wanted, "int32"), axis=1)  # (B, P)
    return with_implicit_mask(y, mask)


def spec_at(x: Tensor, mask: Mask, wanted: Positions, dtype: str) -> keras.KerasTensor:
    """What a layer puts out of `x (B, T, D)` for the tokens at `wanted (B, P)`, and its mask."""
    shape = (x.shape[0], (x if wanted is None else wanted).shape[1], x.shape[-1])
    mask = implicit_mask(x) if mask is None else mask
    return with_mask_at(keras.KerasTensor(shape, dtype), x, mask, wanted)
