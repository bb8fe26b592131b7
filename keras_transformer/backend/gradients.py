"""Gradients as tensors, and how large they are."""

from keras import ops

from keras_transformer.backend.dispatch import Operation
from keras_transformer.types import Tensor


@Operation
def dense_gradient(gradient: Tensor) -> Tensor:
    """A gradient as a tensor of its variable's shape."""
    return gradient


@dense_gradient.on("tensorflow")
def dense_of_tokens(gradient: Tensor) -> Tensor:
    """TensorFlow holds those of a looked-up table token by token: their sum is the gradient."""
    import tensorflow as tf

    return tf.convert_to_tensor(gradient)


@Operation
def sum_of_squares(x: Tensor) -> Tensor:
    """The sum of the squares of all numbers of a tensor.

    >>> float(sum_of_squares(ops.array([3.0, 4.0])))
    25.0
    """
    return ops.sum(ops.square(x))


@sum_of_squares.on("tensorflow")
def sum_of_squares_in_one_pass(x: Tensor) -> Tensor:
    import tensorflow as tf

    return 2.0 * tf.nn.l2_loss(x)
