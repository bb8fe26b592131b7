"""Several lines in one row, each as if it were alone."""

from typing import Any

import keras
from keras import ops

from keras_transformer.checks import require
from keras_transformer.layers.layer import Layer
from keras_transformer.scopes import CacheScope, query_positions
from keras_transformer.types import Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class PackedLines(Layer):
    """Finds the lines of a row by the token that begins them.

    Inside a `CacheScope` a row is one line: what is generated belongs to the line of its prompt.

    Args:
        start_id: int, the token that begins a line.

    Call arguments:
        token_ids: `(B, T)` ids of any dtype.

    Returns:
        `(positions, attention_mask)`: each token's position in its own line, `(B, T)` int32, and
        which tokens share a line, `(B, T, T)` bool.

    Raises:
        ValueError: when `start_id` is negative.

    Reference:
        Krell et al. 2021, "Efficient Sequence Packing without Cross-contamination".

    Example:

    >>> import numpy as np
    >>> positions, attention_mask = PackedLines(start_id=2)(np.array([[2, 7, 8, 2, 9]]))
    >>> keras.ops.convert_to_numpy(positions).tolist()
    [[0, 1, 2, 0, 1]]
    >>> keras.ops.convert_to_numpy(attention_mask)[0].astype(int).tolist()[2:4]
    [[1, 1, 1, 0, 0], [0, 0, 0, 1, 1]]
    """

    def __init__(self, start_id: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # half precision has no 2,049
        require(start_id >= 0, "start_id to be a token", start_id=start_id)
        self.start_id = start_id

    def call(self, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        if CacheScope.current():  # where a row is one line
            return query_positions(token_ids), ops.ones((1, 1, 1), dtype="bool")
        starts = ops.cast(ops.equal(ops.cast(token_ids, "int32"), self.start_id), "int32")
        line = ops.cumsum(starts, axis=1)  # (B, T)
        same_line = ops.equal(ops.expand_dims(line, 2), ops.expand_dims(line, 1))  # (B, T, T)
        place = ops.arange(ops.shape(token_ids)[1], dtype="int32")  # (T,)
        earlier = ops.logical_and(same_line, ops.expand_dims(place, 1) > place)  # (B, T, T)
        return ops.sum(ops.cast(earlier, "int32"), axis=-1), same_line

    def compute_output_spec(self, token_ids: Tensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        batch, length = token_ids.shape
        return (
            keras.KerasTensor((batch, length), "int32"),
            keras.KerasTensor((batch, length, length), "bool"),
        )
