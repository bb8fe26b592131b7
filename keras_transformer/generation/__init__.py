"""Generation with any model made of this package's layers."""

from keras_transformer.generation.beam_search import BeamSearch
from keras_transformer.generation.generator import Generator
from keras_transformer.generation.samplers import GreedySampler, RandomSampler

__all__ = ["BeamSearch", "Generator", "GreedySampler", "RandomSampler"]
