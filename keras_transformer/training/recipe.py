"""What all recipes do the same way: their settings, their run folder, `fit` with resume, mistakes.

A recipe is a script `recipes/NAME.py` that trains by default and has commands for its finished
runs. Here is what its reader need not read again.
"""

import argparse
import contextlib
import itertools
import json
import math
import os
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path

import keras
import numpy as np

from keras_transformer.config import TransformerConfig
from keras_transformer.text import load_tokenizer
from keras_transformer.training.callbacks import StopAfter
from keras_transformer.training.optimizers import adamw
from keras_transformer.training.run import Run, RunError, check_recipe, read_json
from keras_transformer.training.schedules import LinearDecay

# How far to go, and where from: what a resumed run may change.
RUN_MODES = (
    *("epochs", "max_updates", "resume", "overwrite", "settings", "name", "recipe"),
    "max_unknown",  # which runs of before do not have
)
ARCHITECTURE = ("num_layers", "num_heads", "hidden_dim", "intermediate_dim", "dropout")
# What numbers must be. NaN is none of it.
BOUNDS = {
    "at least 1": (
        lambda x: x >= 1,
        (
            *("epochs", "max_updates", "epoch_updates", "accumulate", "average", "patience"),
            *("batch_size", "batch_tokens", "max_length", "row_length", "vocabulary_size"),
            *("num_layers", "num_heads", "hidden_dim", "intermediate_dim", "window", "lora"),
            *("beam", "guesses", "max_new_tokens", "samples", "top_k"),
        ),
    ),
    "at least 0": (
        lambda x: 0 <= x < math.inf,
        (
            *("warmup_updates", "weight_decay", "clip_norm", "freeze"),
            *("length_penalty", "temperature", "min_length", "no_repeat_ngrams"),
        ),
    ),
    "from 0 to 4294967295": (lambda x: 0 <= x < 2**32, ("seed",)),
    "above 0": (lambda x: 0 < x < math.inf, ("peak_learning_rate", "repetition_penalty")),
    "at least 0 and below 1": (lambda x: 0 <= x < 1, ("dropout", "label_smoothing")),
    "above 0 and at most 1": (lambda x: 0 < x <= 1, ("mask_rate", "top_p")),
    "from 0 to 1": (lambda x: 0 <= x <= 1, ("max_unknown", "min_p")),
}
# What a pretrained model brings, and no flag can change.
PRETRAINED = (
    *("tokenizer", "vocabulary", "vocabulary_size", "lowercase", "preset", "modern", "window"),
    *("num_layers", "num_heads", "hidden_dim", "intermediate_dim"),
)


def add_model_settings(add):
    """The flags that change a preset; see `model_changes`."""
    add("--num-layers", type=int, help="blocks of the model")
    add("--num-heads", type=int, help="attention heads")
    add("--hidden-dim", type=int, help="width of the residual stream")
    add("--intermediate-dim", type=int, help="width inside the feed-forward networks")
    add("--dropout", type=float, help="share of activations dropped in training")
    add("--from-zoo", help="instead: a published model to begin with, its folder or hub id")
    add("--lora", type=int, help="of a pretrained model learn only changes of this rank")


def model_changes(settings):
    """The changes to a preset that were asked for."""
    changes = {name: getattr(settings, name) for name in ARCHITECTURE}
    return {name: value for name, value in changes.items() if value is not None}


def add_run_settings(add, epochs):
    """The flags of every training run: how long, how exactly, and under which name."""
    add("--epochs", type=int, default=epochs, help="passes over the text")
    add("--max-updates", type=int, help="stop after so many updates, also within an epoch")
    add("--precision", default="float32", choices=["float32", "mixed_bfloat16"], help="of compute")
    add("--seed", type=int, default=1, help="of the weights, dropout and order of the text")
    add(
        "--max-unknown",
        type=float,
        default=0.1,
        help="largest share of tokens that the vocabulary may not know; 1 allows any",
    )
    add("--name", help="the run's folders: runs/NAME and tensorboard_logs/NAME (default: the time)")
    add("--settings", help="settings.json of a run to repeat")
    add("--resume", action="store_true", help="go on with the run --name where it stopped")
    add("--overwrite", action="store_true", help="replace the run --name")


