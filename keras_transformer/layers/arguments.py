"""What every layer does with its constructor's arguments: check them and give them back."""

import keras

from keras_transformer.backend.limited_length import limited_length
from keras_transformer.checks import require


def serialize_arguments(layer, *names):
    """`get_config` entries of the attributes `names`: a dict of JSON values."""
    return {name: keras.saving.serialize_keras_object(getattr(layer, name)) for name in names}


def require_length(x, most, expectation):
    """`x (B, T, ...)`, of which T is at most `most`, or an error: at the latest when it runs.

    >>> require_length(keras.ops.ones((2, 9)), 8, "lines of at most 8 tokens")
    Traceback (most recent call last):
    ValueError: Expected lines of at most 8 tokens. Received: length=9
    """
    length = x.shape[1]
    require(length is None or length <= most, expectation, length=length)
    return limited_length(x, most, expectation) if length is None else x
