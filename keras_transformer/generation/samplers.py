"""One token at a time: the most probable one, or a random one."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_transformer.backend.softmax import softmax_and_log_total
from keras_transformer.checks import require
from keras_transformer.generation.decoding import CachedDecoding
from keras_transformer.generation.part import Part
from keras_transformer.generation.rules import TopK, TopP, is_end
from keras_transformer.types import Tensor


class Sampler(Part):
    """Generates a single continuation of every row; subclasses choose the next token.

    What goes from step to step is `(i, done (B,), gains (B, L), sequence (B, L), cache)`: how many
    tokens are new, which rows have ended, the new tokens' log-probabilities, and they.
    """

    samples = 1  # continuations of each prompt
    width = 1  # of each row of the batch, in its cache

    def draw(self, max_new_tokens: int, batch: int) -> np.ndarray:
        """The random numbers `(max_new_tokens, batch)` in [0, 1) that one call will use."""
        return np.zeros((max_new_tokens, batch), "float32")

    def choose(self, logits: Tensor, uniform: Tensor) -> Tensor:
        """The next token `(B,)` given `logits (B, V)` and random numbers `uniform (B,)`."""
        raise NotImplementedError

    def generate(
        self, decoding: CachedDecoding, uniform: Tensor, count: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`(sequences (B, 1, L), scores (B, 1))`: `count` new tokens, their log-probability."""
        carry = self.begin(decoding)
        _, _, gains, sequence, _ = self.go_on(decoding, uniform, carry, count)
        return sequence[:, None], ops.sum(gains, axis=1, keepdims=True)

    def begin(self, decoding: CachedDecoding) -> tuple[Any, ...]:
        """What goes to the first step."""
        shape = decoding.prompt.shape[0], decoding.max_new_tokens
        return (
            ops.convert_to_tensor(0, "int32"),
            decoding.over,
            ops.zeros(shape),
            ops.full(shape, decoding.pad_id, dtype="int32"),
            decoding.cache.of_full_length(decoding.read_prompt()),
        )

    def go_on(
        self, decoding: CachedDecoding, uniform: Tensor, carry: tuple[Any, ...], count: Tensor
    ) -> tuple[Any, ...]:
        """More tokens of the rows that have not ended, until there are `count`."""

        def unfinished(i, done, *others):
            return ops.logical_and(i < count, ops.logical_not(ops.all(done)))

        def step(i, done, gains, sequence, cache):
            logits, cache = decoding.step(i, sequence[:, None], cache)  # (B, 1, V)
            logits = logits[:, 0]
            token = self.choose(decoding.follow_rules(logits, sequence, i), uniform[i])  # (B,)
            gain = ops.where(done, 0.0, log_probability(logits, token))
            gains = ops.slice_update(gains, [0, i], gain[:, None])
            token = ops.where(done, decoding.pad_id, token)
            sequence = ops.slice_update(sequence, [0, i], token[:, None])
            done = ops.logical_or(done, is_end(token, decoding.end_ids))
            return i + 1, done, gains, sequence, cache

        return decoding.loop(unfinished, step, carry)


@keras.saving.register_keras_serializable(package="keras_transformer")
class GreedySampler(Sampler):
    """Always takes the most probable token.

    Example:

    >>> import numpy as np
    >>> int(GreedySampler().choose(np.array([[0.1, 2.0, 0.3]], "float32"), None)[0])
    1
    """

    def choose(self, logits: Tensor, uniform: Tensor) -> Tensor:
        # Not argmax, which passes over all V four more times, to tell 0 from -0.
        _, best = ops.top_k(logits, 1)
        return ops.cast(best[:, 0], "int32")


@keras.saving.register_keras_serializable(package="keras_transformer")
class RandomSampler(Sampler):
    """Draws every token from the model's distribution, as the generator's rules leave it.

    Args:
        seed: int, gives the same tokens at every call. None gives others each time.
        samples: int, continuations of each prompt, all independent.

    Raises:
        ValueError: when `samples` is not positive.

    Example:

    >>> import numpy as np
    >>> logits = np.array([[0.1, 2.0, 0.3]], "float32")
    >>> int(RandomSampler(seed=1).choose(logits, np.array([0.99], "float32"))[0])
    2
    """

    def __init__(self, seed: int | None = None, samples: int = 1):
        require(samples > 0, "samples to be positive", samples=samples)
        self.seed = seed
        self.samples = samples

    def draw(self, max_new_tokens: int, batch: int) -> np.ndarray:
        return np.random.default_rng(self.seed).random((max_new_tokens, batch), "float32")

    def choose(self, logits: Tensor, uniform: Tensor) -> Tensor:
        cumulative = ops.cumsum(ops.softmax(logits), axis=-1)  # (B, V)
        below = cumulative <= ops.expand_dims(uniform, 1) * cumulative[:, -1:]
        return ops.sum(ops.cast(below, "int32"), axis=-1)


@keras.saving.register_keras_serializable(package="keras_transformer")
class TopKSampler(RandomSampler):
    """Draws every token from the k most probable ones that the generator's rules leave.

    Args:
        k: int, as of `TopK`.
        seed: int, gives the same tokens at every call. None gives others each time.
        samples: int, continuations of each prompt, all independent.

    Raises:
        ValueError: when `k` or `samples` is not positive.

    Example:

    >>> import numpy as np
    >>> logits = np.array([[0.1, 2.0, 0.3]], "float32")
    >>> int(TopKSampler(k=1).choose(logits, np.array([0.99], "float32"))[0])
    1
    """

    def __init__(self, k: int = 5, seed: int | None = None, samples: int = 1):
        super().__init__(seed, samples)
        self.k = k
        self.rule = TopK(k)

    def choose(self, logits: Tensor, uniform: Tensor) -> Tensor:
        return super().choose(self.rule(logits, None), uniform)


@keras.saving.register_keras_serializable(package="keras_transformer")
class TopPSampler(RandomSampler):
    """Draws every token from the fewest that hold the probability p, after the generator's rules.

    Args:
        p: float, as of `TopP`.
        seed: int, gives the same tokens at every call. None gives others each time.
        samples: int, continuations of each prompt, all independent.

    Raises:
        ValueError: unless 0 < p <= 1 and `samples` is positive.

    Example:

    >>> import numpy as np
    >>> logits = np.array([[0.1, 2.0, 0.3]], "float32")
    >>> int(TopPSampler(p=0.5).choose(logits, np.array([0.99], "float32"))[0])
    1
    """

    def __init__(self, p: float = 0.1, seed: int | None = None, samples: int = 1):
        super().__init__(seed, samples)
        self.p = p
        self.rule = TopP(p)

    def choose(self, logits: Tensor, uniform: Tensor) -> Tensor:
        return super().choose(self.rule(logits, None), uniform)


def log_probability(logits: Tensor, token: Tensor) -> Tensor:
    """`(B,)` log-probability of `token (B,)` under `logits (B, V)`."""
    chosen = ops.take_along_axis(logits, token[:, None], axis=-1)[:, 0]
    return chosen - softmax_and_log_total(logits)[1]
