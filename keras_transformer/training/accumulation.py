"""How much a batch's gradients count among those that are accumulated into one update."""

from keras import ops

from keras_transformer.types import Tensor

_latest: dict[str, Tensor | None] = {"weight": None}  # of the gradients computed last


def with_weight(loss: Tensor, weight: Tensor) -> Tensor:
    """The scalar `loss`, the mean of what weighs `weight`; whoever derives it, tells of that.

    No argument leads from a loss to the optimiser, in Keras: `take_weight` asks there, after the
    gradients of the loss, and only then, were computed.

    Example:

    >>> import keras
    >>> print(float(with_weight(keras.ops.ones(()), 7.0)))
    1.0
    """

    @ops.custom_gradient
    def identity(loss):
        def gradient(*args, upstream=None):  # PyTorch names the upstream, the others do not
            _latest["weight"] = weight
            return args[0] if upstream is None else upstream

        return loss, gradient

    return identity(loss)


def take_weight() -> Tensor | None:
    """The weight of the loss derived last, once; None if it told of none."""
    weight, _latest["weight"] = _latest["weight"], None
    return weight
