"""The mask that Keras attaches to a tensor, which it has no public functions for."""

from keras.src.backend import get_keras_mask, set_keras_mask

from keras_transformer.types import Mask, Tensor


def implicit_mask(x: Tensor) -> Mask:
    """The mask that Keras' layers gave `x (B, T, ...)`, `(B, T)` bool, or None.

    >>> import keras
    >>> ids = keras.ops.convert_to_tensor([[5, 0]])
    >>> embedded = keras.layers.Embedding(9, 4, mask_zero=True)(ids)
    >>> keras.ops.convert_to_numpy(implicit_mask(embedded)).tolist()
    [[True, False]]
    """
    return get_keras_mask(x)


def with_implicit_mask(x: Tensor, mask: Mask) -> Tensor:
    """`x`, to which Keras' layers will find `mask` attached; None leaves it as it is.

    >>> import keras
    >>> x = with_implicit_mask(keras.ops.ones((1, 2, 4)), keras.ops.ones((1, 2), "bool"))
    >>> implicit_mask(x).shape == (1, 2)
    True
    """
    if mask is not None:
        set_keras_mask(x, mask)
    return x