def parse_training(parser, arguments, built_in, text):
    """The settings: defaults, then the corpus' or a stored run's, then the command line's.

    Args:
        parser: `argparse.ArgumentParser` with the recipe's settings; its `prog` names the recipe.
        arguments: List of str.
        built_in: Dictionary of what the built-in corpus changes.
        text: Names of the settings that point at text; without any, the corpus is the built-in one.
    """
    recipe = Path(parser.prog).stem
    given, _ = parser.parse_known_args(arguments)
    if given.resume:
        if not given.name:
            raise ValueError("--resume needs the --name of the run to go on with.")
        folder = run_folder(given.name)
        stored = Run.open(folder, recipe).settings
        check_stored(folder, parser, stored)
        parser.set_defaults(**stored)
    elif given.settings:
        stored = read_json(Path(given.settings))
        check_recipe(given.settings, stored, recipe)
        check_stored(given.settings, parser, stored)
        parser.set_defaults(**{**stored, "name": None})
    elif not any(getattr(given, name) for name in (*text, "from_zoo")):
        parser.set_defaults(**built_in)
    # How a stored run was begun is no part of what is repeated.
    parser.set_defaults(recipe=recipe, resume=False, overwrite=False, settings=None)
    settings = parser.parse_args(arguments)
    if settings.name is None:
        settings.name = time.strftime(f"{recipe}-%Y%m%d-%H%M%S")
    run_folder(settings.name)
    check_bounds(settings)
    check_pretrained(settings, arguments)
    return settings


def check_stored(path, parser, stored):
    """Refuses stored settings that the command line could not have given."""
    defaults = vars(parser.parse_args([]))
    parser.exit_on_error = False  # but raise
    for name in defaults.keys() & stored.keys():
        value, flag = stored[name], flag_of(name)
        words = [flag, *map(str, value)] if isinstance(value, list) else [f"{flag}={value}"]
        words = [flag] if value is True else words
        try:
            given, _ = parser.parse_known_args([] if value is defaults[name] else words)
            is_right = getattr(given, name) == value
        except argparse.ArgumentError:
            is_right = False
        if not is_right:
            raise RunError(f"{path}: expected {name} to be as {flag} takes it. Received: {value!r}")
    parser.exit_on_error = True


def check_pretrained(settings, arguments):
    """Refuses flags that contradict a pretrained model, and --lora without one."""
    given = {argument.partition("=")[0] for argument in arguments}
    refused = [flag for flag in map(flag_of, PRETRAINED) if flag in given]
    for source in ("from_zoo", "from_run"):
        if getattr(settings, source, None) and refused:
            raise ValueError(
                f"{flag_of(source)} brings its own model and tokenizer, not {', '.join(refused)}."
            )
    from_run = getattr(settings, "from_run", None) and not settings.fresh
    if settings.lora is not None and not (settings.from_zoo or from_run):
        raise ValueError("--lora goes together with a pretrained model.")


def check_bounds(settings):
    """Refuses numbers that no run and no command can have; None stands for none."""
    for expected, (is_right, names) in BOUNDS.items():
        for name in names:
            value = getattr(settings, name, None)
            if value is not None and not is_right(value):
                flag = flag_of(name)
                raise ValueError(f"Expected {flag} to be {expected}. Received: {flag}={value}")


def check_unknown(settings, tokenizer, texts, targets=()):
    """The share of unknown tokens in texts, to print; refuses one above `max_unknown`.

    `texts`, and `targets` to decode to, are dictionaries of lists of lines. Of long ones the share
    is that of 10,000 lines at equal distances.
    """
    shares = {}
    every = [(name, texts[name], tokenizer.encode) for name in texts]
    every += [(f"{name} targets", targets[name], tokenizer.encode_target) for name in targets]
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


def flag_of(name):
    return f"--{name.replace('_', '-')}"


def add_optimizer_settings(add, peak_learning_rate, warmup_updates, weight_decay=0.01):
    """The flags of `make_optimizer`."""
    add(
        "--peak-learning-rate",
        type=float,
        default=peak_learning_rate,
        help="AdamW's rate after the warm-up",
    )
    add(
        "--warmup-updates",
        type=int,
        default=warmup_updates,
        help="updates of linear rise, before the fall",
    )
    add(
        "--weight-decay",
        type=float,
        default=weight_decay,
        help="of matrices, not of norms and biases",
    )
    add("--clip-norm", type=float, default=1.0, help="largest norm of all gradients together")


