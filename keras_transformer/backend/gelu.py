"""GELU, of Hendrycks and Gimpel 2016, exactly and by its tanh formula."""

import math

from keras import ops

from keras_transformer.backend.dispatch import Operation
from keras_transformer.types import Tensor


@Operation
def gelu(x: Tensor) -> Tensor:
    """`x * Phi(x)`, Phi being the standard normal distribution's."""
    return ops.gelu(x, approximate=False)


@gelu.on("tensorflow")
def gelu_with_gradient(x: Tensor) -> Tensor:
    """The derivative that TensorFlow finds by itself takes half as many passes again over `x`."""

    @ops.custom_gradient
    def activated(x):
        share = 0.5 * (1.0 + ops.erf(x * 0.5**0.5))  # Phi(x)

        def gradient(upstream):
            density = ops.exp(ops.square(x) * -0.5 - 0.5 * math.log(2 * math.pi))
            return upstream * (share + x * density)

        return x * share, gradient

    return activated(x)


@Operation
def gelu_tanh(x: Tensor) -> Tensor:
    """`x * (1 + tanh(u)) / 2`, where `u = sqrt(2 / pi) * (x + 0.044715 * x^3)`."""
    return ops.gelu(x, approximate=True)


@gelu_tanh.on("tensorflow")
def gelu_tanh_with_gradient(x: Tensor) -> Tensor:
    """`(1 + tanh(u)) / 2` is `sigmoid(2 * u)`: fewer passes over `x`, and over its gradient."""

    @ops.custom_gradient
    def activated(x):
        scale = (8.0 / math.pi) ** 0.5  # 2 u = scale * x * (1 + 0.044715 * x^2)
        square = ops.square(x)
        share = ops.sigmoid(x * (scale + (scale * 0.044715) * square))

        def gradient(upstream):
            slope = x * (scale + (3.0 * scale * 0.044715) * square)  # x times that of 2 u
            return upstream * (share + share * (1.0 - share) * slope)

        return x * share, gradient

    return activated(x)
