"""Published checkpoints in our layers, and back."""

from keras_transformer.zoo.checkpoint import ZooError
from keras_transformer.zoo.embedding import Embedder, load_embedder
from keras_transformer.zoo.generation import load_generator
from keras_transformer.zoo.loading import load, load_config, load_weights
from keras_transformer.zoo.presets import presets
from keras_transformer.zoo.saving import save
from keras_transformer.zoo.tokenizers import load_tokenizer

__all__ = [
    "Embedder",
    "ZooError",
    "load",
    "load_config",
    "load_embedder",
    "load_generator",
    "load_tokenizer",
    "load_weights",
    "presets",
    "save",
]
