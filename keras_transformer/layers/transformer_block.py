"""What an encoder block and a decoder block share."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_transformer.backend.real_tokens import at_real_tokens
from keras_transformer.checks import require
from keras_transformer.layers.activations import activation_function
from keras_transformer.layers.dropout import Dropout
from keras_transformer.layers.feed_forward import FeedForward
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.multi_head_self_attention import MultiHeadSelfAttention
from keras_transformer.layers.normalization import normalization
from keras_transformer.layers.residual import residual
from keras_transformer.layers.rotary_embedding import RotaryEmbedding, rotary_embedding
from keras_transformer.layers.tokens import whole_mask
from keras_transformer.types import Activation, Initializer, Mask, Positions, Shape, Tensor


class TransformerBlock(Layer):
    """Self-attention and a feed-forward network, each with its norm, dropout and residual."""

    def __init__(
        self,
        num_heads: int | dict[str, int],
        intermediate_dim: int,
        dropout: float = 0.0,
        activation: Activation = "relu",
        normalize_first: bool = False,
        *,
        num_key_value_heads: int | dict[str, int] | None = None,
        key_dim: int | None = None,
        rotary: RotaryEmbedding | dict | None = None,
        attention_dropout: float = 0.0,
        gated: bool = False,
        norm: str = "layer_norm",
        layer_norm_epsilon: float = 1e-5,
        use_bias: bool | Sequence[str] = True,
        kernel_initializer: Initializer = "glorot_uniform",
        window: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # of places: bfloat16 has no 257
        require(window is None or window > 0, "window to be positive or None", window=window)
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.activation = activation_function(activation)
        self.normalize_first = normalize_first
        self.num_key_value_heads = num_key_value_heads
        self.key_dim = key_dim
        self.rotary = rotary_embedding(rotary)
        self.attention_dropout = attention_dropout
        self.gated = gated
        self.norm = norm
        self.layer_norm_epsilon = layer_norm_epsilon
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.window = window
        self.self_attention = self.attention(
            MultiHeadSelfAttention, "self_attention", rotary=self.rotary
        )
        self.feed_forward = self.sublayer(
            FeedForward,
            "feed_forward",
            intermediate_dim=intermediate_dim,
            activation=self.activation,
            gated=gated,
        )
        self.dropout_layer = Dropout(dropout, name="dropout", dtype=self.dtype_policy)
        self.self_attention_norm = self.normalization("self_attention_norm")
        self.feed_forward_norm = self.normalization("feed_forward_norm")

    def build(self, input_shape: Shape) -> None:
        self.self_attention.build(input_shape)
        self.self_attention_norm.build(input_shape)
        self.feed_forward.build(input_shape)
        self.feed_forward_norm.build(input_shape)

    def self_attention_step(
        self, x: Tensor, wanted: Positions = None, **masks: Tensor | None
    ) -> Tensor:
        attention = functools.partial(self.self_attention, wanted=wanted, **masks)
        return self.step(x, attention, self.self_attention_norm, wanted)

    def feed_forward_step(self, x: Tensor, mask: Mask = None) -> Tensor:
        def step(x):
            return self.step(x, self.feed_forward, self.feed_forward_norm)

        return at_real_tokens(step, x, mask)

    def step(
        self, x: Tensor, sublayer: Callable, norm: keras.layers.Layer, wanted: Positions = None
    ) -> Tensor:
        return residual(x, sublayer, norm, self.dropout_layer, self.normalize_first, wanted)

    def attention(self, attention_class: type, name: str, **arguments: Any) -> Any:
        return self.sublayer(
            attention_class,
            name,
            num_heads=heads_of(name, self.num_heads),
            key_dim=self.key_dim,
            num_key_value_heads=heads_of(name, self.num_key_value_heads),
            attention_dropout=self.attention_dropout,
            **arguments,
        )

    def sublayer(self, layer_class: type, name: str, **arguments: Any) -> Layer:
        return layer_class(
            use_bias=self.use_bias,
            kernel_initializer=self.kernel_initializer,
            name=name,
            dtype=self.dtype_policy,
            quantized=self.quantized.get(name),
            **arguments,
        )

    def normalization(self, name: str) -> keras.layers.Layer:
        return normalization(self.norm, self.layer_norm_epsilon, name=name, dtype=self.dtype_policy)

    def compute_mask(self, x: Tensor, previous_mask: Mask = None) -> Mask:
        return whole_mask(previous_mask, x)


def heads_of(sublayer: str, heads: Any) -> Any:
    """How many heads a block's attention `sublayer` has: `heads`, or what it says by name.

    >>> heads_of("self_attention", 8), heads_of("self_attention", {"self_attention": 3})
    (8, 3)
    """
    if not isinstance(heads, dict):
        return heads
    require(sublayer in heads, f"heads of {sublayer}", heads=dict(heads))
    return heads[sublayer]