def make_optimizer(settings, model, num_batches, schedule=LinearDecay, accumulate=1, **others):
    """AdamW with warm-up and decay over all updates of epochs of `num_batches`.

    `schedule` is a function of the peak, the warm-up's updates and all updates; `accumulate` and
    `others` are those of `adamw`.
    """
    updates = settings.epochs * num_batches // accumulate
    updates = min(updates, settings.max_updates or sys.maxsize)
    rate = schedule(settings.peak_learning_rate, settings.warmup_updates, updates)
    return adamw(
        model,
        rate,
        settings.weight_decay,
        settings.clip_norm,
        accumulate=accumulate,
        **others,
    )


def encoder_inputs(model, token_ids, **others):
    """What an encoder reads of single texts: segments are 0 where it has any."""
    inputs = {"token_ids": token_ids, **others}
    if "segment_ids" in [tensor.name for tensor in model.inputs]:
        inputs["segment_ids"] = np.zeros_like(token_ids)
    return inputs


def run_folder(name):
    """The folder of a run, which is inside `runs` whatever the name."""
    path = Path(name)
    is_readable = name.strip() and name.isprintable()
    if not is_readable or path.is_absolute() or ".." in path.parts or not path.parts:
        shown = name if is_readable else repr(name)
        raise ValueError(f"Expected --name to be of a folder inside runs. Received: --name={shown}")
    return "runs" / path


def prepare(settings):
    """Refuses what no run can be before any text is read; sets the seed and the precision."""
    if settings.preset:  # None: a run brings the model, or the recipe has its own
        TransformerConfig.preset(settings.preset, **model_changes(settings))
    run = Run(run_folder(settings.name))
    if settings.resume:
        run.check_same(vars(settings), RUN_MODES)
    else:
        run.check_new(settings.overwrite)
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)


def open_run(settings, tokenizer, config):
    """The run's folder, made or taken up again, and the folder of its logs."""
    folder, log_dir = run_folder(settings.name), Path("tensorboard_logs") / settings.name
    if settings.resume:
        return Run.resume(folder, vars(settings), may_differ=RUN_MODES), log_dir
    run = Run.create(folder, vars(settings), overwrite=settings.overwrite)
    shutil.rmtree(log_dir, ignore_errors=True)
    tokenizer.save(run.folder)
    run.config_file.write_text(config.to_json() + "\n", encoding="utf-8")
    return run, log_dir


def fit(settings, model, batches, valid_batches, checkpoint, callbacks):
    """Trains to the end, from a checkpoint if there is one; the history of its epochs.

    Ctrl-C saves, says how to go on, and leaves with status 130.
    """
    start = checkpoint.restore(model)
    if settings.max_updates:
        if start.updates >= settings.max_updates:
            return {}
        callbacks = [*callbacks, StopAfter(settings.max_updates)]
    # An epoch that was interrupted is a leg of its own: Keras wants all epochs of one length.
    legs = [(start.epoch + bool(start.batches), settings.epochs, 0)]
    if start.batches:
        legs.insert(0, (start.epoch, start.epoch + 1, start.batches))
    history = {}
    try:
        for first, last, skip in legs:
            leg = model.fit(
                batches.dataset(first, skip),
                steps_per_epoch=batches.num_batches - skip,
                initial_epoch=first,
                epochs=last,
                validation_data=valid_batches.dataset(),
                callbacks=callbacks,
                shuffle=False,  # the batches are
                verbose="auto" if sys.stdout.isatty() else 2,
            )
            for name, values in leg.history.items():
                history.setdefault(name, []).extend(values)
            if model.stop_training:
                break
    except KeyboardInterrupt:
        position = checkpoint.save()
        print(f"\nInterrupted; saved after {position.updates:,} updates. To go on:")
        print(f"  python {sys.argv[0]} --resume --name {shlex.quote(settings.name)}")
        sys.exit(130)
    return history


def add_int8(add):
    """The flag of the commands for finished runs; see `load_run`."""
    add(
        "--int8",
        action="store_true",
        help="linear maps in 8 bits: less memory, a little less exact",
    )


