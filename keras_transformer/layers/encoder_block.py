"""The encoder's block."""

import keras
from keras import ops

from keras_transformer.backend.implicit_mask import implicit_mask
from keras_transformer.layers.tokens import spec_at, with_mask_at
from keras_transformer.layers.transformer_block import TransformerBlock
from keras_transformer.renamed import renamed
from keras_transformer.types import Mask, Positions, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class EncoderBlock(TransformerBlock):
    """Self-attention in both directions, then a feed-forward network.

    Args:
        num_heads: int, N; or a dict, `{"self_attention": N}`, as `models.prune_heads` leaves it.
        intermediate_dim: int, F, the width inside the feed-forward network.
        dropout: float, share of each sublayer's output that is dropped in training.
        activation: name or function, the feed-forward network's nonlinearity.
        normalize_first: bool, norm before each sublayer (pre-norm) instead of after its residual.
        num_key_value_heads: int, K, see `MultiHeadSelfAttention`, or such a dict. None means N.
        key_dim: int, H, the size of a head. None means `D / N`.
        rotary: a `RotaryEmbedding` for self-attention, or None.
        attention_dropout: float, share of the attention weights that is dropped in training.
        gated: bool, see `FeedForward`.
        norm: `"layer_norm"` or `"rms_norm"`.
        layer_norm_epsilon: float, added to the variance in both norms.
        use_bias: bool, whether all linear maps add a bias; or a list of the names of those that
            do, see `MultiHeadSelfAttention` and `FeedForward`.
        kernel_initializer: initial values of the kernels.
        window: int, a token sees those at a distance below it, on both sides. None means all.

    Call arguments:
        x: `(B, T, D)`.
        mask: `(B|1, T)` bool, False for padding, whose output means nothing. Optional; Keras'
            implicit mask when not given.
        attention_mask: `(B|1, T, T)` bool, True where token t may look at token s. Optional.
        wanted: `(B, P)` whole numbers of any dtype, 0 to T - 1, the tokens whose output is wanted:
            a last block need not compute what nobody reads. None means all T.

    Returns:
        `(B, T, D)`, or `(B, P, D)` with `wanted`.

    Raises:
        ValueError: for sizes that do not fit, see `MultiHeadSelfAttention`, or an unknown norm.

    Reference:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.1.

    Example:

    >>> import numpy as np
    >>> EncoderBlock(num_heads=2, intermediate_dim=16)(np.ones((2, 3, 8))).shape == (2, 3, 8)
    True
    """

    __call__ = renamed(positions="wanted")(keras.layers.Layer.__call__)

    def call(
        self, x: Tensor, mask: Mask = None, attention_mask: Mask = None, wanted: Positions = None
    ) -> Tensor:
        mask = implicit_mask(x) if mask is None else mask
        x = ops.cast(x, self.compute_dtype)
        may_look = self.may_look(x, attention_mask)
        y = self.self_attention_step(x, attention_mask=may_look, mask=mask, wanted=wanted)
        y = self.feed_forward_step(y, mask if wanted is None else None)  # (B, T|P, D)
        return with_mask_at(y, x, mask, wanted)

    def may_look(self, x: Tensor, attention_mask: Mask) -> Mask:
        """`attention_mask (B|1, T, T)`, which may be None, within the window."""
        if self.window is None:
            return attention_mask
        place = ops.arange(ops.shape(x)[1])
        near = ops.absolute(place[:, None] - place)[None] < self.window  # (1, T, T)
        return near if attention_mask is None else ops.logical_and(attention_mask, near)

    def compute_output_spec(
        self, x: Tensor, mask: Mask = None, attention_mask: Mask = None, wanted: Positions = None
    ) -> keras.KerasTensor:
        return spec_at(x, mask, wanted, self.compute_dtype)

    def compute_output_shape(self, x_shape: Shape, wanted_shape: Shape | None = None) -> tuple:
        return (x_shape[0], (wanted_shape or x_shape)[1], x_shape[-1])
