"""Nonlinearities by name."""

from collections.abc import Callable

import keras

from keras_transformer.backend import gelu as forms
from keras_transformer.types import Activation, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
def gelu(x: Tensor) -> Tensor:
    """GELU, `x * Phi(x)`, of Hendrycks and Gimpel 2016."""
    return forms.gelu(x)


@keras.saving.register_keras_serializable(package="keras_transformer")
def gelu_tanh(x: Tensor) -> Tensor:
    """GELU by the tanh formula of Hendrycks and Gimpel 2016, as in GPT-2."""
    return forms.gelu_tanh(x)


def activation_function(activation: Activation) -> Callable[[Tensor], Tensor]:
    """The function that a Keras name, `"gelu_tanh"`, a saved config or a function stands for."""
    if activation in ("gelu", "gelu_tanh"):
        return gelu if activation == "gelu" else gelu_tanh
    return keras.activations.get(activation)
