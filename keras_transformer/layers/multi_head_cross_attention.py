"""Attention of a sequence to a memory."""

import keras
from keras import ops

from keras_transformer.checks import check_shape, require
from keras_transformer.layers.multi_head_attention import MultiHeadAttention, swap_heads
from keras_transformer.layers.projection import projection
from keras_transformer.scopes import cache
from keras_transformer.types import Mask, Shape, Tensor


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

    def build(self, x_shape: Shape, memory_shape: Shape) -> None:
        self.build_heads(x_shape[-1])
        require(self.rotary is None, "no rotary positions in cross-attention", rotary=self.rotary)
        self.query = projection(self, self.num_heads * self.head_dim, "query", x_shape)
        self.key_value = projection(
            self, 2 * self.num_key_value_heads * self.head_dim, "key_value", memory_shape
        )

    def call(self, x: Tensor, memory: Tensor, memory_mask: Mask = None) -> Tensor:
        query = swap_heads(self.split_heads(self.query(x)))  # (B, N, T, H)
        key, value = cache().once(self.path, lambda: self.project(memory))  # (B, K, S, H)
        check_shape("mask", memory_mask, (key.shape[0], key.shape[2]))
        may_look = None if memory_mask is None else ops.expand_dims(memory_mask, 1)  # (B|1, 1, S)
        return self.attend(query, key, value, may_look)  # (B, T, D)

    def project(self, memory: Tensor) -> tuple[Tensor, ...]:
        key, value = ops.split(self.split_heads(self.key_value(memory)), 2, axis=2)
        return swap_heads(key), swap_heads(value)

    def compute_output_shape(self, x_shape: Shape, memory_shape: Shape | None = None) -> tuple:
        return x_shape
