"""Matrix products."""

import keras
from keras import ops


def times_transposed(x, y):
    """`x (..., T, D)` times the transpose of `y (..., S, D)`, or of `y (S, D)`: `(..., T, S)`.

    As one operation where TensorFlow has it: the gradient of a transpose is one more pass over
    what has the size of `y`, for a vocabulary's table 1 to 3 % of a training step on CPUs.

    >>> times_transposed(ops.ones((2, 3, 4)), ops.ones((5, 4))).shape == (2, 3, 5)
    True
    """
    if keras.config.backend() != "tensorflow":
        return ops.matmul(x, ops.swapaxes(y, -1, -2))
    import tensorflow as tf

    if len(y.shape) == 2:
        rows = tf.matmul(tf.reshape(x, (-1, y.shape[1])), y, transpose_b=True)
        return ops.reshape(rows, (*ops.shape(x)[:-1], y.shape[0]))
    return tf.matmul(x, y, transpose_b=True)
