"""What an encoder block and a decoder block share."""

import keras

from keras_transformer.checks import require
from keras_transformer.layers.arguments import serialize_arguments
from keras_transformer.layers.attention import MultiHeadSelfAttention, take_positions, whole_mask
from keras_transformer.layers.dropout import Dropout
from keras_transformer.layers.feed_forward import FeedForward, activation_function
from keras_transformer.layers.layer_normalization import LayerNormalization
from keras_transformer.layers.projection import Compound
from keras_transformer.layers.real_tokens import at_real_tokens
from keras_transformer.layers.residual import residual
from keras_transformer.layers.rms_normalization import RMSNormalization
from keras_transformer.layers.rotary_embedding import rotary_embedding

NORMS = {"layer_norm": LayerNormalization, "rms_norm": RMSNormalization}


def normalization(norm, epsilon, **kwargs):
    """The layer that `norm`, `"layer_norm"` or `"rms_norm"`, names."""
    require(norm in NORMS, f"norm to be one of {tuple(NORMS)}", norm=norm)
    return NORMS[norm](epsilon=epsilon, **kwargs)


class TransformerBlock(Compound):
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
        **kwargs,
    ):
        super().__init__(**kwargs)
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
        self.supports_masking = True
        self.self_attention = MultiHeadSelfAttention(
            rotary=self.rotary, **self._attention_arguments("self_attention")
        )
        self.feed_forward = FeedForward(
            intermediate_dim,
            activation=self.activation,
            gated=gated,
            use_bias=use_bias,
            kernel_initializer=self.kernel_initializer,
            name="feed_forward",
            dtype=self.dtype_policy,
            quantized=self.quantized.get("feed_forward"),
        )
        self.dropout_layer = Dropout(dropout, name="dropout", dtype=self.dtype_policy)
        self.self_attention_norm = self._norm("self_attention_norm")
        self.feed_forward_norm = self._norm("feed_forward_norm")

    def build(self, input_shape):
        for sublayer in (
            self.self_attention,
            self.self_attention_norm,
            self.feed_forward,
            self.feed_forward_norm,
        ):
            sublayer.build(input_shape)

    def self_attention_step(self, x, positions=None, **masks):
        def select(x):
            return take_positions(x, positions)

        return self._residual(
            x, self.self_attention, self.self_attention_norm, select, positions=positions, **masks
        )

    def feed_forward_step(self, x, mask=None):
        def step(x):
            return self._residual(x, self.feed_forward, self.feed_forward_norm)

        return at_real_tokens(step, x, mask)

    def _residual(self, x, layer, norm, select=lambda x: x, **others):
        def sublayer(x):
            return layer(x, **others)

        return residual(x, sublayer, norm, self.dropout_layer, self.normalize_first, select)

    def _attention_arguments(self, name):
        return {
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "num_key_value_heads": self.num_key_value_heads,
            "attention_dropout": self.attention_dropout,
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer,
            "name": name,
            "dtype": self.dtype_policy,
            "quantized": self.quantized.get(name),
        }

    def _norm(self, name):
        return normalization(self.norm, self.layer_norm_epsilon, name=name, dtype=self.dtype_policy)

    def compute_mask(self, x, previous_mask=None):
        return whole_mask(previous_mask, x)

    def compute_output_shape(self, x_shape):
        return x_shape

    def get_config(self):
        return super().get_config() | serialize_arguments(
            self,
            "num_heads",
            "intermediate_dim",
            "dropout",
            "activation",
            "normalize_first",
            "num_key_value_heads",
            "key_dim",
            "rotary",
            "attention_dropout",
            "gated",
            "norm",
            "layer_norm_epsilon",
            "use_bias",
            "kernel_initializer",
        )
