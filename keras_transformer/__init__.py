"""Transformer layers, models, recipes and fast generation for Keras 3."""

import importlib

from keras_transformer import training  # noqa: F401  files name its optimisers, losses, metrics
from keras_transformer.config import TransformerConfig
from keras_transformer.generation.generator import Generator
from keras_transformer.layers import (
    CausalMask,
    DecoderBlock,
    EncoderBlock,
    FeedForward,
    MultiHeadCrossAttention,
    MultiHeadSelfAttention,
    PositionalEmbedding,
    RotaryEmbedding,
)
from keras_transformer.models.model import TransformerModel  # noqa: F401  files name it
from keras_transformer.scopes import ActivationScope, AttentionScope, CacheScope

__version__ = "0.1.0"
__all__ = [
    "ActivationScope",
    "AttentionScope",
    "CacheScope",
    "CausalMask",
    "DecoderBlock",
    "EncoderBlock",
    "FeedForward",
    "Generator",
    "MultiHeadCrossAttention",
    "MultiHeadSelfAttention",
    "PositionalEmbedding",
    "RotaryEmbedding",
    "TransformerConfig",
]

_SUBPACKAGES = (
    "data",
    "generation",
    "layers",
    "models",
    "monitoring",
    "tasks",
    "text",
    "training",
    "zoo",
)


def __dir__():
    return sorted({*globals(), *_SUBPACKAGES})


def __getattr__(name):
    # Heavy ones, which import TensorFlow or KerasHub, load at first use.
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
