"""Published checkpoints in our layers, and back."""

from keras_transformer.zoo.checkpoint import ZooError
from keras_transformer.zoo.generation import load_generator
from keras_transformer.zoo.inspection import load_config, model_type
from keras_transformer.zoo.loading import load, load_weights
from keras_transformer.zoo.presets import presets
from keras_transformer.zoo.saving import save
from keras_transformer.zoo.tokenizers import load_tokenizer

__all__ = [
    "ZooError",
    "load",
    "load_config",
    "load_generator",
    "load_tokenizer",
    "load_weights",
    "model_type",
    "presets",
    "save",
]
