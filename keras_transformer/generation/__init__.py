"""Generation with any model made of this package's layers."""

from keras_transformer.generation.beam_search import BeamSearch
from keras_transformer.generation.generator import Generator
from keras_transformer.generation.rules import (
    ForbiddenTokens,
    MinLength,
    MinP,
    NoRepeatNgrams,
    Past,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
)
from keras_transformer.generation.samplers import GreedySampler, RandomSampler

__all__ = [
    "BeamSearch",
    "ForbiddenTokens",
    "Generator",
    "GreedySampler",
    "MinLength",
    "MinP",
    "NoRepeatNgrams",
    "Past",
    "RandomSampler",
    "RepetitionPenalty",
    "Temperature",
    "TopK",
    "TopP",
]
