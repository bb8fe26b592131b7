"""The position-wise feed-forward network, plain or gated."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_transformer.checks import require
from keras_transformer.layers.activations import activation_function
from keras_transformer.layers.dropout import Dropout
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.projection import projection
from keras_transformer.scopes import ActivationScope
from keras_transformer.types import Activation, Initializer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class FeedForward(Layer):
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
        intermediate_dim: int,
        activation: Activation = "relu",
        gated: bool = False,
        dropout: float = 0.0,
        use_bias: bool | Sequence[str] = True,
        kernel_initializer: Initializer = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
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

    def build(self, input_shape: Shape) -> None:
        width = self.intermediate_dim * (2 if self.gated else 1)
        self.expand = projection(self, width, "expand", input_shape)
        self.contract = projection(
            self, input_shape[-1], "contract", (*input_shape[:-1], self.intermediate_dim)
        )
        self.dropout_layer = Dropout(self.dropout, name="dropout", dtype=self.dtype_policy)

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        x = self.expand(x)
        x = self.activated_gate(x) if self.gated else self.activation(x)  # (B, T, F)
        if scope := ActivationScope.current():
            scope.record(self.path, x)
        return self.contract(self.dropout_layer(x, training=training))  # (B, T, D)

    def compute_output_shape(self, input_shape: Shape) -> tuple:
        return input_shape

    def activated_gate(self, x: Tensor) -> Tensor:
        x, gate = keras.ops.split(x, 2, axis=-1)  # (B, T, F)
        return self.activation(x) * gate
