"""Flags: tyro makes them, and their help, of a dataclass' fields and the comments after them."""

import contextlib
import dataclasses
import difflib
import io
import itertools
import math
import sys
import typing
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import tyro

from keras_transformer.checks import refusal, require, shortened
from keras_transformer.training.settings import RENAMED

# What numbers must be. NaN is none of it.
BOUNDS = {
    "at least 1": (
        lambda x: x >= 1,
        (
            *("epochs", "max_updates", "epoch_updates", "accumulate", "average", "patience"),
            *("batch_size", "batch_tokens", "max_length", "row_length", "vocabulary_size"),
            *("num_layers", "num_heads", "hidden_dim", "intermediate_dim", "window", "lora"),
            *("beams", "guesses", "max_new_tokens", "samples", "top_k"),
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


def read_flags(
    kind: type, arguments: Iterable[str], about: str = "", default: Any = None, word: str = ""
) -> Any:
    """Makes an instance of a dataclass of flags.

    Args:
        kind: The dataclass; a comment after a field is the flag's help.
        arguments: List of str.
        about: What --help says besides.
        default: Another instance, for the flags that are not there.
        word: Name of the command, if any.

    Raises:
        ValueError: An unknown flag, or a value of another type.
    """
    arguments = [of_today(word) for word in arguments]
    check_flags(kind, arguments)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            prog = f"{program()} {word}".strip()
            defaults = {} if default is None else {"default": default}
            return tyro.cli(kind, prog=prog, description=about, args=arguments, **defaults)
    except SystemExit as stop:
        if stop.code:
            raise ValueError(shortened(_sentence(said.getvalue()))) from None
        raise


def of_today(word: str) -> str:
    """A word of a command line, which may be the former name of a flag.

    >>> of_today("--beam=4")
    '--beams=4'
    """
    flag, *value = word.split("=", 1)
    now = {flag_of(old): flag_of(new) for old, new in RENAMED.items()}
    return "=".join([now.get(flag, flag), *value])


def check_flags(kind: type, arguments: Iterable[str]) -> None:
    """Refuses flags that are none, and says which one is near."""
    fields = dataclasses.fields(kind)
    known = [flag_of(field.name) for field in fields]
    switches = [flag_of(f"no_{field.name}") for field in fields if field.type is bool]
    for word in arguments:
        flag = word.partition("=")[0].replace("_", "-")
        if flag.startswith("--") and flag not in (*known, *switches, "--help", "--"):
            near = difflib.get_close_matches(flag, known, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            shown = flag if flag.isprintable() else repr(flag)
            raise refusal(f"a flag that --help lists{hint}", shown)


def _sentence(box):
    """The first paragraph of one of tyro's boxes, which have no frame but on UTF-8's terminals."""
    _, *lines = (line.strip("│ ") for line in box.splitlines())  # the first one is its title
    body = lines[1:] if _is_rule(lines[0]) else lines
    return " ".join(itertools.takewhile(lambda line: not _is_rule(line), body))


def _is_rule(line):
    return bool(line) and {*line} <= {*"─-"}


def one_of(names: Collection[str], word: str) -> str:
    """Names to choose from, and which of them may have been meant."""
    near = difflib.get_close_matches(word, names, n=1)
    return ", ".join(names) + (f" (did you mean {near[0]}?)" if near else "")


def flag_of(name: str) -> str:
    """The flag of a field."""
    return f"--{name.replace('_', '-')}"


def program() -> str:
    """How this program was called, for messages."""
    return Path(sys.argv[0]).name


def check_bounds(options: dict[str, Any]) -> None:
    """Refuses numbers that no run and no command can have; None stands for none."""
    for expected, (is_right, names) in BOUNDS.items():
        for name in names:
            value = options.get(name)
            if value is not None and not is_right(value):
                flag = flag_of(name)
                raise refusal(f"{flag} to be {expected}", f"{flag}={value}")


def of_json(path: str | Path, settings: type, stored: dict[str, Any]) -> dict[str, Any]:
    """The fields of the settings' class that JSON stores, each of its type; others are left out.

    Raises:
        ValueError: A value that no flag could have given.
    """
    found = {}
    for field in dataclasses.fields(settings):
        if field.name not in stored:
            continue
        value = stored[field.name]
        if isinstance(field.default, tuple):
            value = () if value is None else value
        require(
            _fits(value, field.type) or value == field.default,
            f"{field.name} to be as {flag_of(field.name)} takes it",
            repr(stored[field.name]),
            where=str(path),
        )
        found[field.name] = tuple(value) if isinstance(value, list) else value
    return found


def _fits(value, kind):
    """Whether what JSON holds is of a type."""
    options = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        return isinstance(value, list) and all(_fits(item, options[0]) for item in value)
    if typing.get_origin(kind) is typing.Literal:
        return value in options
    if options:
        return any(_fits(value, option) for option in options)
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is kind