def load_run(folder, recipe, int8=False):
    """A finished run: `(run, model, tokenizer)`.

    Args:
        folder: The run's folder.
        recipe: Name of the recipe that it must be of.
        int8: Whether the kernels of all linear maps are rounded to 8 bits, those that embed tokens
            excepted.
    """
    run = Run.open(folder, recipe)
    if not run.model_file.is_file():
        raise RunError(f"{folder} has no model.keras: its training is not over.")
    model = keras.models.load_model(run.model_file, compile=False)
    if int8:
        # Of the other layers Keras would say, one by one, that it cannot.
        model.quantize("int8", filters=lambda layer: isinstance(layer, keras.layers.Dense))
    return run, model, load_tokenizer(run.folder)


def hold_out(items, seed, count=1000, key=lambda item: item):
    """Takes `count` different items, a tenth at most, with all that equal them out of a list.

    Args:
        items: List.
        seed: int.
        count: int.
        key: Function to what makes two items equal; sortable.

    Returns:
        `(rest, held_out)`, two lists. Held out is the first of those that are equal.

    Raises:
        ValueError: with fewer than 10 different items.

    Example:

    >>> rest, held_out = hold_out([*"abcdefghijabc"], seed=0)
    >>> len(held_out), set(rest) & set(held_out)
    (1, set())
    """
    distinct = sorted({key(item) for item in items})
    count = min(count, len(distinct) // 10)
    if not count:
        raise ValueError(f"Expected at least 10 different lines of text. Received: {len(distinct)}")
    order = np.random.default_rng(seed).permutation(len(distinct))
    chosen = {distinct[i] for i in order[:count]}
    rest = [item for item in items if key(item) not in chosen]
    held_out = {key(item): item for item in reversed(items) if key(item) in chosen}
    return rest, list(held_out.values())[::-1]


def standard_input():
    """Yields `(number, lines)`: what standard input holds so far, and the first line's number.

    A line at a time from a terminal, else 1,024 at a time.

    Raises:
        ValueError: for a line that is not UTF-8, and where standard input is closed.
    """
    if sys.stdin is None:
        raise ValueError("Expected lines on standard input. Received: it is closed")
    size = 1 if sys.stdin.isatty() else 1024
    stream = enumerate(sys.stdin.buffer, 1)
    while chunk := list(itertools.islice(stream, size)):
        yield chunk[0][0], [_decode(line, number) for number, line in chunk]


def one_line(text):
    """A text as one line, whatever ends lines in it: outputs stay in step with their inputs.

    >>> one_line("a\\u2028b\\n")
    'a b'
    """
    return " ".join(text.splitlines())


def _decode(line, number):
    if number == 1:
        line = line.removeprefix(b"\xef\xbb\xbf")  # a byte order mark
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"standard input, line {number}: not UTF-8.") from None


@contextlib.contextmanager
def clear_errors(program):
    """Turns a user's mistake into one sentence on standard error and status 1, Ctrl-C into 130.

    A terminal without a character shows another in its place, and a reader who has enough, such as
    `head`, ends the program without a word.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed: what is said goes nowhere, and not into the other one
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # here, and not when Python ends, where nothing can be caught
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        sys.exit(130)
    except (ValueError, OSError) as error:
        sys.exit(f"{program}: {error}")


def save_metrics(run, metrics):
    """Writes what a run reached; None stands for what an earlier leg of it has measured."""
    before = run.metrics
    run.save_metrics(
        {name: before.get(name) if value is None else value for name, value in metrics.items()}
    )


def show_metrics(run, log_dir, classes=None):
    """The end of every training run; `classes` are the names that a published folder gets."""
    print(json.dumps(run.metrics, indent=2, ensure_ascii=False))
    print(f"model: {run.model_file}\nlogs: tensorboard --logdir {log_dir}")
    # No published model takes the mean of its tokens.
    if run.settings["from_zoo"] and run.settings.get("pooling") != "mean":
        labels = f", labels={classes!r}" if classes else ""
        print("as a published folder:")
        print(
            "  import keras, keras_transformer as kt\n"
            f"  model = keras.models.load_model({str(run.model_file)!r}, compile=False)\n"
            f"  kt.zoo.save(model, 'FOLDER', kt.text.load_tokenizer({str(run.folder)!r}){labels})"
        )
