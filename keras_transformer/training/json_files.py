"""The JSON files of a run, written whole or not at all."""

import json
import math
from pathlib import Path
from typing import Any

from keras_transformer.checks import refusal, require
from keras_transformer.files import write_whole


class RunError(ValueError):
    """A run folder that cannot be used as asked, said in one sentence.

    Example:

    >>> raise RunError("runs/demo exists.")
    Traceback (most recent call last):
    keras_transformer.training.json_files.RunError: runs/demo exists.
    """


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON; a reader sees the old file or the new one, never half.

    Numbers that are not finite, which JSON does not have, are written as `null`.

    Raises:
        TypeError: If JSON cannot hold `value`; nothing is written.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "metrics.json"
    >>> write_json(path, {"bleu": 41.0})
    >>> read_dictionary(path)
    {'bleu': 41.0}
    """
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(path, text + "\n")


def _finite(value):
    """The value without numbers that JSON cannot hold: NaN and infinities are None."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_dictionary(path: Path) -> dict[str, Any]:
    """Reads a JSON file that holds a dictionary. Raises `RunError` if it does not.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "settings.json"
    >>> _ = path.write_text("[1, 2]")
    >>> read_dictionary(path)
    Traceback (most recent call last):
    keras_transformer.training.json_files.RunError: ...: expected a JSON dictionary. Received: list
    """
    value = read_value(path, "a JSON dictionary")
    received = type(value).__name__
    require(isinstance(value, dict), "a JSON dictionary", received, where=str(path), error=RunError)
    return value


def read_value(path: Path, expected: str = "JSON") -> Any:
    """Reads a JSON file. Raises `RunError` where it is none.

    Example: see `write_json`.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):  # a decoding error is one of the first
        received = "other text" if path.stat().st_size else "an empty file"
        raise refusal(expected, received, where=str(path), error=RunError) from None
