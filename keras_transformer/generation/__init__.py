"""Generation with any model made of this package's layers."""

from keras_transformer.generation.beam_search import BeamSearch
from keras_transformer.generation.constraints import (
    ForbiddenSequence,
    ForbiddenTokens,
    ForcedTokens,
    MinLength,
    NoRepeatNgrams,
)
from keras_transformer.generation.generator import Generator
from keras_transformer.generation.names import get_sampler
from keras_transformer.generation.rules import (
    MinP,
    Past,
    Renormalize,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
)
from keras_transformer.generation.samplers import (
    GreedySampler,
    RandomSampler,
    TopKSampler,
    TopPSampler,
)

__all__ = [
    "BeamSearch",
    "ForbiddenSequence",
    "ForbiddenTokens",
    "ForcedTokens",
    "Generator",
    "GreedySampler",
    "MinLength",
    "MinP",
    "NoRepeatNgrams",
    "Past",
    "RandomSampler",
    "Renormalize",
    "RepetitionPenalty",
    "Temperature",
    "TopK",
    "TopKSampler",
    "TopP",
    "TopPSampler",
    "get_sampler",
]
