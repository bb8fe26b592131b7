"""Rules about what must not be said, and what must."""

import operator
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_transformer.checks import require
from keras_transformer.generation.part import Part
from keras_transformer.generation.rules import NEVER, Past, is_end, occur
from keras_transformer.types import Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class NoRepeatNgrams(Part):
    """Forbids what would repeat n tokens in a row, of the prompt or of what was said.

    Args:
        n: int.

    Raises:
        ValueError: unless it is positive.

    Reference:
        Paulus et al. 2018, "A Deep Reinforced Model for Abstractive Summarization", section 2.5.

    Example:

    >>> past = Past(np.array([[0, 1, 2, 0, -1]]), length=4, count=3, end_ids=(-1,))
    >>> logits = NoRepeatNgrams(2)(np.array([[0.1, 2.0, 0.3]]), past)
    >>> ops.convert_to_numpy(logits) > NEVER  # 0 was followed by 1
    array([[ True, False,  True]])
    """

    def __init__(self, n: int):
        require(n > 0, "n of NoRepeatNgrams to be positive", n=n)
        self.n = n

    def __call__(self, logits: Tensor, past: Past) -> Tensor:
        n, ids = self.n, past.token_ids  # (R, L)
        rows, starts = ids.shape[0], ids.shape[1] - n + 1
        if starts < 1:
            return logits
        same = ops.ones((rows, starts), dtype="bool")  # as the last n - 1 tokens, from each start
        for j in range(n - 1):
            # While there are fewer than n - 1 tokens, -1 is among these.
            token = ops.slice(ids, (0, ops.maximum(past.length - (n - 1), 0) + j), (rows, 1))
            same = ops.logical_and(
                same, ops.logical_and(ids[:, j : j + starts] == token, token >= 0)
            )
        repeats = ops.where(same, ids[:, n - 1 :], -1)
        return ops.where(occur(repeats, logits), NEVER, logits)


@keras.saving.register_keras_serializable(package="keras_transformer")
class MinLength(Part):
    """Forbids any end before there are so many new tokens, the end itself not counted.

    Args:
        length: int.

    Raises:
        ValueError: when it is negative.

    Example:

    >>> past = Past(None, length=9, count=2, end_ids=(1,))
    >>> ops.convert_to_numpy(MinLength(3)(np.array([[0.1, 2.0, 0.3]]), past)) > NEVER
    array([[ True, False,  True]])
    """

    def __init__(self, length: int):
        require(length >= 0, "length of MinLength to be at least 0", length=length)
        self.length = length

    def __call__(self, logits: Tensor, past: Past) -> Tensor:
        end = is_end(ops.arange(logits.shape[-1]), past.end_ids)
        return ops.where(ops.logical_and(end, past.count < self.length), NEVER, logits)


@keras.saving.register_keras_serializable(package="keras_transformer")
class ForbiddenTokens(Part):
    """Forbids tokens, for example padding.

    Args:
        token_ids: ints.
        at: int, the only new token that must not be one of them, counted from 0. None means all.

    Raises:
        ValueError: for negative ones.

    Example:

    >>> ops.convert_to_numpy(ForbiddenTokens([1])(np.array([[0.1, 2.0, 0.3]]), None)) > NEVER
    array([[ True, False,  True]])
    """

    def __init__(self, token_ids: Sequence[int], at: int | None = None):
        self.token_ids = checked(token_ids)
        self.at = at

    def __call__(self, logits: Tensor, past: Past) -> Tensor:
        forbidden = ops.convert_to_tensor(among(self.token_ids, logits))
        if self.at is not None:
            forbidden = ops.logical_and(forbidden, ops.equal(past.count, self.at))
        return ops.where(forbidden, NEVER, logits)


@keras.saving.register_keras_serializable(package="keras_transformer")
class ForbiddenSequence(Part):
    """Forbids the last of some tokens in a row, where the prompt or what was said has the others.

    Args:
        token_ids: ints, at least two.

    Raises:
        ValueError: for fewer or negative ones.

    Example:

    >>> past = Past(np.array([[0, 2, -1]]), length=2, count=1, end_ids=(-1,))
    >>> ops.convert_to_numpy(ForbiddenSequence([2, 1])(np.array([[0.1, 2.0, 0.3]]), past)) > NEVER
    array([[ True, False,  True]])
    """

    def __init__(self, token_ids: Sequence[int]):
        self.token_ids = checked(token_ids)
        require(len(self.token_ids) > 1, "a sequence of at least two tokens", token_ids=token_ids)

    def __call__(self, logits: Tensor, past: Past) -> Tensor:
        *before, last = self.token_ids
        rows, length = past.token_ids.shape
        if len(before) > length:
            return logits
        # While there are fewer tokens than that, -1 is among these.
        start = ops.maximum(past.length - len(before), 0)
        said = ops.slice(past.token_ids, (0, start), (rows, len(before)))
        same = ops.all(ops.equal(said, np.array(before, "int32")), axis=1, keepdims=True)  # (R, 1)
        forbidden = ops.logical_and(same, among([last], logits))
        return ops.where(forbidden, NEVER, logits)


@keras.saving.register_keras_serializable(package="keras_transformer")
class ForcedTokens(Part):
    """Leaves only these tokens at one place, each with the logit 0.

    In a beam search such a token changes no hypothesis' log-probability.

    Args:
        token_ids: ints.
        at: int, which of the new tokens it is, counted from 0: `max_new_tokens - 1` is the last.

    Raises:
        ValueError: for negative ones.

    Example:

    >>> past = Past(None, length=9, count=0, end_ids=(1,))
    >>> ops.convert_to_numpy(ForcedTokens([2], at=0)(np.array([[0.1, 2.0, 0.3]]), past)) > NEVER
    array([[False, False,  True]])
    """

    def __init__(self, token_ids: Sequence[int], at: int):
        self.token_ids = checked(token_ids)
        require(at >= 0, "a place of at least 0", at=at)
        self.at = at

    def __call__(self, logits: Tensor, past: Past) -> Tensor:
        forced = np.where(among(self.token_ids, logits), 0.0, NEVER).astype("float32")
        return ops.where(ops.equal(past.count, self.at), forced, logits)


def checked(token_ids: Sequence[int]) -> tuple[int, ...]:
    """Token ids as a tuple of ints, none of them negative."""
    found = tuple(map(operator.index, token_ids))
    require(min(found, default=0) >= 0, "tokens to be at least 0", token_ids=token_ids)
    return found


def among(token_ids: Sequence[int], logits: Tensor) -> np.ndarray:
    """Which tokens of the vocabulary of `logits (R, V)` these are: a NumPy bool array `(V,)`."""
    return np.isin(np.arange(logits.shape[-1]), token_ids)
