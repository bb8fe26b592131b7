"""A bias on its own: tied logits have a matrix already."""

import keras

from keras_transformer.layers.layer import Layer
from keras_transformer.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class Bias(Layer):
    """Adds a trainable vector, zero at first, to the last axis.

    Call arguments:
        x: `(..., V)`.

    Returns:
        `(..., V)`.

    Reference:
        Devlin et al. 2019, "BERT", where it stands behind the tied logits.

    Example:

    >>> import numpy as np
    >>> Bias()(np.ones((2, 3, 9))).shape == (2, 3, 9)
    True
    """

    def build(self, input_shape: Shape) -> None:
        self.bias = self.add_weight(input_shape[-1:], "zeros", name="bias")

    def call(self, x: Tensor) -> Tensor:
        return x + self.bias

    def compute_output_shape(self, input_shape: Shape) -> tuple:
        return input_shape
