"""What a training run begins with: a tokenizer, a config, weights and an optimiser."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

import keras

import keras_transformer as kt
from keras_transformer.checks import require
from keras_transformer.recipes.settings import Settings, model_changes


def make_tokenizer(
    settings: Settings, lines: Iterable[str], kind: str | None = None, **kwargs: Any
) -> kt.text.Tokenizer:
    """The tokenizer of the run that goes on, or of what it begins with; else it is trained.

    `kind`, where --tokenizer has no default, and `kwargs` are those of `text.train_tokenizer`.
    """
    if settings.resume:
        return kt.text.load_tokenizer(settings.folder)
    if settings.from_zoo:
        tokenizer = kt.zoo.load_tokenizer(settings.from_zoo)
        missing = [role for role in settings.roles if getattr(tokenizer, f"{role}_id") is None]
        expected = f"a tokenizer with special tokens for {', '.join(settings.roles)}"
        received = f"one without {', '.join(missing)}"
        require(not missing, expected, received, where=settings.from_zoo)
        return tokenizer
    if getattr(settings, "from_run", None):
        return kt.text.load_tokenizer(kt.training.Run.open(settings.from_run, "masked_lm").folder)
    if getattr(settings, "vocabulary", None):
        return kt.text.load_vocabulary(settings.vocabulary)
    kind = settings.tokenizer or kind
    return kt.text.train_tokenizer(kind, lines, settings.vocabulary_size, **kwargs)


def make_config(
    settings: Settings,
    tokenizer: kt.text.Tokenizer,
    changes: dict[str, Any] | None = None,
    preset: str | None = None,
    **of_preset: Any,
) -> kt.TransformerConfig:
    """The `TransformerConfig` of --from-zoo or of --preset, with `changes` to either."""
    changes = dict(changes or {})
    if not settings.from_zoo:
        of_preset = {"pad_id": tokenizer.pad_id, **of_preset, **changes, **model_changes(settings)}
        size = tokenizer.vocabulary_size
        preset = settings.preset or preset
        return kt.TransformerConfig.preset(preset, vocabulary_size=size, **of_preset)
    if settings.dropout is not None:
        changes["dropout"] = settings.dropout
    config = kt.zoo.load_config(settings.from_zoo, **changes)
    size, pad_id = tokenizer.vocabulary_size, tokenizer.pad_id
    require(
        size <= config.vocabulary_size and config.pad_id in (None, pad_id),
        f"a tokenizer of up to {config.vocabulary_size:,} tokens and with padding "
        f"{config.pad_id}, as the model has",
        f"{size:,} tokens, padding {pad_id}",
        where=settings.from_zoo,
    )
    return config


def load_zoo(settings: Settings, model: keras.Model) -> None:
    """Gives a model the weights of --from-zoo, if asked for, and the changes of --lora."""
    if settings.from_zoo:
        missing = kt.zoo.load_weights(model, settings.from_zoo)
        model.name = kt.zoo.model_type(settings.from_zoo)  # by which it goes back
        begin_from(settings, model, settings.from_zoo, {path.split("/")[0] for path in missing})


def begin_from(settings: Settings, model: keras.Model, source: str, new: set[str]) -> None:
    """Says which layers are `new`, beside those with weights of `source`; adds --lora to these."""
    count = sum(bool(layer.weights) for layer in model.layers) - len(new)
    print(f"weights: {count} layers from {source}, new: {', '.join(sorted(new)) or 'none'}")
    if settings.lora:
        trainable, total = kt.training.enable_lora(model, settings.lora, new)
        print(f"LoRA: {trainable:,} of {total:,} parameters learn")


def make_optimizer(
    settings: Settings,
    model: keras.Model,
    num_batches: int,
    schedule: Callable | None = None,
    accumulate: int = 1,
    **others: Any,
) -> kt.training.AdamW:
    """AdamW with warm-up and decay over all updates of epochs of `num_batches`.

    `schedule` is a function of the peak, the warm-up's updates and all updates, linear by default;
    `accumulate` and `others` are those of `training.adamw`.
    """
    most = settings.epochs * num_batches
    require(accumulate <= most, f"--accumulate up to all {most:,} batches", str(accumulate))
    updates = most // accumulate
    updates = min(updates, settings.max_updates or sys.maxsize)
    schedule = schedule or kt.training.LinearDecay
    rate = schedule(settings.peak_learning_rate, settings.warmup_updates, updates)
    clip = settings.clip_norm
    return kt.training.adamw(
        model, rate, settings.weight_decay, clip, accumulate=accumulate, **others
    )
