"""What stands between an encoder and the tied logits of a masked language model."""

from typing import Any

import keras

from keras_transformer.layers.activations import activation_function
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.normalization import normalization
from keras_transformer.layers.projection import Projection
from keras_transformer.types import Activation, Initializer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class MaskedLMHead(Layer):
    """A linear map, an activation and a norm for the outputs at the masked positions.

    The token table, transposed, and a bias turn the result into logits.

    Args:
        activation: name or function.
        norm: `"layer_norm"` or `"rms_norm"`.
        layer_norm_epsilon: float, added to the variance in the norm.
        kernel_initializer: initial values of the kernel.

    Call arguments:
        x: `(B, P, D)`.

    Returns:
        `(B, P, D)`.

    Raises:
        ValueError: for an unknown norm.

    Reference:
        Devlin et al. 2019, "BERT", section 3.1, task 1, and the code released with it.

    Example:

    >>> import numpy as np
    >>> MaskedLMHead()(np.ones((2, 3, 8))).shape == (2, 3, 8)
    True
    """

    def __init__(
        self,
        activation: Activation = "gelu",
        norm: str = "layer_norm",
        layer_norm_epsilon: float = 1e-12,
        kernel_initializer: Initializer = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.activation = activation_function(activation)
        self.norm = norm
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.norm_layer = normalization(
            norm, layer_norm_epsilon, name="norm", dtype=self.dtype_policy
        )

    def build(self, x_shape: Shape) -> None:
        self.transform = Projection(
            x_shape[-1],
            self.activation,
            kernel_initializer=self.kernel_initializer,
            name="transform",
            **self.precision("transform"),
        )
        self.transform.build(x_shape)
        self.norm_layer.build(x_shape)

    def call(self, x: Tensor) -> Tensor:
        return self.norm_layer(self.transform(x))

    def compute_output_shape(self, x_shape: Shape) -> tuple:
        return x_shape
