"""Published checkpoints in our layers, and back."""

from keras_transformer.zoo.checkpoint import ZooError
from keras_transformer.zoo.loading import load, load_config, load_weights, save
from keras_transformer.zoo.tokenizers import load_tokenizer

__all__ = ["ZooError", "load", "load_config", "load_tokenizer", "load_weights", "save"]
