"""What self- and cross-attention share."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_transformer.checks import require
from keras_transformer.layers.dot_product_attention import attention_weights, weighted_sum
from keras_transformer.layers.dropout import Dropout
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.projection import projection
from keras_transformer.layers.rotary_embedding import RotaryEmbedding, rotary_embedding
from keras_transformer.layers.tokens import whole_mask
from keras_transformer.scopes import AttentionScope
from keras_transformer.types import Initializer, Mask, Tensor


class MultiHeadAttention(Layer):
    """Heads of queries, keys and values, scaled dot products, the output map.

    Inside, tensors are heads first: query `(B, N, T, H)`, key and value `(B, K, S, H)`.
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int | None = None,
        num_key_value_heads: int | None = None,
        rotary: RotaryEmbedding | dict | None = None,
        attention_dropout: float = 0.0,
        use_bias: bool | Sequence[str] = True,
        kernel_initializer: Initializer = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # of places: half precision has no 257
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

    def build_heads(self, hidden_dim: int) -> None:
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

    def split_heads(self, x: Tensor) -> Tensor:
        """`(B, T, N * H)` as `(B, T, N, H)`, for any number of heads."""
        return ops.reshape(x, (*ops.shape(x)[:2], x.shape[-1] // self.head_dim, self.head_dim))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, may_look: Mask = None) -> Tensor:
        """What `query (B, N, T, H)` finds in `key value (B, K, S, H)`: `(B, T, D)`."""
        weights = attention_weights(query, key, may_look)  # (B, N, T, S)
        if scope := AttentionScope.current():
            scope.record(self.path, weights)
        weights = self.dropout_layer(ops.cast(weights, value.dtype))
        x = swap_heads(weighted_sum(weights, value))  # (B, T, N, H)
        x = ops.reshape(x, (*ops.shape(x)[:2], self.num_heads * self.head_dim))
        return self.output_projection(x)  # (B, T, D)

    def compute_mask(self, x: Tensor, previous_mask: Mask = None) -> Mask:
        return whole_mask(previous_mask, x)


def swap_heads(x: Tensor) -> Tensor:
    """`(B, T, N, H)` as `(B, N, T, H)`, and back."""
    return ops.transpose(x, (0, 2, 1, 3))
