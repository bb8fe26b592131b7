"""Token embeddings with positions, and their transpose as output layer."""

import keras
from keras import ops

from keras_transformer.checks import require
from keras_transformer.layers.arguments import serialize_arguments
from keras_transformer.layers.arithmetic import times_transposed
from keras_transformer.layers.dropout import Dropout
from keras_transformer.layers.learned_positions import LearnedPositions
from keras_transformer.layers.recomputable import Recomputable
from keras_transformer.scopes import CacheScope, compute_once, query_positions

KINDS = ("sinusoidal", "learned", None)


def sinusoids(position, hidden_dim):
    """Sines and cosines `(..., D)` of `position (...)`, wavelengths from 2 pi to 20,000 pi.

    Vaswani et al. 2017, section 3.5, with all sines before all cosines as in tensor2tensor.

    >>> sinusoids(ops.arange(2), 4).shape == (2, 4)
    True
    """
    even = ops.arange(0, hidden_dim, 2, dtype="float32")
    frequency = 10000.0 ** (-even / hidden_dim)  # (D/2,)
    angle = ops.expand_dims(ops.cast(position, "float32"), -1) * frequency  # (..., D/2)
    return ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=-1)[..., :hidden_dim]  # (..., D)


def add_sinusoids(x, positions=None):
    """`x (B, T, D)` plus the sinusoids of its tokens' positions."""
    position = query_positions(x) if positions is None else positions  # (1|B, T)
    return x + ops.cast(sinusoids(position, x.shape[-1]), x.dtype)


def add_nothing(x, positions=None):
    return x


@keras.saving.register_keras_serializable(package="keras_transformer")
class PositionalEmbedding(Recomputable, keras.layers.Layer):
    """Embeds tokens and their positions; with `reverse=True` turns hidden states into logits.

    Args:
        vocabulary_size: int, V.
        hidden_dim: int, D.
        max_sequence_length: int, the rows of the learned table. Sinusoids have no limit.
        kind: `"sinusoidal"`, `"learned"`, or None for tokens without positions (for example
            when attention is rotary).
        scale: bool, whether token embeddings are multiplied by `sqrt(D)` before positions are
            added.
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
        ValueError: for an unknown `kind`, sizes that are not positive, and a sequence that is
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

    def __init__(
        self,
        vocabulary_size,
        hidden_dim,
        max_sequence_length=512,
        kind="sinusoidal",
        scale=False,
        mask_zero=False,
        dropout=0.0,
        embeddings_initializer=None,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # half precision has no 2,049
        sizes = (vocabulary_size, hidden_dim, max_sequence_length)
        require(
            all(size > 0 for size in sizes),
            "positive sizes",
            vocabulary_size=vocabulary_size,
            hidden_dim=hidden_dim,
            max_sequence_length=max_sequence_length,
        )
        require(kind in KINDS, f"kind to be one of {KINDS}", kind=kind)
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.max_sequence_length = max_sequence_length
        self.kind = kind
        self.scale = scale
        self.mask_zero = mask_zero
        self.dropout = dropout
        self.embeddings_initializer = keras.initializers.get(
            embeddings_initializer or keras.initializers.RandomNormal(stddev=hidden_dim**-0.5)
        )
        self.supports_masking = True

    def build(self, input_shape):
        self.embeddings = self.add_weight(
            (self.vocabulary_size, self.hidden_dim),
            # A clone: an initializer keeps the seed it drew, and both tables would begin alike.
            self.embeddings_initializer.clone(),
            name="embeddings",
            autocast=False,  # rows are cast when they are looked up, not the whole table before
        )
        self.add_positions = add_sinusoids if self.kind else add_nothing
        if self.kind == "learned":
            self.add_positions = LearnedPositions(
                self.max_sequence_length,
                self.embeddings_initializer,
                name="positions",
                dtype=self.dtype_policy,
            )
            self.add_positions.build((None, None, self.hidden_dim))
        self.dropout_layer = Dropout(self.dropout, name="dropout", dtype=self.dtype_policy)

    @property
    def compute_dtype(self):
        """What Keras makes the input of a `Sequential` that begins here: it has to hold ids."""
        return "float32"

    @property
    def activation_dtype(self):
        """What the dtype policy says that is computed in."""
        return super().compute_dtype

    def call(self, token_ids, positions=None, reverse=False, training=None):
        if reverse:
            return self.logits(ops.cast(token_ids, self.activation_dtype))
        rows = ops.take(self.embeddings, ops.cast(token_ids, "int32"), axis=0)  # (B, T, D)
        x = ops.cast(rows, self.activation_dtype)
        if self.scale:
            x = x * self.hidden_dim**0.5
        return self.dropout_layer(self.add_positions(x, positions), training=training)

    def logits(self, x):
        """`x (B, T, D)` times the transposed token table, `(B, T, V)`."""
        if CacheScope.current() is None:
            return times_transposed(x, ops.cast(self.embeddings, self.activation_dtype))
        # The table is prepared once. In half precision TensorFlow multiplies faster by it as it is.
        if self.activation_dtype == "float32":
            table = compute_once(self.path, lambda: ops.transpose(self.embeddings))
        else:
            cast = compute_once(self.path, lambda: ops.cast(self.embeddings, self.activation_dtype))
            table = ops.transpose(cast)
        return ops.matmul(x, table)

    def compute_mask(self, token_ids, previous_mask=None):
        if self.mask_zero and len(token_ids.shape) == 2:
            return ops.not_equal(ops.cast(token_ids, "int32"), 0)
        return previous_mask

    def compute_output_spec(self, token_ids, positions=None, reverse=False, training=None):
        shape = (
            (*token_ids.shape[:-1], self.vocabulary_size)
            if reverse
            else (*token_ids.shape, self.hidden_dim)
        )
        return keras.KerasTensor(shape, dtype=self.activation_dtype)

    def get_config(self):
        return super().get_config() | serialize_arguments(
            self,
            "vocabulary_size",
            "hidden_dim",
            "max_sequence_length",
            "kind",
            "scale",
            "mask_zero",
            "dropout",
            "embeddings_initializer",
        )
