"""What all recipes do the same way: from the seed to the end of a run."""

import json
import math
import shutil
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

import keras_transformer as kt
from keras_transformer.checks import require
from keras_transformer.files import write_whole
from keras_transformer.recipes.settings import (
    RUN_MODES,
    Finished,  # noqa: F401  for the pages
    Settings,
    profiled_batches,
)
from keras_transformer.training.begun import begin, check_begun, facts_of, go_on


def hold_out_missing(train: list, valid: list | None, test: list | None, seed: int) -> tuple:
    """The three parts, each some lists; one that is not there is taken out of the training text."""
    if not valid:
        train, valid = kt.data.hold_out_rows(train, seed)
    if not test:
        train, test = kt.data.hold_out_rows(train, seed + 1)
    return train, valid, test


def prepare(settings: Settings) -> None:
    """Sets the seed and the precision."""
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)


def check_unknown(
    settings: Settings,
    tokenizer: kt.text.Tokenizer,
    texts: Iterable[Sequence[str]],
    targets: Iterable[Sequence[str]] = (),
) -> dict[str, float]:
    """The share of unknown tokens in texts, by their names; refuses one above --max-unknown.

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
        shares[name] = float(np.count_nonzero(ids == tokenizer.unknown_id) / max(1, len(ids)))
    require(
        max(shares.values()) <= settings.max_unknown,
        f"at most {100 * settings.max_unknown:g} % of unknown tokens (--max-unknown), for a model "
        "learns nothing of them: another --tokenizer or a larger vocabulary may know them",
        told(shares),
    )
    return shares


def told(shares: dict[str, float]) -> str:
    """Shares by name, to print."""
    return ", ".join(f"{name} {100 * share:.2f} %" for name, share in shares.items())


def begin_run(
    settings: Settings,
    tokenizer: kt.text.Tokenizer,
    config: kt.TransformerConfig,
    model: keras.Model,
    unknown: dict[str, float],
    *batches: Any,
    files: dict[str, Any] | None = None,
) -> kt.training.Run:
    """The run's folder, made or taken up again: nothing is written if anything was wrong before.

    `files` are names and contents of JSON files that the recipe has besides.
    """
    files = files or {}
    facts = facts_of(kt.__version__, batches, model.optimizer)
    if settings.resume:
        run = kt.training.Run.open(settings.folder)
        check_begun(run, facts, files, settings.data_changed)
        run = kt.training.Run.resume(settings.folder, settings.stored(), may_differ=RUN_MODES)
        said = go_on(run, facts)
    else:
        run = kt.training.Run.create(settings.folder, settings.stored(), settings.overwrite)
        shutil.rmtree(settings.log_dir, ignore_errors=True)
        tokenizer.save(run.folder)
        write_whole(run.config_file, config.to_json() + "\n")
        begin(run, facts, files)
        said = []
    if settings.watch:
        kt.monitoring.log_scalars(
            settings.log_dir / "train", {f"unknown_tokens/{k}": v for k, v in unknown.items()}
        )
    model.summary()
    for name, part in zip(("train", "valid", "test"), batches, strict=False):
        print(f"{name}: {part.describe()}")
    print(f"vocabulary: {tokenizer.vocabulary_size:,} tokens")
    print(f"unknown tokens: {told(unknown)}\nrun: {run.folder}")
    for sentence in said:
        print(sentence)
    print(f"logs: tensorboard --logdir {settings.log_dir}", flush=True)
    return run


def train(
    settings: Settings,
    run: kt.training.Run,
    model: keras.Model,
    batches: Any,
    valid_batches: Any,
    look_at: tuple[Any, Sequence],
    *callbacks: keras.callbacks.Callback,
    keep: int = 1,
) -> tuple[dict[str, list[float]], kt.training.Position]:
    """Trains, as long as the settings say and from where the run is; keeps so many checkpoints.

    Callbacks see the speed in the logs, and TensorBoard what they add. `look_at` is a task with the
    model, and texts, of which one that can be read beside a picture is drawn. Returns the logs of
    the epochs, a dict of lists, and the `training.Position` that was reached.
    """
    checkpoint = kt.training.Checkpoint(run, keep, settings.checkpoint_every)
    print(checkpoint.describe(model), flush=True)
    tokens = getattr(batches, "tokens", None)  # of pairs a metric counts them
    speed = kt.training.Throughput(tokens and tokens / batches.num_batches)
    constants = {} if tokens is None else {"padding_fraction": batches.padding_fraction}
    guard = kt.training.NonFiniteGuard(checkpoint=checkpoint)
    before = [guard, speed, kt.training.LogConstants(**constants)]
    if settings.keep_checkpoints == "early":
        before.append(kt.training.EarlyCheckpoints(run.folder))
    every = [*before, *callbacks, *look(settings, run, batches, *look_at)]
    limits = settings.epochs, settings.max_updates
    try:
        history = kt.training.fit(model, batches, valid_batches, checkpoint, *limits, every)
    except kt.training.Diverged:
        if not run.model_file.is_file():  # which may be that of the best epoch
            run.save_model(model)
        raise
    return history, checkpoint.position()


def look(
    settings: Settings, run: kt.training.Run, batches: Any, task: Any, texts: Sequence
) -> list[keras.callbacks.Callback]:
    """The callbacks that write what TensorBoard shows."""
    profiled = profiled_batches(settings.profile)
    profilers = [kt.monitoring.Profiler(settings.log_dir, *profiled)] if profiled else []
    if not settings.watch:
        return [kt.monitoring.TensorBoard(settings.log_dir), *profilers]
    tokens = getattr(batches, "tokens", None) or batches.target_tokens
    watched = kt.monitoring.watch(
        settings.log_dir,
        task,
        settings.examples or kt.monitoring.legible(task, texts),
        settings.chosen(),
        run.folder / "pictures",
        tokens / batches.num_batches,
    )
    return [*watched, *profilers]


def finish(
    settings: Settings,
    run: kt.training.Run,
    model: keras.Model,
    batches: Any,
    history: dict[str, list[float]],
    position: kt.training.Position,
    metrics: dict[str, Any],
    classes: Sequence[str] | None = None,
) -> None:
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
    run.finish()
    if settings.watch:
        kt.monitoring.log_hyperparameters(settings.log_dir, settings.chosen(), run.metrics)
    print(json.dumps(run.metrics, indent=2, ensure_ascii=False))
    print(f"model: {run.model_file}")
    # No published model takes the mean of its tokens.
    if settings.from_zoo and getattr(settings, "pooling", None) != "mean":
        labels = f", labels={classes!r}" if classes else ""
        print("as a published folder:")
        print(
            "  import keras, keras_transformer as kt\n"
            f"  model = keras.models.load_model({str(run.model_file)!r}, compile=False)\n"
            f"  kt.zoo.save(model, 'FOLDER', kt.text.load_tokenizer({str(run.folder)!r}){labels})"
        )
    print(f"logs: tensorboard --logdir {settings.log_dir}", end="")
    print(", embeddings: http://localhost:6006/#projector" if settings.watch else "")
