"""A number that a graph is not to know while it is built."""

import keras

from keras_transformer.types import Tensor


def unknown(number: Tensor) -> Tensor:
    """`number`, a scalar int, which a shape made of it does not show before the program runs.

    TensorFlow asks for it where a tensor is to grow in a loop: its length before the loop must be
    as unknown as after it. Elsewhere it is the number as it came.

    >>> int(unknown(keras.ops.convert_to_tensor(3)))
    3
    """
    if keras.config.backend() != "tensorflow":
        return number
    import tensorflow as tf

    return tf.compat.v1.placeholder_with_default(number, ())
