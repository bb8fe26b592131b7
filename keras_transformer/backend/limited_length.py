"""A length that is known only when a program runs."""

import re

from keras_transformer.backend.dispatch import Operation
from keras_transformer.backend.xla import in_xla
from keras_transformer.checks import require
from keras_transformer.types import Tensor


@Operation
def limited_length(x: Tensor, most: int, expectation: str) -> Tensor:
    """`x (B, T, ...)`, which cannot be computed where T is above `most`.

    T is known before anything is computed, and refused there, but in TensorFlow's graphs.

    >>> import keras
    >>> limited_length(keras.ops.ones((2, 8)), 8, "lines of at most 8 tokens").shape == (2, 8)
    True
    >>> limited_length(keras.ops.ones((2, 9)), 8, "lines of at most 8 tokens")
    Traceback (most recent call last):
    ValueError: Expected lines of at most 8 tokens. Received: length=9
    """
    length = x.shape[1]
    require(length is None or length <= most, expectation, length=length)
    return x


@limited_length.on("tensorflow")
def limited_length_of_graphs(x: Tensor, most: int, expectation: str) -> Tensor:
    """Where T is unknown, an `InvalidArgumentError` with the sentence comes when it runs.

    By XLA there is no more of the sentence than a name.
    """
    if x.shape[1] is not None:
        return limited_length.plain(x, most, expectation)
    import tensorflow as tf

    length = tf.shape(x)[1]
    if in_xla():  # which leaves assertions out, but refuses a slice of what is not there
        name = re.sub(r"\W+", "_", f"expected {expectation}")
        check = tf.slice(tf.range(most), [0], [length], name)
    else:
        sentence = [f"Expected {expectation}. Received: length =", length]
        check = tf.debugging.Assert(length <= most, sentence)
    with tf.control_dependencies([check]):
        return tf.identity(x)
