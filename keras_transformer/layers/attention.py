"""Multi-head attention, written once: over the sequence itself and over a memory."""

import keras
from keras import ops
from keras.src.backend import get_keras_mask, nn, set_keras_mask  # ops.softmax warns where S is 1

from keras_transformer.checks import check_shape, require
from keras_transformer.layers.arguments import serialize_arguments
from keras_transformer.layers.arithmetic import times_transposed
from keras_transformer.layers.dropout import Dropout
from keras_transformer.layers.projection import Compound, projection
from keras_transformer.layers.rotary_embedding import rotary_embedding
from keras_transformer.scopes import AttentionScope, compute_once, mask_with_past, with_past

# Low enough to vanish in a softmax, high enough that a row of nothing else stays finite.
MASKED = -1e9


def heads_first(x):
    """`(B, T, N, H)` as `(B, N, T, H)`."""
    return ops.transpose(x, (0, 2, 1, 3))


def take_positions(x, positions):
    """The tokens of `x (B, T, ...)` at `positions (B, P)`: `(B, P, ...)`; None stands for all."""
    if positions is None:
        return x
    batch, length, *others = ops.shape(x)
    # One index into all rows: on CPUs twice as fast as an index within each.
    first = ops.expand_dims(ops.arange(batch, dtype="int32") * length, 1)
    index = ops.cast(positions, "int32") + first  # (B, P)
    y = ops.take(ops.reshape(x, (batch * length, *others)), index, axis=0)
    return ops.reshape(y, (*ops.shape(index), *others))  # (B, P, ...), which JAX forgets of no rows


def whole_mask(mask, x):
    """`mask (B|1, T|1)` of the tokens of `x (B, T, D)` as `(B, T)`; None stays None."""
    if mask is None or 1 not in mask.shape:
        return mask
    return ops.logical_and(mask, ops.ones_like(x[..., 0], dtype="bool"))  # (B, T)


def with_mask_at(y, x, mask, positions):
    """`y` with the implicit mask that is `mask (B|1, T|1)` of `x` at `positions (B, P)`.

    Without `positions` it is `y` alone, to which Keras gives the mask of `x`.
    """
    if mask is not None and positions is not None:
        positions = ops.cast(positions, "int32")
        set_keras_mask(y, ops.take_along_axis(whole_mask(mask, x), positions, axis=1))  # (B, P)
    return y


def combine_masks(key, attention_mask=None, mask=None):
    """One mask, or None, of `attention_mask (B, T, S)` and `mask (B, S)`; 1 stands for any size."""
    check_shape("mask", mask, (key.shape[0], key.shape[2]))
    if mask is None:
        return attention_mask
    mask = ops.expand_dims(mask, 1)  # (B, 1, S)
    return mask if attention_mask is None else ops.logical_and(attention_mask, mask)


