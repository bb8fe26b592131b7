"""The position-wise feed-forward network, plain or gated."""

import math

import keras

from keras_transformer.checks import require
from keras_transformer.layers.arguments import serialize_arguments
from keras_transformer.layers.dropout import Dropout
from keras_transformer.layers.projection import Compound, projection


@keras.saving.register_keras_serializable(package="keras_transformer")
def gelu(x):
    """GELU, `x * Phi(x)`, of Hendrycks and Gimpel 2016, with its gradient written out.

    The derivative that TensorFlow finds by itself takes half as many passes again over `x`.
    """
    if keras.config.backend() != "tensorflow":
        return keras.ops.gelu(x, approximate=False)

    @keras.ops.custom_gradient
    def activated(x):
        share = 0.5 * (1.0 + keras.ops.erf(x * 0.5**0.5))  # Phi(x)

        def gradient(upstream):
            density = keras.ops.exp(keras.ops.square(x) * -0.5 - 0.5 * math.log(2 * math.pi))
            return upstream * (share + x * density)

        return x * share, gradient

    return activated(x)


@keras.saving.register_keras_serializable(package="keras_transformer")
def gelu_tanh(x):
    """GELU by the tanh formula of Hendrycks and Gimpel 2016, as in GPT-2.

    `0.5 * (1 + tanh(u))` is `sigmoid(2 * u)`: fewer passes over `x`, and over its gradient.
    """
    if keras.config.backend() != "tensorflow":
        return keras.ops.gelu(x, approximate=True)

    @keras.ops.custom_gradient
    def activated(x):
        scale = (8.0 / math.pi) ** 0.5  # 2 u = scale * x * (1 + 0.044715 * x^2)
        square = keras.ops.square(x)
        share = keras.ops.sigmoid(x * (scale + (scale * 0.044715) * square))

        def gradient(upstream):
            slope = x * (scale + (3.0 * scale * 0.044715) * square)  # x times that of 2 u
            return upstream * (share + share * (1.0 - share) * slope)

        return x * share, gradient

    return activated(x)


def activation_function(activation):
    """The function that a Keras name, `"gelu_tanh"`, a saved config or a function stands for."""
    if activation in ("gelu", "gelu_tanh"):
        return gelu if activation == "gelu" else gelu_tanh
    return keras.activations.get(activation)


@keras.saving.register_keras_serializable(package="keras_transformer")
class FeedForward(Compound):
    """Two linear maps with a nonlinearity between, applied to every position alone.

    Plain: `W2 activation(W1 x)`. Gated: `W2 (activation(W1 x) * (W3 x))`, where W1 and W3 are the
    two halves of one kernel.

    Args:
        intermediate_dim: int, F, the width between the two maps.
        activation: name or function.
        gated: bool, whether a second projection multiplies the activated one ("SwiGLU" with
            `activation="silu"`, "GeGLU" with `"gelu"`).
        dropout: float, share of the intermediate values that is dropped in training.
        use_bias: bool, whether the maps add a bias; or a list with the names of those that do,
            `"expand"` and `"contract"`.
        kernel_initializer: initial values of the kernels.

    Call arguments:
        x: `(B, T, D)`.

    Returns:
        `(B, T, D)`.

    Raises:
        ValueError: when `intermediate_dim` is not positive.

    Reference:
        Vaswani et al. 2017, section 3.3; Shazeer 2020, "GLU Variants Improve Transformer".

    Example:

    >>> import numpy as np
    >>> FeedForward(16, activation="silu", gated=True)(np.ones((2, 3, 4))).shape == (2, 3, 4)
    True
    """

    def __init__(
        self,
        intermediate_dim,
        activation="relu",
        gated=False,
        dropout=0.0,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        require(
            intermediate_dim > 0,
            "intermediate_dim to be positive",
            intermediate_dim=intermediate_dim,
        )
        self.intermediate_dim = intermediate_dim
        self.activation = activation_function(activation)
        self.gated = gated
        self.dropout = dropout
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.supports_masking = True

    def build(self, input_shape):
        width = self.intermediate_dim * (2 if self.gated else 1)
        self.expand = projection(self, width, "expand", input_shape)
        self.contract = projection(
            self, input_shape[-1], "contract", (*input_shape[:-1], self.intermediate_dim)
        )
        self.dropout_layer = Dropout(self.dropout, name="dropout", dtype=self.dtype_policy)

    def call(self, x, training=None):
        x = self.expand(x)
        x = self.activated_gate(x) if self.gated else self.activation(x)  # (B, T, F)
        return self.contract(self.dropout_layer(x, training=training))  # (B, T, D)

    def compute_output_shape(self, input_shape):
        return input_shape

    def activated_gate(self, x):
        x, gate = keras.ops.split(x, 2, axis=-1)  # (B, T, F)
        return self.activation(x) * gate

    def get_config(self):
        return super().get_config() | serialize_arguments(
            self,
            "intermediate_dim",
            "activation",
            "gated",
            "dropout",
            "use_bias",
            "kernel_initializer",
        )
