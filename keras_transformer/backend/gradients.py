"""Gradients as tensors, and how large they are."""

import keras
from keras import ops


def dense(gradient):
    """A gradient as a tensor of its variable's shape.

    TensorFlow holds those of a looked-up table token by token: their sum is the gradient.
    """
    if keras.config.backend() != "tensorflow":
        return gradient
    import tensorflow as tf

    return tf.convert_to_tensor(gradient)


def sum_of_squares(x):
    """The sum of the squares of all numbers in a tensor, which TensorFlow takes in one pass.

    >>> float(sum_of_squares(ops.convert_to_tensor([3.0, 4.0])))
    25.0
    """
    if keras.config.backend() != "tensorflow":
        return ops.sum(ops.square(x))
    import tensorflow as tf

    return 2.0 * tf.nn.l2_loss(x)
