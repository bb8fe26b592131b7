"""Softmax, and what can be read off it."""

from keras import ops
from keras.src.backend import nn  # ops.softmax warns where there is one value

from keras_transformer.types import Tensor


def softmax(scores: Tensor) -> Tensor:
    """`exp(scores) / sum(exp(scores))` over the last axis of `scores (..., S)`.

    >>> ops.convert_to_numpy(softmax(ops.zeros((1, 2)))).tolist()
    [[0.5, 0.5]]
    """
    return nn.softmax(scores)


def softmax_and_log_total(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The softmax of `logits (..., V)`, and `log(sum(exp(logits)))`, `(...)`.

    The sum is read off the softmax, in which the largest logit cannot vanish: two passes where a
    logsumexp takes four.

    >>> probabilities, log_total = softmax_and_log_total(ops.zeros((1, 4)))
    >>> round(float(log_total[0]), 4)  # log(4)
    1.3863
    """
    probabilities = ops.softmax(logits, axis=-1)
    return probabilities, largest(logits) - ops.log(largest(probabilities))


def largest(x: Tensor) -> Tensor:
    """The largest value of each row of `x (..., V)`, `(...)`; of no rows, too.

    >>> largest(ops.ones((0, 4))).shape == (0,)
    True
    """
    # ops.max refuses an empty tensor wherever it can see that it is one.
    return ops.sum(x, axis=-1) if 0 in x.shape else ops.max(x, axis=-1)
