"""Which tokens are real."""

from typing import Any

import keras
from keras import ops

from keras_transformer.layers.layer import Layer
from keras_transformer.types import Mask, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class PaddingMask(Layer):
    """Finds the real tokens: all but padding.

    Args:
        pad_id: int, the padding token.

    Call arguments:
        token_ids: `(B, T)` ids of any dtype.

    Returns:
        `(B, T)` bool, True for real tokens.

    Example:

    >>> import numpy as np
    >>> mask = PaddingMask(pad_id=0)(np.array([[5, 7, 0]]))
    >>> keras.ops.convert_to_numpy(mask).tolist()
    [[True, True, False]]
    """

    def __init__(self, pad_id: int = 0, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # half precision has no 2,049
        self.pad_id = pad_id

    def call(self, token_ids: Tensor) -> Tensor:
        return ops.not_equal(ops.cast(token_ids, "int32"), self.pad_id)

    def compute_mask(self, token_ids: Tensor, previous_mask: Mask = None) -> Mask:
        return None

    def compute_output_spec(self, token_ids: Tensor) -> keras.KerasTensor:
        return keras.KerasTensor(token_ids.shape, dtype="bool")
