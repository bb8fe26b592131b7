"""The decoder's block, with and without an encoder's memory."""

import functools
from typing import Any

import keras
from keras import ops

from keras_transformer.backend.implicit_mask import implicit_mask
from keras_transformer.checks import check_shape, require
from keras_transformer.layers.causal_mask import CausalMask
from keras_transformer.layers.multi_head_cross_attention import MultiHeadCrossAttention
from keras_transformer.layers.transformer_block import TransformerBlock
from keras_transformer.types import Mask, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class DecoderBlock(TransformerBlock):
    """Causal self-attention, cross-attention to a memory if there is one, then feed-forward.

    Cross-attention exists when the block is first called, or built, with a memory. Such a block
    passes over it when it is called without one.

    Args:
        num_heads: int, N; or a dict of the numbers of `"self_attention"` and `"cross_attention"`,
            which differ after `models.prune_heads`.
        intermediate_dim: int, F, the width inside the feed-forward network.
        dropout: float, share of each sublayer's output that is dropped in training.
        activation: name or function, the feed-forward network's nonlinearity.
        normalize_first: bool, norm before each sublayer (pre-norm) instead of after its residual.
        num_key_value_heads, key_dim, rotary, attention_dropout, gated, norm, layer_norm_epsilon,
            use_bias, kernel_initializer: see `EncoderBlock`.
        window: int, how many tokens back a token sees, itself included. None means all.

    Call arguments:
        x: `(B, T, D)`.
        memory: `(B, S, any)`, the encoder's output. Optional.
        mask: `(B|1, T)` bool, False for padding. Optional; Keras' implicit mask when not given.
        memory_mask: `(B|1, S)` bool, likewise for `memory`.
        attention_mask: `(B|1, T, T)` bool, True where a token may look at an earlier one. Optional.

    Returns:
        `(B, T, D)`.

    Raises:
        ValueError: for sizes that do not fit, see `MultiHeadSelfAttention`, an unknown norm, and
            a memory when the block was built without one.

    Reference:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.1.

    Example:

    >>> import numpy as np
    >>> x, memory = np.ones((2, 3, 8)), np.ones((2, 5, 8))
    >>> DecoderBlock(num_heads=2, intermediate_dim=16)(x, memory).shape == (2, 3, 8)
    True
    """

    def build(self, x_shape: Shape, memory_shape: Shape | None = None) -> None:
        super().build(x_shape)
        self.causal_mask = CausalMask(self.window, name="causal_mask")
        self.causal_mask.build(x_shape)
        self.cross_attention: Any = None
        if memory_shape is not None:
            self.cross_attention = self.attention(MultiHeadCrossAttention, "cross_attention")
            self.cross_attention.build(x_shape, memory_shape)
            self.cross_attention_norm = self.normalization("cross_attention_norm")
            self.cross_attention_norm.build(x_shape)

    def call(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        mask: Mask = None,
        memory_mask: Mask = None,
        attention_mask: Mask = None,
    ) -> Tensor:
        mask = implicit_mask(x) if mask is None else mask
        x = ops.cast(x, self.compute_dtype)
        may_look = self.causal_mask(x, mask=mask)  # (B|1, T, S)
        check_shape("attention_mask", attention_mask, (*x.shape[:2], may_look.shape[2]))
        if attention_mask is not None:
            may_look = ops.logical_and(may_look, attention_mask)
        x = self.self_attention_step(x, attention_mask=may_look)
        if memory is not None:
            self.require_cross_attention(memory.shape)
            x = self.cross_attention_step(x, memory=memory, memory_mask=memory_mask)
        return self.feed_forward_step(x)  # (B, T, D)

    def cross_attention_step(self, x: Tensor, **memory: Tensor | None) -> Tensor:
        attention = functools.partial(self.cross_attention, **memory)
        return self.step(x, attention, self.cross_attention_norm)

    def require_cross_attention(self, memory_shape: Shape) -> None:
        require(
            self.cross_attention is not None,
            "no memory, as when the block was built",
            memory_shape=tuple(memory_shape),
        )

    def compute_output_shape(self, x_shape: Shape, memory_shape: Shape | None = None) -> Shape:
        if self.built and memory_shape is not None:
            self.require_cross_attention(memory_shape)
        return x_shape
