"""What an encoder block and a decoder block share."""

import functools

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
from keras_transformer.layers.rotary_embedding import rotary_embedding
from keras_transformer.layers.tokens import whole_mask


class TransformerBlock(Layer):
    """Self-attention and a feed-forward network, each with its norm, dropout and residual."""

    def __init__(
        self,
        num_heads,
        intermediate_dim,
        dropout=0.0,
        activation="relu",
        normalize_first=False,
        *,
        num_key_value_heads=None,
        key_dim=None,
        rotary=None,
        attention_dropout=0.0,
        gated=False,
        norm="layer_norm",
        layer_norm_epsilon=1e-5,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        window=None,
        **kwargs,
    ):
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

    def build(self, input_shape):
        self.self_attention.build(input_shape)
        self.self_attention_norm.build(input_shape)
        self.feed_forward.build(input_shape)
        self.feed_forward_norm.build(input_shape)

    def self_attention_step(self, x, wanted=None, **masks):
        attention = functools.partial(self.self_attention, wanted=wanted, **masks)
        return self.step(x, attention, self.self_attention_norm, wanted)

    def feed_forward_step(self, x, mask=None):
        def step(x):
            return self.step(x, self.feed_forward, self.feed_forward_norm)

        return at_real_tokens(step, x, mask)

    def step(self, x, sublayer, norm, wanted=None):
        return residual(x, sublayer, norm, self.dropout_layer, self.normalize_first, wanted)

    def attention(self, attention_class, name, **arguments):
        return self.sublayer(
            attention_class,
            name,
            num_heads=self.num_heads,
            key_dim=self.key_dim,
            num_key_value_heads=self.num_key_value_heads,
            attention_dropout=self.attention_dropout,
            **arguments,
        )

    def sublayer(self, layer_class, name, **arguments):
        return layer_class(
            use_bias=self.use_bias,
            kernel_initializer=self.kernel_initializer,
            name=name,
            dtype=self.dtype_policy,
            quantized=self.quantized.get(name),
            **arguments,
        )

    def normalization(self, name):
        return normalization(self.norm, self.layer_norm_epsilon, name=name, dtype=self.dtype_policy)

    def compute_mask(self, x, previous_mask=None):
        return whole_mask(previous_mask, x)