class MultiHeadAttention(Compound):
    """What self- and cross-attention share: heads, scaled dot products, the output map.

    Inside, tensors are heads first: query `(B, N, T, H)`, key and value `(B, K, S, H)`.
    """

    def __init__(
        self,
        num_heads,
        key_dim=None,
        num_key_value_heads=None,
        rotary=None,
        attention_dropout=0.0,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # of positions: half precision has no 257
        key_value_heads = num_heads if num_key_value_heads is None else num_key_value_heads
        require(num_heads > 0, "num_heads to be positive", num_heads=num_heads)
        require(
            0 < key_value_heads <= num_heads and num_heads % key_value_heads == 0,
            "num_key_value_heads to divide num_heads",
            num_heads=num_heads,
            num_key_value_heads=num_key_value_heads,
        )
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.num_key_value_heads = key_value_heads
        self.rotary = rotary_embedding(rotary)
        self.attention_dropout = attention_dropout
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.supports_masking = True

    def build(self, input_shape):
        hidden_dim = input_shape[-1]
        require(
            self.key_dim or hidden_dim % self.num_heads == 0,
            "hidden_dim to be a multiple of num_heads unless key_dim is given",
            hidden_dim=hidden_dim,
            num_heads=self.num_heads,
        )
        self.head_dim = self.key_dim or hidden_dim // self.num_heads
        self.rotate = self.rotary or (lambda heads: heads)
        if self.rotary:
            self.rotary.build((None, None, self.num_heads, self.head_dim))
        self.output_projection = projection(
            self, hidden_dim, "output", (None, None, self.num_heads * self.head_dim)
        )
        self.dropout_layer = Dropout(
            self.attention_dropout, name="dropout", dtype=self.dtype_policy
        )

    def split_heads(self, x):
        """`(B, T, N * H)` as `(B, T, N, H)`, for any number of heads."""
        return ops.reshape(x, (*ops.shape(x)[:2], x.shape[-1] // self.head_dim, self.head_dim))

    def attend(self, query, key, value, attention_mask=None):
        """What `query (B, N, T, H)` finds in `key value (B, K, S, H)`: `(B, T, D)`."""
        batch, _, length, _ = ops.shape(query)
        size = ops.shape(key)[2]
        # The heads that share a key are more queries to it, so no key is ever repeated.
        rows = (
            batch,
            self.num_key_value_heads,
            self.num_heads // self.num_key_value_heads * length,
        )
        query = ops.reshape(query * self.head_dim**-0.5, (*rows, self.head_dim))
        scores = times_transposed(query, key)  # (B, K, N/K * T, S)
        scores = ops.reshape(scores, (batch, self.num_heads, length, size))
        scores = ops.cast(scores, "float32")  # a half-precision sum over S would lose digits
        if attention_mask is not None:
            # One sum; `where` on the scores would pass over them again in the gradient.
            scores = scores + ops.expand_dims(ops.where(attention_mask, 0.0, MASKED), 1)
        weights = nn.softmax(scores)  # (B, N, T, S)
        if scope := AttentionScope.current():
            scope.record(self.path, weights)
        weights = self.dropout_layer(ops.cast(weights, value.dtype))
        x = ops.matmul(ops.reshape(weights, (*rows, size)), value)
        x = ops.reshape(x, (batch, self.num_heads, length, self.head_dim))  # (B, N, T, H)
        x = ops.reshape(
            ops.transpose(x, (0, 2, 1, 3)), (batch, length, self.num_heads * self.head_dim)
        )
        return self.output_projection(x)  # (B, T, D)

    def compute_mask(self, x, previous_mask=None):
        return whole_mask(previous_mask, x)

    def compute_output_shape(self, x_shape, positions_shape=None):
        return (x_shape[0], (positions_shape or x_shape)[1], x_shape[-1])

    def get_config(self):
        return super().get_config() | serialize_arguments(
            self,
            "num_heads",
            "key_dim",
            "num_key_value_heads",
            "rotary",
            "attention_dropout",
            "use_bias",
            "kernel_initializer",
        )


@keras.saving.register_keras_serializable(package="keras_transformer")
class MultiHeadSelfAttention(MultiHeadAttention):
    """Every token of a sequence looks at the tokens of the same sequence.

    Args:
        num_heads: int, N.
        key_dim: int, H, the size of a head. None means `D / N`.
        num_key_value_heads: int, K, heads of keys and values, each shared by `N / K` query heads
            ("grouped-query attention"). None means N, 1 is multi-query attention.
        rotary: a `RotaryEmbedding` applied to queries and keys, or None.
        attention_dropout: float, share of the attention weights that is dropped in training.
        use_bias: bool, whether the projections add a bias; or a list with the names of those that
            do, `"query_key_value"` and `"output"`.
        kernel_initializer: initial values of the kernels.

    Call arguments:
        x: `(B, T, D)`.
        attention_mask: `(B|1, T, S)` bool, True where token t may look at token s. Optional.
        mask: `(B|1, S)` bool, False for padding. Optional; Keras' implicit mask when not given.
        positions: `(B, P)` whole numbers of any dtype, 0 to T - 1, the tokens whose output is
            wanted. None means all T.

    Returns:
        `(B, T, D)`, or `(B, P, D)` with `positions`. A token that may look at nothing gets the
        mean of all values.

    Raises:
        ValueError: when D is not a multiple of N and no `key_dim` is given, K does not divide N,
            or a mask has a wrong shape.

    Reference:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.2; Ainslie et al. 2023, "GQA".

    Example:

    >>> import numpy as np
    >>> attention = MultiHeadSelfAttention(num_heads=4, num_key_value_heads=2)
    >>> attention(np.ones((2, 3, 8)), mask=np.ones((2, 3), bool)).shape == (2, 3, 8)
    True
    """

    def build(self, input_shape):
        super().build(input_shape)
        heads = self.num_heads + 2 * self.num_key_value_heads
        self.query_key_value = projection(
            self, heads * self.head_dim, "query_key_value", input_shape
        )

    def call(self, x, attention_mask=None, mask=None, positions=None):
        query, key, value = self.project(x, positions)
        mask = get_keras_mask(x) if mask is None else mask
        key, value = with_past(self.path, key, value)
        known = None if mask is None else mask_with_past(f"{self.path}/mask", mask, x)  # (B, S)
        check_shape("attention_mask", attention_mask, (*x.shape[:2], key.shape[2]))
        if attention_mask is not None and attention_mask.shape[1] != 1:
            attention_mask = take_positions(attention_mask, positions)  # (B|1, P, S)
        may_look = combine_masks(key, attention_mask, known)
        y = self.attend(query, key, value, may_look)  # (B, T|P, D)
        return with_mask_at(y, x, mask, positions)

    def compute_output_spec(self, x, attention_mask=None, mask=None, positions=None):
        shape = self.compute_output_shape(x.shape, getattr(positions, "shape", None))
        mask = get_keras_mask(x) if mask is None else mask
        return with_mask_at(keras.KerasTensor(shape, self.compute_dtype), x, mask, positions)

    def project(self, x, positions=None):
        heads = self.split_heads(self.query_key_value(x))  # (B, T, N + 2K, H)
        ends = [self.num_heads, self.num_heads + self.num_key_value_heads]
        query, key, value = ops.split(heads, ends, axis=2)
        query, key = take_positions(self.rotate(query), positions), self.rotate(key)
        return heads_first(query), heads_first(key), heads_first(value)


@keras.saving.register_keras_serializable(package="keras_transformer")
class MultiHeadCrossAttention(MultiHeadAttention):
    """Every token of a sequence looks at a memory, for example an encoder's output.

    Inside a `CacheScope` the memory's keys and values are computed once.

    Args:
        num_heads: int, N.
        key_dim: int, H, the size of a head. None means `D / N`.
        num_key_value_heads: int, K, heads of keys and values. None means N.
        rotary: must be None: positions of two sequences are not comparable.
        attention_dropout: float, share of the attention weights that is dropped in training.
        use_bias: bool, whether the projections add a bias; or a list with the names of those that
            do, `"query"`, `"key_value"` and `"output"`.
        kernel_initializer: initial values of the kernels.

    Call arguments:
        x: `(B, T, D)`.
        memory: `(B, S, any)`.
        memory_mask: `(B|1, S)` bool, False for padding. Optional; Keras' implicit mask of `memory`
            when not given.

    Returns:
        `(B, T, D)`.

    Raises:
        ValueError: as `MultiHeadSelfAttention`.

    Reference:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.2.3.

    Example:

    >>> import numpy as np
    >>> x, memory = np.ones((2, 3, 8)), np.ones((2, 5, 6))
    >>> MultiHeadCrossAttention(num_heads=4)(x, memory).shape == (2, 3, 8)
    True
    """

    def build(self, x_shape, memory_shape):
        super().build(x_shape)
        require(self.rotary is None, "no rotary positions in cross-attention", rotary=self.rotary)
        self.query = projection(self, self.num_heads * self.head_dim, "query", x_shape)
        self.key_value = projection(
            self, 2 * self.num_key_value_heads * self.head_dim, "key_value", memory_shape
        )

    def call(self, x, memory, memory_mask=None):
        query = heads_first(self.split_heads(self.query(x)))
        key, value = compute_once(self.path, lambda: self.project(memory))
        may_look = combine_masks(key, mask=memory_mask)
        return self.attend(query, key, value, may_look)  # (B, T, D)

    def project(self, memory):
        key, value = ops.split(self.split_heads(self.key_value(memory)), 2, axis=2)
        return heads_first(key), heads_first(value)

    def compute_output_shape(self, x_shape, memory_shape=None):
        return x_shape
