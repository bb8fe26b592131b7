"""What every layer does with its constructor's arguments: check them and give them back."""

import re

import keras

from keras_transformer.xla import in_xla


def serialize_arguments(layer, *names):
    """`get_config` entries of the attributes `names`: a dict of JSON values."""
    return {name: keras.saving.serialize_keras_object(getattr(layer, name)) for name in names}


def require(condition, expectation, **received):
    """Raises a ValueError in Keras' style unless `condition` holds.

    >>> require(8 % 3 == 0, "num_heads to divide hidden_dim", hidden_dim=8, num_heads=3)
    Traceback (most recent call last):
    ValueError: Expected num_heads to divide hidden_dim. Received: hidden_dim=8, num_heads=3
    """
    if not condition:
        values = ", ".join(f"{name}={value!r}" for name, value in received.items())
        raise ValueError(f"Expected {expectation}. Received: {values}")


def require_length(x, most, expectation):
    """`x (B, T, ...)`, of which T is at most `most`, or an error.

    In TensorFlow's graphs a length may be known only when they run. Then it is an
    `InvalidArgumentError` with the same sentence, by XLA with no more of it than a name.

    >>> require_length(keras.ops.ones((2, 9)), 8, "lines of at most 8 tokens")
    Traceback (most recent call last):
    ValueError: Expected lines of at most 8 tokens. Received: length=9
    """
    length = x.shape[1]
    if length is not None or keras.config.backend() != "tensorflow":
        require(length is None or length <= most, expectation, length=length)
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


def check_shape(name, mask, expected):
    """Raises unless every known dimension of `mask` is as expected, or 1 to broadcast."""
    if mask is not None:
        shape = tuple(mask.shape)
        fits = len(shape) == len(expected) and all(
            want is None or have in (None, 1, want)
            for have, want in zip(shape, expected, strict=True)
        )
        require(fits, f"{name} of shape {expected}", shape=shape)
