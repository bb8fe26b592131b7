"""What every layer does with its constructor's arguments: check them and give them back."""

import keras

from keras_transformer.backend.limited_length import limited_length


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
    """`x (B, T, ...)`, of which T is at most `most`, or an error: at the latest when it runs.

    >>> require_length(keras.ops.ones((2, 9)), 8, "lines of at most 8 tokens")
    Traceback (most recent call last):
    ValueError: Expected lines of at most 8 tokens. Received: length=9
    """
    length = x.shape[1]
    require(length is None or length <= most, expectation, length=length)
    return limited_length(x, most, expectation) if length is None else x


def check_shape(name, mask, expected):
    """Raises unless every known dimension of `mask` is as expected, or 1 to broadcast."""
    if mask is not None:
        shape = tuple(mask.shape)
        fits = len(shape) == len(expected) and all(
            want is None or have in (None, 1, want)
            for have, want in zip(shape, expected, strict=True)
        )
        require(fits, f"{name} of shape {expected}", shape=shape)
