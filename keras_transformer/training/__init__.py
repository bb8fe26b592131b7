"""What `model.fit` lacks for token models: losses, metrics, schedules, checkpoints, run folders."""

from keras_transformer.training import recipe
from keras_transformer.training.callbacks import LogConstants, StopAfter, Throughput
from keras_transformer.training.checkpoints import Checkpoint, Position, average_checkpoints
from keras_transformer.training.flops import matmul_peak, train_flops_per_token
from keras_transformer.training.lora import enable_lora
from keras_transformer.training.losses import MaskedCrossentropy
from keras_transformer.training.metrics import (
    MaskedAccuracy,
    PaddingFraction,
    Perplexity,
    TargetTokens,
)
from keras_transformer.training.optimizers import Adam, AdamW, adamw
from keras_transformer.training.run import Run, RunError
from keras_transformer.training.schedules import InverseSquareRoot, LinearDecay, Noam

__all__ = [
    "Adam",
    "AdamW",
    "Checkpoint",
    "InverseSquareRoot",
    "LinearDecay",
    "LogConstants",
    "MaskedAccuracy",
    "MaskedCrossentropy",
    "Noam",
    "PaddingFraction",
    "Perplexity",
    "Position",
    "Run",
    "RunError",
    "StopAfter",
    "TargetTokens",
    "Throughput",
    "adamw",
    "average_checkpoints",
    "enable_lora",
    "matmul_peak",
    "recipe",
    "train_flops_per_token",
]
