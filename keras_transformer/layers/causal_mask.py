"""Which earlier tokens each token may look at."""

from typing import Any

import keras
from keras import ops

from keras_transformer.checks import check_shape, require
from keras_transformer.layers.layer import Layer
from keras_transformer.scopes import cache, places
from keras_transformer.types import Mask, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class CausalMask(Layer):
    """Lets every token look at itself and at earlier tokens only.

    Inside a `CacheScope` the S keys are the cache's.

    Args:
        window: int, how many tokens back a token sees, itself included. None means all.

    Call arguments:
        x: `(B, T, ...)`, of which only the length is read.
        mask: `(B|1, T)` bool, False for padding, which nobody looks at. Optional.

    Returns:
        `(1, T, S)` bool, or `(B|1, T, S)` with a mask; True may be looked at.

    Raises:
        ValueError: when `window` is not positive, or `mask` has a wrong shape.

    Reference:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.2.3; the window is that of
        Beltagy et al. 2020, "Longformer", section 3.1.

    Example:

    >>> import numpy as np
    >>> np.asarray(CausalMask()(np.zeros((1, 3)))).astype(int)
    array([[[1, 0, 0],
            [1, 1, 0],
            [1, 1, 1]]])
    """

    def __init__(self, window: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require(
            window is None or window > 0, "window to be a positive number or None", window=window
        )
        self.window = window

    def call(self, x: Tensor, mask: Mask = None) -> Tensor:
        check_shape("mask", mask, tuple(x.shape[:2]))
        query, key, visible = places(x)  # (1|B, T), (1|B, S), (1|B, 1|T, S)
        distance = ops.expand_dims(query, 2) - ops.expand_dims(key, 1)  # (1|B, T, S)
        may_look = distance >= 0
        if self.window is not None:
            may_look = ops.logical_and(may_look, distance < self.window)
        if visible is not None:
            may_look = ops.logical_and(may_look, visible)
        if mask is not None:
            mask = cache().append_mask(self.path, mask, x)  # (B|1, S)
            may_look = ops.logical_and(may_look, ops.expand_dims(mask, 1))
        return may_look  # (1|B, T, S)

    def compute_mask(self, x: Tensor, previous_mask: Mask = None) -> Mask:
        return None

    def compute_output_spec(self, x: Tensor, mask: Mask = None) -> keras.KerasTensor:
        batch = 1 if mask is None else mask.shape[0]
        return keras.KerasTensor((batch, x.shape[1], x.shape[1]), dtype="bool")
