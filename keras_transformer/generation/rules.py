"""Rules that change what is said next: small objects that turn logits into logits.

A `Generator` applies its rules in order, before any sampler chooses; in a beam search the logits
are log-probabilities, and what the rules leave of them is what hypotheses are compared by.
`NEVER` is a very small logit: where rules forbid everything, what is said is one of the forbidden,
so `ForbiddenTokens` and `MinLength` belong before `TopK`, `TopP` and `MinP`.
"""

from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_transformer.layers.arguments import require

NEVER = -1e9  # the logit of what must not be said


class Past(NamedTuple):
    """What a rule may know beside the logits.

    Attributes:
        token_ids: `(R, L)` ints, prompt and new tokens; -1 for padding and what is still to come.
        length: int or scalar int tensor, the place in `token_ids` of the token to be chosen.
        count: int or scalar int tensor, how many tokens are new.
        end_id: int, the token that ends a sequence, or -1.
    """

    token_ids: Any
    length: Any
    count: Any
    end_id: int


class Temperature:
    """Divides the logits: below 1 the likely becomes likelier.

    Args:
        temperature: float.

    Raises:
        ValueError: unless it is positive. (Greedy search is `sampler="greedy"`.)

    Example:

    >>> Temperature(0.5)(np.array([[1.0, 3.0]]), None)
    array([[2., 6.]])
    """

    def __init__(self, temperature):
        require(temperature > 0, "temperature to be positive", temperature=temperature)
        self.temperature = temperature

    def __call__(self, logits, past):
        return logits / self.temperature


class TopK:
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

    def __init__(self, k):
        require(k > 0, "k of TopK to be positive", k=k)
        self.k = k

    def __call__(self, logits, past):
        best, _ = ops.top_k(logits, min(self.k, logits.shape[-1]))
        return ops.where(logits >= best[..., -1:], logits, NEVER)


class TopP:
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

    def __init__(self, p):
        require(0 < p <= 1, "p of TopP in (0, 1]", p=p)
        self.p = p

    def __call__(self, logits, past):
        probability = ops.softmax(logits)
        ordered = ops.flip(ops.sort(probability, axis=-1), axis=-1)
        cumulative = ops.cumsum(ordered, axis=-1)
        # A token is in the set if the more probable ones do not hold p yet.
        inside = cumulative - ordered < self.p * cumulative[..., -1:]
        least = ops.min(ops.where(inside, ordered, 1.0), axis=-1, keepdims=True)
        return ops.where(probability >= least, logits, NEVER)


class MinP:
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

    def __init__(self, p):
        require(0 < p <= 1, "p of MinP in (0, 1]", p=p)
        self.p = p

    def __call__(self, logits, past):
        probability = ops.softmax(logits)
        least = self.p * ops.max(probability, axis=-1, keepdims=True)
        return ops.where(probability >= least, logits, NEVER)


class RepetitionPenalty:
    """Makes tokens of the prompt and of what was said less probable.

    Args:
        penalty: float, divides positive logits of such tokens and multiplies negative ones.

    Raises:
        ValueError: unless it is positive.

    Reference:
        Keskar et al. 2019, "CTRL", section 4.1.

    Example:

    >>> past = Past(np.array([[0, 1, -1]]), length=2, count=1, end_id=-1)
    >>> ops.convert_to_numpy(RepetitionPenalty(2.0)(np.array([[3.0, -3.0, 3.0]]), past)).tolist()
    [[1.5, -6.0, 3.0]]
    """

    def __init__(self, penalty):
        require(penalty > 0, "penalty to be positive", penalty=penalty)
        self.penalty = penalty

    def __call__(self, logits, past):
        said = occur(past.token_ids, logits)
        penalised = ops.where(logits > 0, logits / self.penalty, logits * self.penalty)
        return ops.where(said, penalised, logits)


class NoRepeatNgrams:
    """Forbids what would repeat n tokens in a row, of the prompt or of what was said.

    Args:
        n: int.

    Raises:
        ValueError: unless it is positive.

    Reference:
        Paulus et al. 2018, "A Deep Reinforced Model for Abstractive Summarization", section 2.5.

    Example:

    >>> past = Past(np.array([[0, 1, 2, 0, -1]]), length=4, count=3, end_id=-1)
    >>> logits = NoRepeatNgrams(2)(np.array([[0.1, 2.0, 0.3]]), past)
    >>> ops.convert_to_numpy(logits) > NEVER  # 0 was followed by 1
    array([[ True, False,  True]])
    """

    def __init__(self, n):
        require(n > 0, "n of NoRepeatNgrams to be positive", n=n)
        self.n = n

    def __call__(self, logits, past):
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


class MinLength:
    """Forbids the end before there are so many new tokens, the end itself not counted.

    Args:
        length: int.

    Raises:
        ValueError: when it is negative.

    Example:

    >>> past = Past(None, length=9, count=2, end_id=1)
    >>> ops.convert_to_numpy(MinLength(3)(np.array([[0.1, 2.0, 0.3]]), past)) > NEVER
    array([[ True, False,  True]])
    """

    def __init__(self, length):
        require(length >= 0, "length of MinLength to be at least 0", length=length)
        self.length = length

    def __call__(self, logits, past):
        end = ops.arange(logits.shape[-1]) == past.end_id
        return ops.where(ops.logical_and(end, past.count < self.length), NEVER, logits)


class ForbiddenTokens:
    """Forbids tokens, for example padding.

    Args:
        token_ids: ints.

    Raises:
        ValueError: for negative ones.

    Example:

    >>> ops.convert_to_numpy(ForbiddenTokens([1])(np.array([[0.1, 2.0, 0.3]]), None)) > NEVER
    array([[ True, False,  True]])
    """

    def __init__(self, token_ids):
        self.token_ids = tuple(map(int, token_ids))
        require(min(self.token_ids, default=0) >= 0, "tokens to be at least 0", token_ids=token_ids)

    def __call__(self, logits, past):
        forbidden = np.isin(np.arange(logits.shape[-1]), self.token_ids)
        return ops.where(ops.convert_to_tensor(forbidden), NEVER, logits)


def occur(token_ids, logits):
    """Which tokens are in `token_ids (R, any)`, -1 aside: a bool tensor like `logits (R, V)`."""
    rows, size = logits.shape
    token = ops.where(token_ids < 0, size, ops.cast(token_ids, "int32"))  # beyond the vocabulary
    row = ops.broadcast_to(ops.arange(rows)[:, None], token.shape)
    places = ops.reshape(ops.stack([row, token], axis=-1), (-1, 2))
    counts = ops.scatter(places, ops.ones((places.shape[0],), dtype="int32"), (rows, size + 1))
    return counts[:, :size] > 0
