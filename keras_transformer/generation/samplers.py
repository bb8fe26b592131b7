"""One token at a time: the most probable one, or a random one."""

import numpy as np
from keras import ops

from keras_transformer.layers.arguments import require


class Sampler:
    """Generates a single continuation; subclasses choose the next token."""

    def draw(self, max_new_tokens, batch):
        """The random numbers `(max_new_tokens, batch)` in [0, 1) that one call will use."""
        return np.zeros((max_new_tokens, batch), "float32")

    def choose(self, logits, uniform):
        """The next token `(B,)` given `logits (B, V)` and random numbers `uniform (B,)`."""
        raise NotImplementedError

    def width(self):
        return 1

    def generate(self, decoding, max_new_tokens, end_id, pad_id, uniform):
        """`(sequences (B, 1, L), scores (B, 1))`: new tokens and their log-probability."""
        logits, state = decoding.read_prompt()
        token = self.choose(logits, uniform[0])  # (B,)
        score = log_probability(logits, token)  # (B,)
        sequence = ops.full((token.shape[0], max_new_tokens), pad_id, dtype="int32")
        sequence = ops.slice_update(sequence, [0, 0], token[:, None])
        done = token == end_id

        def unfinished(i, token, done, score, sequence, state):
            return ops.logical_not(ops.all(done))

        def extend(i, token, done, score, sequence, state):
            logits, state = decoding.step(i, token[:, None], state)
            token = self.choose(logits[:, 0], uniform[i + 1])
            score = score + ops.where(done, 0.0, log_probability(logits[:, 0], token))
            token = ops.where(done, pad_id, token)
            sequence = ops.slice_update(sequence, [0, i + 1], token[:, None])
            return i + 1, token, ops.logical_or(done, token == end_id), score, sequence, state

        *_, score, sequence, _ = ops.while_loop(
            unfinished,
            extend,
            (ops.convert_to_tensor(0, "int32"), token, done, score, sequence, state),
            maximum_iterations=max_new_tokens - 1,
        )
        return sequence[:, None], score[:, None]


class GreedySampler(Sampler):
    """Always takes the most probable token.

    Example:

    >>> import numpy as np
    >>> int(GreedySampler().choose(np.array([[0.1, 2.0, 0.3]], "float32"), None)[0])
    1
    """

    def choose(self, logits, uniform):
        return ops.cast(ops.argmax(logits, axis=-1), "int32")


class RandomSampler(Sampler):
    """Draws from the model's distribution, sharpened or cut.

    Args:
        temperature: float, divides the logits; below 1 sharpens.
        top_k: int, keeps the k most probable tokens (Fan et al. 2018). None keeps all.
        top_p: float, keeps the smallest set of most probable tokens that holds this probability
            (Holtzman et al. 2020, "nucleus"). None keeps all. Applied after `top_k`.
        seed: int, gives the same tokens at every call. None gives others each time.

    Raises:
        ValueError: unless temperature > 0, top_k > 0 and 0 < top_p <= 1.

    Example:

    >>> import numpy as np
    >>> sampler = RandomSampler(temperature=0.7, top_k=2, seed=1)
    >>> logits = np.array([[0.1, 2.0, 0.3]], "float32")
    >>> int(sampler.choose(logits, np.array([0.99], "float32"))[0])
    2
    """

    def __init__(self, temperature=1.0, top_k=None, top_p=None, seed=None):
        require(temperature > 0, "temperature to be positive", temperature=temperature)
        require(top_k is None or top_k > 0, "top_k to be positive or None", top_k=top_k)
        require(top_p is None or 0 < top_p <= 1, "top_p in (0, 1] or None", top_p=top_p)
        self.temperature = temperature
        self.top_k = top_k
        self.top_p = top_p
        self.seed = seed

    def draw(self, max_new_tokens, batch):
        return np.random.default_rng(self.seed).random((max_new_tokens, batch), "float32")

    def choose(self, logits, uniform):
        probability = ops.softmax(ops.convert_to_tensor(logits) / self.temperature)  # (B, V)
        if self.top_k is None and self.top_p is None:
            return draw(probability, uniform)
        size = probability.shape[-1]
        probability, token = ops.top_k(probability, min(self.top_k or size, size))  # sorted
        if self.top_p is not None:
            cumulative = ops.cumsum(probability, axis=-1)
            before = cumulative - probability  # of all more probable tokens
            probability = ops.where(before < self.top_p * cumulative[:, -1:], probability, 0.0)
        chosen = draw(probability, uniform)
        return ops.cast(ops.take_along_axis(token, chosen[:, None], axis=-1)[:, 0], "int32")


def draw(probability, uniform):
    """The index `(B,)` in whose share of `probability (B, V)` the number `uniform (B,)` falls."""
    cumulative = ops.cumsum(probability, axis=-1)
    below = cumulative <= ops.expand_dims(uniform, 1) * cumulative[:, -1:]
    return ops.sum(ops.cast(below, "int32"), axis=-1)


def log_probability(logits, token):
    """`(B,)` log-probability of `token (B,)` under `logits (B, V)`."""
    chosen = ops.take_along_axis(logits, token[:, None], axis=-1)[:, 0]
    return chosen - ops.logsumexp(logits, axis=-1)
