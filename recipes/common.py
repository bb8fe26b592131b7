"""What all recipes do the same way: their settings, what they begin with, and their run folder."""

import dataclasses
import json
import math
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import keras
import numpy as np

import keras_transformer as kt
from keras_transformer.recipes.command_line import check_bounds, flag_of, of_json, read_flags
from keras_transformer.training.settings import check_recipe, read_settings

# How far to go, and where from: what a resumed run may change.
RUN_MODES = (
    *("epochs", "max_updates", "resume", "overwrite", "settings", "name", "recipe"),
    "max_unknown",  # which runs of before do not have
)
ARCHITECTURE = ("num_layers", "num_heads", "hidden_dim", "intermediate_dim", "dropout")
# What a pretrained model brings, and no flag can change.
PRETRAINED = (
    *("tokenizer", "vocabulary", "vocabulary_size", "lowercase", "preset", "modern", "window"),
    *("num_layers", "num_heads", "hidden_dim", "intermediate_dim"),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a training run that all recipes have; a recipe adds its own."""

    recipe: ClassVar[str]  # by which run folders are known
    built_in: ClassVar[str]  # flags for the built-in corpus, which is small and regular
    families: ClassVar[tuple]  # of published models that --from-zoo takes
    roles: ClassVar[tuple] = ("start", "end", "pad")  # special tokens that their tokenizers need
    length: ClassVar[str | None]  # the setting that a published model's longest sequence bounds

    # Text.
    vocabulary_size: int | None = None  # tokens of a tokenizer that is trained (8,000 at most)
    max_unknown: float = 0.1  # largest share of tokens that the vocabulary may not know
    # Model.
    preset: str | None = None  # named size, such as transformer_base, gpt2_small or bert_small
    num_layers: int | None = None  # blocks of the model
    num_heads: int | None = None  # attention heads
    hidden_dim: int | None = None  # width of the residual stream
    intermediate_dim: int | None = None  # width inside the feed-forward networks
    dropout: float | None = None  # share of activations dropped in training
    from_zoo: str | None = None  # instead: a published model to begin with, its folder or hub id
    lora: int | None = None  # of a pretrained model learn only changes of this rank
    # Training.
    epochs: int = 10  # passes over the text
    max_updates: int | None = None  # stop after so many updates, also within an epoch
    precision: Literal["float32", "mixed_bfloat16"] = "float32"  # of compute
    seed: int = 1  # of the weights, dropout and order of the text
    # The run.
    name: str | None = None  # its folders: runs/NAME and tensorboard_logs/NAME (default: the time)
    settings: str | None = None  # settings.json of a run to repeat
    resume: bool = False  # go on with the run --name where it stopped
    overwrite: bool = False  # replace the run --name

    @classmethod
    def parse(cls, arguments, about):
        """Defaults, then the corpus' or a stored run's settings, then those of a command line."""
        given = read_flags(cls, arguments, about)
        # How a run was begun is no part of what is repeated.
        begun = {"resume": False, "overwrite": False, "settings": None}
        if given.resume:
            if not given.name:
                raise ValueError("--resume needs the --name of the run to go on with.")
            stored = kt.training.Run.open(given.folder, cls.recipe).settings
            default = cls(**(of_json(given.folder, cls, stored) | begun))
        elif given.settings:
            stored = read_settings(Path(given.settings))
            check_recipe(given.settings, stored, cls.recipe)
            default = cls(**(of_json(given.settings, cls, stored) | begun | {"name": None}))
        else:
            default = read_flags(cls, cls.built_in.split() if given.is_built_in() else [])
        chosen = read_flags(cls, arguments, about, default)
        if chosen.name is None:
            name = time.strftime(f"{cls.recipe}-%Y%m%d-%H%M%S")
            chosen = dataclasses.replace(chosen, name=name)
        chosen.check()
        return chosen

    def is_built_in(self):
        """Whether no text is given."""
        raise NotImplementedError

    def check(self):
        """Refuses what no run can be, before any text is read."""
        check_bounds(vars(self))
        run = kt.training.Run(self.folder)
        if self.resume:
            run.check_same(self.stored(), RUN_MODES)
        else:
            run.check_new(self.overwrite)
        check_pretrained(self)
        if self.preset and not self.from_zoo:
            kt.TransformerConfig.preset(self.preset, **model_changes(self))

    def stored(self):
        """What settings.json holds."""
        return {**vars(self), "recipe": self.recipe}

    @property
    def folder(self):
        """The run's folder, which is inside `runs` whatever the name."""
        path = Path(self.name)
        is_readable = self.name.strip() and self.name.isprintable()
        if not is_readable or path.is_absolute() or ".." in path.parts or not path.parts:
            shown = self.name if is_readable else repr(self.name)
            raise ValueError(
                f"Expected --name to be of a folder inside runs. Received: --name={shown}"
            )
        return "runs" / path

    @property
    def log_dir(self):
        """The folder of its logs."""
        return Path("tensorboard_logs") / self.name


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The flags of commands for what was trained."""

    run: str  # folder of a finished run such as runs/en-de, a published folder, or a hub id
    int8: bool = False  # linear maps in 8 bits: less memory, a little less exact


# ------------------------------------------------------------------------------------------------
# What a model begins with
# ------------------------------------------------------------------------------------------------


def check_pretrained(settings):
    """Refuses a --from-zoo that the recipe cannot go on with, and what contradicts it."""
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    given = [n for n in PRETRAINED if n in defaults and getattr(settings, n) != defaults[n]]
    from_run = getattr(settings, "from_run", None)
    for source in ("from_zoo", "from_run"):
        if getattr(settings, source, None) and given:
            flags = ", ".join(map(flag_of, given))
            raise ValueError(f"{flag_of(source)} brings its own model and tokenizer, not {flags}.")
    if settings.lora and not (settings.from_zoo or (from_run and not settings.fresh)):
        raise ValueError("--lora goes together with a pretrained model.")
    if settings.from_zoo:
        config, kind = kt.zoo.load_config(settings.from_zoo), kt.zoo.model_type(settings.from_zoo)
        if kind not in settings.families:
            expected = f"a model of type {' or '.join(settings.families)}"
            raise ValueError(f"{settings.from_zoo}: expected {expected}. Received: {kind}")
        length = settings.length and getattr(settings, settings.length)
        if length and length > (most := config.max_sequence_length):
            raise ValueError(
                f"Expected {flag_of(settings.length)} up to the {most:,} tokens that "
                f"{settings.from_zoo} reads. Received: {length}"
            )


def make_tokenizer(settings, lines, kind=None, **kwargs):
    """The tokenizer of the run that goes on, or of what it begins with; else it is trained.

    `kind`, where --tokenizer has no default, and `kwargs` are those of `text.train_tokenizer`.
    """
    if settings.resume:
        return kt.text.load_tokenizer(settings.folder)
    if settings.from_zoo:
        tokenizer = kt.zoo.load_tokenizer(settings.from_zoo)
        missing = [role for role in settings.roles if getattr(tokenizer, f"{role}_id") is None]
        if missing:
            raise ValueError(
                f"{settings.from_zoo}: expected a tokenizer with special tokens for "
                f"{', '.join(settings.roles)}. Received: one without {', '.join(missing)}"
            )
        return tokenizer
    if getattr(settings, "from_run", None):
        return kt.text.load_tokenizer(kt.training.Run.open(settings.from_run, "masked_lm").folder)
    if getattr(settings, "vocabulary", None):
        return kt.text.load_vocabulary(settings.vocabulary)
    kind = settings.tokenizer or kind
    return kt.text.train_tokenizer(kind, lines, settings.vocabulary_size, **kwargs)


def model_changes(settings):
    """The changes to a preset that were asked for."""
    changes = {name: getattr(settings, name) for name in ARCHITECTURE}
    return {name: value for name, value in changes.items() if value is not None}


def make_config(settings, tokenizer, changes=(), preset=None, **of_preset):
    """The `TransformerConfig` of --from-zoo or of --preset, with `changes` to either."""
    changes = dict(changes)
    if not settings.from_zoo:
        of_preset = {"pad_id": tokenizer.pad_id, **of_preset, **changes, **model_changes(settings)}
        size = tokenizer.vocabulary_size
        preset = settings.preset or preset
        return kt.TransformerConfig.preset(preset, vocabulary_size=size, **of_preset)
    if settings.dropout is not None:
        changes["dropout"] = settings.dropout
    config = kt.zoo.load_config(settings.from_zoo, **changes)
    size, pad_id = tokenizer.vocabulary_size, tokenizer.pad_id
    if size > config.vocabulary_size or config.pad_id not in (None, pad_id):
        raise ValueError(
            f"{settings.from_zoo}: expected a tokenizer of up to {config.vocabulary_size:,} tokens "
            f"and with padding {config.pad_id}, as the model has. Received: {size:,} tokens, "
            f"padding {pad_id}"
        )
    return config


def load_zoo(settings, model):
    """Gives a model the weights of --from-zoo, if asked for, and the changes of --lora."""
    if settings.from_zoo:
        missing = kt.zoo.load_weights(model, settings.from_zoo)
        model.name = kt.zoo.model_type(settings.from_zoo)  # by which it goes back
        begin_from(settings, model, settings.from_zoo, {path.split("/")[0] for path in missing})


def begin_from(settings, model, source, new):
    """Says which layers are `new`, beside those with weights of `source`; adds --lora to these."""
    count = sum(bool(layer.weights) for layer in model.layers) - len(new)
    print(f"weights: {count} layers from {source}, new: {', '.join(sorted(new)) or 'none'}")
    if settings.lora:
        trainable, total = kt.training.enable_lora(model, settings.lora, new)
        print(f"LoRA: {trainable:,} of {total:,} parameters learn")


def make_optimizer(settings, model, num_batches, schedule=None, accumulate=1, **others):
    """AdamW with warm-up and decay over all updates of epochs of `num_batches`.

    `schedule` is a function of the peak, the warm-up's updates and all updates, linear by default;
    `accumulate` and `others` are those of `training.adamw`.
    """
    most = settings.epochs * num_batches
    if accumulate > most:
        raise ValueError(
            f"Expected --accumulate up to all {most:,} batches. Received: {accumulate}"
        )
    updates = most // accumulate
    updates = min(updates, settings.max_updates or sys.maxsize)
    schedule = schedule or kt.training.LinearDecay
    rate = schedule(settings.peak_learning_rate, settings.warmup_updates, updates)
    clip = settings.clip_norm
    return kt.training.adamw(
        model, rate, settings.weight_decay, clip, accumulate=accumulate, **others
    )


# ------------------------------------------------------------------------------------------------
# The run
# ------------------------------------------------------------------------------------------------


def hold_out(train, valid, test, seed):
    """The three parts, each some lists; one that is not there is taken out of the training text."""
    if not valid:
        train, valid = kt.data.hold_out_rows(train, seed)
    if not test:
        train, test = kt.data.hold_out_rows(train, seed + 1)
    return train, valid, test


def prepare(settings):
    """Sets the seed and the precision."""
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)


def check_unknown(settings, tokenizer, texts, targets=()):
    """The share of unknown tokens in texts, to print; refuses one above --max-unknown.

    `texts`, and `targets` to decode to, are lists of lines: to train, to validate, to test. Of long
    ones the share is that of 10,000 lines at equal distances.
    """
    shares, names = {}, ("train", "valid", "test")
    every = [(name, lines, tokenizer.encode) for name, lines in zip(names, texts, strict=False)]
    for name, lines in zip(names, targets, strict=False):
        every.append((f"{name} targets", lines, tokenizer.encode_target))
    for name, lines, encode in every:
        step = max(1, math.ceil(len(lines) / 10_000))
        ids = np.concatenate([np.zeros(0, "int32"), *encode(lines[::step])])
        # Of a tokenizer that knows all text the unknown id is None, which no id equals.
        shares[name] = np.count_nonzero(ids == tokenizer.unknown_id) / max(1, len(ids))
    told = ", ".join(f"{name} {100 * share:.2f} %" for name, share in shares.items())
    if max(shares.values()) > settings.max_unknown:
        raise ValueError(
            f"Expected at most {100 * settings.max_unknown:g} % of unknown tokens (--max-unknown), "
            "for a model learns nothing of them: another --tokenizer or a larger vocabulary may "
            f"know them. Received: {told}"
        )
    return f"unknown tokens: {told}"


def open_run(settings, tokenizer, config, model, unknown, *batches):
    """The run's folder, made or taken up again: nothing is written if anything was wrong before."""
    if settings.resume:
        run = kt.training.Run.resume(settings.folder, settings.stored(), may_differ=RUN_MODES)
    else:
        run = kt.training.Run.create(settings.folder, settings.stored(), settings.overwrite)
        shutil.rmtree(settings.log_dir, ignore_errors=True)
        tokenizer.save(run.folder)
        run.config_file.write_text(config.to_json() + "\n", encoding="utf-8")
    model.summary()
    for name, part in zip(("train", "valid", "test"), batches, strict=False):
        print(f"{name}: {part.describe()}")
    print(f"vocabulary: {tokenizer.vocabulary_size:,} tokens\n{unknown}\nrun: {run.folder}")
    print(f"logs: tensorboard --logdir {settings.log_dir}", flush=True)
    return run


def fit(settings, run, model, batches, valid_batches, *callbacks, keep=1):
    """Trains, as long as the settings say and from where the run is; keeps so many checkpoints.

    Callbacks see the speed in the logs, and TensorBoard what they add. Returns the logs of the
    epochs, a dict of lists, and the `training.Position` that was reached.
    """
    checkpoint = kt.training.Checkpoint(run, keep)
    tokens = getattr(batches, "tokens", None)  # of pairs a metric counts them
    speed = kt.training.Throughput(tokens and tokens / batches.num_batches)
    constants = {} if tokens is None else {"padding_fraction": batches.padding_fraction}
    before = speed, kt.training.LogConstants(**constants)
    callbacks = [*before, *callbacks, kt.monitoring.TensorBoard(settings.log_dir)]
    limits = settings.epochs, settings.max_updates
    history = kt.training.fit(model, batches, valid_batches, checkpoint, *limits, callbacks)
    return history, checkpoint.position()


def finish(settings, run, model, batches, history, position, metrics, classes=None):
    """Writes what a run reached; prints it, and how to publish what began with a published model.

    What this leg of the run has not measured stays as an earlier one did. `classes` are the names
    that a published folder gets.
    """
    before = run.metrics
    digits = {"tokens_per_second": 1, "target_tokens_per_second": 1, "model_flops_utilization": 4}
    metrics = {
        **metrics,
        "parameters": model.count_params(),
        "updates": position.updates,
        "train_seconds": round(position.seconds, 1),
        **{
            name: round(float(np.mean(history[name])), places)
            for name, places in digits.items()
            if name in history
        },
        "padding_fraction": round(batches.padding_fraction, 4),
    }
    run.save_metrics({**before, **metrics})
    print(json.dumps(run.metrics, indent=2, ensure_ascii=False))
    print(f"model: {run.model_file}\nlogs: tensorboard --logdir {settings.log_dir}")
    # No published model takes the mean of its tokens.
    if settings.from_zoo and getattr(settings, "pooling", None) != "mean":
        labels = f", labels={classes!r}" if classes else ""
        print("as a published folder:")
        print(
            "  import keras, keras_transformer as kt\n"
            f"  model = keras.models.load_model({str(run.model_file)!r}, compile=False)\n"
            f"  kt.zoo.save(model, 'FOLDER', kt.text.load_tokenizer({str(run.folder)!r}){labels})"
        )
