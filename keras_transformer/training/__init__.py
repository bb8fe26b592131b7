"""What `model.fit` lacks for token models: losses, metrics, schedules, checkpoints, run folders."""

from keras_transformer.training.best import KeepBest, keep_best
from keras_transformer.training.callbacks import LogConstants, StopAfter, Throughput
from keras_transformer.training.checkpoint_files import Position, average_checkpoints
from keras_transformer.training.checkpoints import Checkpoint
from keras_transformer.training.early import EarlyCheckpoints, early_checkpoints
from keras_transformer.training.figures import LanguageModelFigures
from keras_transformer.training.finite import all_finite, is_sound
from keras_transformer.training.fit import fit
from keras_transformer.training.flops import matmul_peak, train_flops_per_token
from keras_transformer.training.guard import Diverged, NonFiniteGuard
from keras_transformer.training.json_files import RunError
from keras_transformer.training.lora import enable_lora, freeze
from keras_transformer.training.losses import MaskedCrossentropy
from keras_transformer.training.metrics import (
    MaskedAccuracy,
    PaddingFraction,
    Perplexity,
    TargetTokens,
)
from keras_transformer.training.optimizers import Adam, AdamW, adamw
from keras_transformer.training.run import Run
from keras_transformer.training.schedules import InverseSquareRoot, LinearDecay, Noam, cosine_decay
from keras_transformer.training.signals import Stopped

__all__ = [
    "Adam",
    "AdamW",
    "Checkpoint",
    "Diverged",
    "EarlyCheckpoints",
    "InverseSquareRoot",
    "KeepBest",
    "LanguageModelFigures",
    "LinearDecay",
    "LogConstants",
    "MaskedAccuracy",
    "MaskedCrossentropy",
    "Noam",
    "NonFiniteGuard",
    "PaddingFraction",
    "Perplexity",
    "Position",
    "Run",
    "RunError",
    "StopAfter",
    "Stopped",
    "TargetTokens",
    "Throughput",
    "adamw",
    "all_finite",
    "average_checkpoints",
    "cosine_decay",
    "early_checkpoints",
    "enable_lora",
    "fit",
    "freeze",
    "is_sound",
    "keep_best",
    "matmul_peak",
    "train_flops_per_token",
]
