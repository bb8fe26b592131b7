"""What is done to every token by itself need not be done to padding."""

from collections.abc import Callable

from keras_transformer.backend.dispatch import Operation
from keras_transformer.backend.vectorized_map import in_vectorized_map
from keras_transformer.backend.xla import in_xla
from keras_transformer.types import Mask, Tensor


@Operation
def at_real_tokens(function: Callable, x: Tensor, mask: Mask) -> Tensor:
    """`function(x)`, of `x (B, T, D)`, where it does the same to every token by itself.

    What comes out for padding, where `mask (B|1, T|1)` is False, means nothing.

    >>> import keras
    >>> x, mask = keras.ops.ones((1, 3, 2)), keras.ops.convert_to_tensor([[True, True, False]])
    >>> float(at_real_tokens(lambda x: 2 * x, x, mask)[0, 1, 0])
    2.0
    """
    return function(x)


@at_real_tokens.on("tensorflow")
def at_real_tokens_alone(function: Callable, x: Tensor, mask: Mask) -> Tensor:
    """The function gets the real tokens alone, `(1, R, D)`, and padding becomes 0, at no cost.

    Not so by XLA and in `tf.vectorized_map`, where shapes may not depend on values.
    """
    if mask is None or in_xla() or in_vectorized_map():
        return function(x)
    import tensorflow as tf

    mask = tf.broadcast_to(tf.cast(mask, "bool"), tf.shape(x)[:2])
    mask = tf.reshape(mask, (-1,))  # (B * T,)
    # The first one, if there is any, counts as real, so that there is one.
    real = tf.concat([tf.ones_like(mask[:1]), mask[1:]], axis=0)
    rows = tf.where(real)[:, 0]  # (R,)
    place = tf.cumsum(tf.cast(real, "int32")) - 1  # (B * T,), the row of each real one

    def spread(y):  # a scatter takes twice as long
        return tf.gather(y, place) * tf.cast(real, y.dtype)[:, None]

    @tf.custom_gradient
    def pick(x):
        return tf.gather(x, rows), spread

    @tf.custom_gradient
    def put_back(y):
        return spread(y), lambda upstream: tf.gather(upstream, rows)

    y = function(pick(tf.reshape(x, (-1, x.shape[-1])))[None])  # (1, R, D)
    return tf.reshape(put_back(y[0]), tf.shape(x))
