"""Attention of a sequence to itself."""

import keras
from keras import ops

from keras_transformer.backend.implicit_mask import implicit_mask
from keras_transformer.checks import check_shape
from keras_transformer.layers.multi_head_attention import MultiHeadAttention, swap_heads
from keras_transformer.layers.projection import projection
from keras_transformer.layers.tokens import spec_at, tokens_at, with_mask_at
from keras_transformer.renamed import renamed
from keras_transformer.scopes import cache
from keras_transformer.types import Mask, Positions, Shape, Tensor


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
        wanted: `(B, P)` whole numbers of any dtype, 0 to T - 1, the tokens whose output is wanted.
            None means all T.

    Returns:
        `(B, T, D)`, or `(B, P, D)` with `wanted`. A token that may look at nothing gets the
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

    __call__ = renamed(positions="wanted")(keras.layers.Layer.__call__)

    def build(self, input_shape: Shape) -> None:
        self.build_heads(input_shape[-1])
        heads = self.num_heads + 2 * self.num_key_value_heads
        self.query_key_value = projection(
            self, heads * self.head_dim, "query_key_value", input_shape
        )

    def call(
        self, x: Tensor, attention_mask: Mask = None, mask: Mask = None, wanted: Positions = None
    ) -> Tensor:
        mask = implicit_mask(x) if mask is None else mask
        query, key, value = self.project(x, wanted)
        key, value = cache().append(self.path, key, value)  # (B, K, S, H)
        may_look = self.may_look(x, key, attention_mask, mask, wanted)
        y = self.attend(query, key, value, may_look)  # (B, T|P, D)
        return with_mask_at(y, x, mask, wanted)

    def project(self, x: Tensor, wanted: Positions = None) -> tuple[Tensor, ...]:
        heads = self.split_heads(self.query_key_value(x))  # (B, T, N + 2K, H)
        ends = [self.num_heads, self.num_heads + self.num_key_value_heads]
        query, key, value = ops.split(heads, ends, axis=2)
        query, key = tokens_at(self.rotate(query), wanted), self.rotate(key)
        return swap_heads(query), swap_heads(key), swap_heads(value)

    def may_look(
        self, x: Tensor, key: Tensor, attention_mask: Mask, mask: Mask, wanted: Positions
    ) -> Mask:
        """Both masks in one, `(B|1, T|P|1, S)`, or None."""
        check_shape("attention_mask", attention_mask, (*x.shape[:2], key.shape[2]))
        if attention_mask is not None and attention_mask.shape[1] != 1:
            attention_mask = tokens_at(attention_mask, wanted)  # (B|1, P, S)
        if mask is None:
            return attention_mask
        mask = cache().append_mask(f"{self.path}/mask", mask, x)  # (B|1, S)
        check_shape("mask", mask, (key.shape[0], key.shape[2]))
        mask = ops.expand_dims(mask, 1)
        return mask if attention_mask is None else ops.logical_and(attention_mask, mask)

    def compute_output_spec(
        self, x: Tensor, attention_mask: Mask = None, mask: Mask = None, wanted: Positions = None
    ) -> keras.KerasTensor:
        return spec_at(x, mask, wanted, self.compute_dtype)

    def compute_output_shape(self, x_shape: Shape, wanted_shape: Shape | None = None) -> tuple:
        return (x_shape[0], (wanted_shape or x_shape)[1], x_shape[-1])
