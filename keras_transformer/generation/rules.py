"""Rules that change what is said next: small objects that turn logits into logits.

A `Generator` applies its rules in order, before any sampler chooses; in a beam search the logits
are log-probabilities, and what the rules leave of them is what hypotheses are compared by.
`NEVER` is a very small logit: where rules forbid everything, what is said is one of the forbidden,
so constraints belong before `TopK`, `TopP` and `MinP`.
"""

import functools
import operator
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np  # noqa: F401  for the examples
from keras import ops

from keras_transformer.checks import require
from keras_transformer.generation.part import Part
from keras_transformer.types import Tensor

NEVER = -1e9  # the logit of what must not be said


class Past(NamedTuple):
    """What a rule may know beside the logits.

    Attributes:
        token_ids: `(R, L)` ints, prompt and new tokens; -1 for padding and what is still to come.
        length: int or scalar int tensor, the place in `token_ids` of the token to be chosen.
        count: int or scalar int tensor, how many tokens are new.
        end_ids: tuple of ints, the tokens that end a sequence; (-1,) for none.
    """

    token_ids: Tensor
    length: Tensor
    count: Tensor
    end_ids: tuple[int, ...]


Rule = Callable[[Tensor, Past], Tensor]  # (logits (R, V), Past) -> logits


@keras.saving.register_keras_serializable(package="keras_transformer")
class Temperature(Part):
    """Divides the logits: below 1 the likely becomes likelier.

    Args:
        temperature: float.

    Raises:
        ValueError: unless it is positive. (Greedy search is `sampler="greedy"`.)

    Example:

    >>> Temperature(0.5)(np.array([[1.0, 3.0]]), None)
    array([[2., 6.]])
    """

    def __init__(self, temperature: float):
        require(temperature > 0, "temperature to be positive", temperature=temperature)
        self.temperature = temperature

    def __call__(self, logits: Tensor, past: Past | None) -> Tensor:
        return logits / self.temperature


@keras.saving.register_keras_serializable(package="keras_transformer")
class TopK(Part):
    """Keeps the k most probable tokens, and those as probable as the last of them.

    Args:
        k: int.

    Raises:
        ValueError: unless it is positive.

    Reference:
        Fan et al. 2018, "Hierarchical Neural Story Generation", section 5.

    Example:

    >>> ops.convert_to_numpy(TopK(2)(np.array([[0.1, 2.0, 0.3]]), None)) > NEVER
    array([[False,  True,  True]])
    """

    def __init__(self, k: int):
        require(k > 0, "k of TopK to be positive", k=k)
        self.k = k

    def __call__(self, logits: Tensor, past: Past | None) -> Tensor:
        best, _ = ops.top_k(logits, min(self.k, logits.shape[-1]))
        return ops.where(logits >= best[..., -1:], logits, NEVER)


@keras.saving.register_keras_serializable(package="keras_transformer")
class TopP(Part):
    """Keeps the smallest set of most probable tokens that holds the probability p.

    Args:
        p: float.

    Raises:
        ValueError: unless 0 < p <= 1.

    Reference:
        Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", section 3.1.

    Example:

    >>> ops.convert_to_numpy(TopP(0.7)(np.array([[0.1, 2.0, 0.3]]), None)) > NEVER
    array([[False,  True, False]])
    """

    def __init__(self, p: float):
        require(0 < p <= 1, "p of TopP in (0, 1]", p=p)
        self.p = p

    def __call__(self, logits: Tensor, past: Past | None) -> Tensor:
        probability = ops.softmax(logits)
        ordered = ops.flip(ops.sort(probability, axis=-1), axis=-1)
        cumulative = ops.cumsum(ordered, axis=-1)
        # A token is in the set if the more probable ones do not hold p yet.
        inside = cumulative - ordered < self.p * cumulative[..., -1:]
        least = ops.min(ops.where(inside, ordered, 1.0), axis=-1, keepdims=True)
        return ops.where(probability >= least, logits, NEVER)


@keras.saving.register_keras_serializable(package="keras_transformer")
class MinP(Part):
    """Keeps the tokens that are at least p times as probable as the most probable one.

    Args:
        p: float.

    Raises:
        ValueError: unless 0 < p <= 1.

    Reference:
        Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling".

    Example:

    >>> ops.convert_to_numpy(MinP(0.17)(np.array([[0.1, 2.0, 0.3]]), None)) > NEVER
    array([[False,  True,  True]])
    """

    def __init__(self, p: float):
        require(0 < p <= 1, "p of MinP in (0, 1]", p=p)
        self.p = p

    def __call__(self, logits: Tensor, past: Past | None) -> Tensor:
        probability = ops.softmax(logits)
        least = self.p * ops.max(probability, axis=-1, keepdims=True)
        return ops.where(probability >= least, logits, NEVER)


@keras.saving.register_keras_serializable(package="keras_transformer")
class RepetitionPenalty(Part):
    """Makes tokens of the prompt and of what was said less probable.

    Args:
        penalty: float, divides positive logits of such tokens and multiplies negative ones.

    Raises:
        ValueError: unless it is positive.

    Reference:
        Keskar et al. 2019, "CTRL", section 4.1.

    Example:

    >>> past = Past(np.array([[0, 1, -1]]), length=2, count=1, end_ids=(-1,))
    >>> ops.convert_to_numpy(RepetitionPenalty(2.0)(np.array([[3.0, -3.0, 3.0]]), past)).tolist()
    [[1.5, -6.0, 3.0]]
    """

    def __init__(self, penalty: float):
        require(penalty > 0, "penalty to be positive", penalty=penalty)
        self.penalty = penalty

    def __call__(self, logits: Tensor, past: Past) -> Tensor:
        said = occur(past.token_ids, logits)
        penalised = ops.where(logits > 0, logits / self.penalty, logits * self.penalty)
        return ops.where(said, penalised, logits)


@keras.saving.register_keras_serializable(package="keras_transformer")
class Renormalize(Part):
    """Makes the probabilities of what other rules left sum to 1 again.

    Only a beam search is changed by it, which adds log-probabilities up; there it belongs last.

    Example:

    >>> ops.convert_to_numpy(Renormalize()(np.array([[2.0, 2.0, NEVER]]), None))[:, :2].round(3)
    array([[-0.693, -0.693]])
    """

    def __call__(self, logits: Tensor, past: Past | None) -> Tensor:
        return ops.log_softmax(logits, axis=-1)


def is_end(token: Tensor, end_ids: tuple[int, ...]) -> Tensor:
    """Which of the tokens end a sequence: a bool array like `token`."""
    return functools.reduce(operator.or_, [token == end_id for end_id in end_ids])


def occur(token_ids: Tensor, logits: Tensor) -> Tensor:
    """Which tokens are in `token_ids (R, any)`, -1 aside: a bool tensor like `logits (R, V)`."""
    rows, size = logits.shape
    token = ops.where(token_ids < 0, size, ops.cast(token_ids, "int32"))  # beyond the vocabulary
    row = ops.broadcast_to(ops.arange(rows)[:, None], token.shape)
    places = ops.reshape(ops.stack([row, token], axis=-1), (-1, 2))
    counts = ops.scatter(places, ops.ones((places.shape[0],), dtype="int32"), (rows, size + 1))
    return counts[:, :size] > 0
