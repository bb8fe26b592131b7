"""What a run was asked for, as its settings.json says: read, and compared."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from keras_transformer.checks import refusal
from keras_transformer.training.json_files import RunError, read_dictionary

# Settings that had another name in runs of before.
RENAMED = {"beam": "beams"}


def read_settings(path: Path) -> dict[str, Any]:
    """Reads a settings.json, whose settings may have the names of before.

    Example:

    >>> import tempfile
    >>> from keras_transformer.training.json_files import write_json
    >>> path = Path(tempfile.mkdtemp()) / "settings.json"
    >>> write_json(path, {"beam": 4})
    >>> read_settings(path)
    {'beams': 4}
    """
    return {RENAMED.get(name, name): value for name, value in read_dictionary(path).items()}


def check_recipe(path: str | Path, settings: dict[str, Any], *recipes: str) -> None:
    """Refuses settings of another recipe's run; those from before they said so pass.

    Example:

    >>> check_recipe("runs/demo", {"recipe": "translation"}, "masked_lm")
    Traceback (most recent call last):
    keras_transformer.training.json_files.RunError: runs/demo: expected a run of masked_lm.py.
    Received: one of translation.py
    """
    recipe = settings.get("recipe", recipes[0])
    if recipe not in recipes:
        expected = " or ".join(f"{name}.py" for name in recipes)
        is_name = isinstance(recipe, str) and recipe.isprintable()
        received = f"one of {recipe}.py" if is_name else f"recipe={recipe!r}"
        raise refusal(f"a run of {expected}", received, where=str(path), error=RunError)


def check_same(
    path: str | Path,
    stored: dict[str, Any],
    asked: dict[str, Any],
    may_differ: Collection[str] = (),
) -> None:
    """Refuses other settings than the stored ones, and names each with both values.

    Example:

    >>> check_same("runs/demo", {"seed": 1}, {"seed": 2})
    Traceback (most recent call last):
    keras_transformer.training.json_files.RunError: runs/demo: expected the settings that it was
    begun with, to go on. Received: seed was 1 and is now 2
    """
    different = [
        f"{key} was {_shown(stored, key)} and is now {_shown(asked, key)}"
        for key in sorted(stored.keys() | asked.keys())
        if key not in may_differ and _shown(stored, key) != _shown(asked, key)
    ]
    if different:
        expected = "the settings that it was begun with, to go on"
        raise refusal(expected, "; ".join(different), where=str(path), error=RunError)


def _shown(settings, key):
    value = settings.get(key)
    # What is off or not given is as in runs of before there was such a setting.
    return "absent" if value in (None, [], ()) or value is False else repr(value)
