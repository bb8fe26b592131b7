"""A trained vector for every position."""

from typing import Any

import keras
from keras import ops

from keras_transformer.backend.limited_length import limited_length
from keras_transformer.checks import require
from keras_transformer.layers.layer import Layer
from keras_transformer.scopes import query_positions
from keras_transformer.types import Initializer, Positions, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class LearnedPositions(Layer):
    """Adds to each token the row of a trained table that belongs to its position.

    `PositionalEmbedding` has one of these where its position is `"learned"`; alone it serves models
    whose encoder and decoder share a token table, but not their positions, such as BART.

    Args:
        max_sequence_length: int, the rows of the table.
        embeddings_initializer: initial values of the table.

    Call arguments:
        x: `(B, T, D)`.
        positions: `(B, T)` whole numbers of any dtype, the position of each token. None counts
            from 0.

    Returns:
        `(B, T, D)`.

    Raises:
        ValueError: when there are no rows, and for a sequence that is longer than the table.

    Reference:
        Gehring et al. 2017, "Convolutional Sequence to Sequence Learning", section 3.1.

    Example:

    >>> import numpy as np
    >>> LearnedPositions(max_sequence_length=8)(np.ones((2, 3, 4))).shape == (2, 3, 4)
    True
    """

    def __init__(
        self,
        max_sequence_length: int,
        embeddings_initializer: Initializer = "uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # of positions: half precision has no 2,049
        require(max_sequence_length > 0, "positive sizes", max_sequence_length=max_sequence_length)
        self.max_sequence_length = max_sequence_length
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, input_shape: Shape) -> None:
        self.embeddings = self.add_weight(
            (self.max_sequence_length, input_shape[-1]),
            self.embeddings_initializer.clone(),  # a new seed
            name="embeddings",
            autocast=False,  # rows are cast when they are looked up, not the whole table before
        )

    def call(self, x: Tensor, positions: Positions = None) -> Tensor:
        if positions is None:
            most = self.max_sequence_length
            x = limited_length(x, most, f"sequences of at most max_sequence_length={most} tokens")
        position = query_positions(x) if positions is None else ops.cast(positions, "int32")
        rows = ops.take(self.embeddings, ops.maximum(position, 0), axis=0)  # (1|B, T, D)
        return ops.cast(x, self.compute_dtype) + ops.cast(rows, self.compute_dtype)

    def compute_output_shape(self, x_shape: Shape, positions_shape: Shape | None = None) -> tuple:
        return x_shape
