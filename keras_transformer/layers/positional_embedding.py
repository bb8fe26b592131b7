"""Token embeddings with positions, and their transpose as output layer."""

from typing import Any

import keras
from keras import ops

from keras_transformer.backend.prepared_kernel import times_table
from keras_transformer.checks import require
from keras_transformer.layers.dropout import Dropout
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.learned_positions import LearnedPositions
from keras_transformer.layers.sinusoidal_positions import add_nothing, add_sinusoids
from keras_transformer.renamed import renamed
from keras_transformer.types import Initializer, Mask, Positions, Shape, Tensor

POSITIONS = ("sinusoidal", "learned", None)


@keras.saving.register_keras_serializable(package="keras_transformer")
class PositionalEmbedding(Layer):
    """Embeds tokens and their positions; with `reverse=True` turns hidden states into logits.

    Args:
        vocabulary_size: int, V.
        hidden_dim: int, D.
        max_sequence_length: int, the rows of the learned table. Sinusoids have no limit.
        position: `"sinusoidal"`, `"learned"`, or None for tokens without positions (for example
            when attention is rotary).
        scale_embedding: bool, whether token embeddings are multiplied by `sqrt(D)` before positions
            are added.
        mask_zero: bool, whether id 0 is padding: the output then carries Keras' implicit mask.
        dropout: float, share of the sums that is dropped in training.
        embeddings_initializer: initial values of both tables. None draws from a normal distribution
            with standard deviation `D ** -0.5`.

    Call arguments:
        token_ids: `(B, T)`, ids of any integer dtype, or as floats, which Keras feeds when it
            rebuilds or exports a subclassed model; with `reverse=True` hidden states `(B, T, D)`.
        positions: `(B, T)`, likewise, the position of each token. None counts from 0.
        reverse: bool, whether to multiply by the transposed token table ("tied" logits).

    Returns:
        `(B, T, D)`; with `reverse=True` logits `(B, T, V)`.

    Raises:
        ValueError: for an unknown `position`, sizes that are not positive, and a sequence that is
            longer than the learned table.

    Reference:
        Vaswani et al. 2017, "Attention Is All You Need", sections 3.4 and 3.5; Press and Wolf
        2017 for tied logits.

    Example:

    >>> import numpy as np
    >>> embedding = PositionalEmbedding(vocabulary_size=9, hidden_dim=4, max_sequence_length=8)
    >>> x = embedding(np.array([[5, 7, 2]]))
    >>> tuple(x.shape), tuple(embedding(x, reverse=True).shape)
    ((1, 3, 4), (1, 3, 9))
    """

    @renamed(kind="position", scale="scale_embedding")
    def __init__(
        self,
        vocabulary_size: int,
        hidden_dim: int,
        max_sequence_length: int = 512,
        position: str | None = "sinusoidal",
        scale_embedding: bool = False,
        mask_zero: bool = False,
        dropout: float = 0.0,
        embeddings_initializer: Initializer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # half precision has no 2,049
        sizes = (vocabulary_size, hidden_dim, max_sequence_length)
        require(
            all(size > 0 for size in sizes),
            "positive sizes",
            vocabulary_size=vocabulary_size,
            hidden_dim=hidden_dim,
            max_sequence_length=max_sequence_length,
        )
        require(position in POSITIONS, f"position to be one of {POSITIONS}", position=position)
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.max_sequence_length = max_sequence_length
        self.position = position
        self.scale_embedding = scale_embedding
        self.mask_zero = mask_zero
        self.dropout = dropout
        self.embeddings_initializer = keras.initializers.get(
            embeddings_initializer or keras.initializers.RandomNormal(stddev=hidden_dim**-0.5)
        )

    def build(self, input_shape: Shape) -> None:
        self.embeddings = self.add_weight(
            (self.vocabulary_size, self.hidden_dim),
            # A clone: an initializer keeps the seed it drew, and both tables would begin alike.
            self.embeddings_initializer.clone(),
            name="embeddings",
            autocast=False,  # rows are cast when they are looked up, not the whole table before
        )
        self.add_positions = add_sinusoids if self.position else add_nothing
        if self.position == "learned":
            self.add_positions = LearnedPositions(
                self.max_sequence_length,
                self.embeddings_initializer,
                name="positions",
                dtype=self.dtype_policy,
            )
            self.add_positions.build((None, None, self.hidden_dim))
        self.dropout_layer = Dropout(self.dropout, name="dropout", dtype=self.dtype_policy)

    @property
    def compute_dtype(self) -> str:
        """What Keras makes the input of a `Sequential` that begins here: it has to hold ids."""
        return "float32"

    @property
    def activation_dtype(self) -> str:
        """What the dtype policy says that is computed in."""
        return super().compute_dtype

    def call(
        self,
        token_ids: Tensor,
        positions: Positions = None,
        reverse: bool = False,
        training: bool | None = None,
    ) -> Tensor:
        if reverse:
            x = ops.cast(token_ids, self.activation_dtype)
            return times_table(self.path, x, self.embeddings, self.activation_dtype)  # (B, T, V)
        rows = ops.take(self.embeddings, ops.cast(token_ids, "int32"), axis=0)  # (B, T, D)
        x = ops.cast(rows, self.activation_dtype)
        if self.scale_embedding:
            x = x * self.hidden_dim**0.5
        return self.dropout_layer(self.add_positions(x, positions), training=training)

    def compute_mask(self, token_ids: Tensor, previous_mask: Mask = None) -> Mask:
        if self.mask_zero and len(token_ids.shape) == 2:
            return ops.not_equal(ops.cast(token_ids, "int32"), 0)
        return previous_mask

    def compute_output_spec(
        self,
        token_ids: Tensor,
        positions: Positions = None,
        reverse: bool = False,
        training: bool | None = None,
    ) -> keras.KerasTensor:
        shape = (
            (*token_ids.shape[:-1], self.vocabulary_size)
            if reverse
            else (*token_ids.shape, self.hidden_dim)
        )
        return keras.KerasTensor(shape, dtype=self.activation_dtype)
