"""Lengths that a program does not know while it is built."""

from keras_transformer.backend.dispatch import Operation
from keras_transformer.backend.xla import in_xla
from keras_transformer.types import Tensor


@Operation
def unknown(number: Tensor) -> Tensor:
    """`number`, a scalar int, which a shape made of it does not show before the program runs.

    >>> import keras
    >>> int(unknown(keras.ops.convert_to_tensor(3)))
    3
    """
    return number


@unknown.on("tensorflow")
def unknown_to_the_graph(number: Tensor) -> Tensor:
    """Where a tensor is to grow in a loop, its length before it must be as unknown as after it."""
    import tensorflow as tf

    return tf.compat.v1.placeholder_with_default(number, ())


def may_grow() -> bool:
    """Whether a tensor's length may change in a loop of what runs now.

    >>> import keras
    >>> may_grow() == (keras.config.backend() != "jax")
    True
    """
    return not in_xla()
