"""A length that is known only when a program runs."""

import re

import keras

from keras_transformer.backend.xla import in_xla


def limited_length(x, most, expectation):
    """`x (B, T, ...)`, which cannot be computed where T is above `most`.

    Only in TensorFlow's graphs is T unknown before they run. There it is an `InvalidArgumentError`
    with the sentence, by XLA with no more of it than a name.

    >>> limited_length(keras.ops.ones((2, 8)), 8, "lines of at most 8 tokens").shape == (2, 8)
    True
    """
    if keras.config.backend() != "tensorflow":
        return x
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
