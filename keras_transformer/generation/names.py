"""Samplers by name."""

import contextlib
import difflib
from typing import Any

import keras

from keras_transformer.checks import refusal
from keras_transformer.generation.beam_search import BeamSearch
from keras_transformer.generation.samplers import (
    GreedySampler,
    RandomSampler,
    TopKSampler,
    TopPSampler,
)

SAMPLERS: dict[str, type] = {  # as KerasHub names them
    "greedy": GreedySampler,
    "top_k": TopKSampler,
    "top_p": TopPSampler,
    "random": RandomSampler,
    "beam": BeamSearch,
}


def get_sampler(sampler: Any) -> Any:
    """The sampler of a name, with its defaults, or of a config.

    Args:
        sampler: `"greedy"`, `"top_k"`, `"top_p"`, `"random"`, `"beam"`, or what
            `keras.saving.serialize_keras_object` gives for a sampler. Anything with a method
            `generate` is a sampler already.

    Raises:
        ValueError: for anything else, with the names, and the closest one if there is any.

    Example:

    >>> get_sampler("top_k")
    TopKSampler(k=5, seed=None, samples=1)
    >>> get_sampler(keras.saving.serialize_keras_object(BeamSearch(2))).beams
    2
    """
    found = sampler
    if isinstance(sampler, dict):
        with contextlib.suppress(Exception):  # Keras raises whatever a wrong config leads to
            found = keras.saving.deserialize_keras_object(sampler)
    elif isinstance(sampler, str) and sampler in SAMPLERS:
        found = SAMPLERS[sampler]()
    if hasattr(found, "generate"):
        return found
    closest = difflib.get_close_matches(str(sampler), SAMPLERS, n=1)
    hint = f" (did you mean {closest[0]!r}?)" if closest else ""
    raise refusal(
        f"sampler to be one of {', '.join(map(repr, SAMPLERS))}{hint}, the config of a sampler, or "
        "an object with a method `generate`",
        sampler=sampler,
    )
