"""What a user of a recipe sees: the figures of a run, and what is said of a mistake."""

import json
from pathlib import Path

import pytest


def metrics(name):
    return json.loads((Path("runs") / name / "metrics.json").read_text())


def message(recipe, arguments):
    """What the recipe, a module, says as it gives up."""
    with pytest.raises(SystemExit) as stop:
        recipe.main(arguments)
    assert isinstance(stop.value.code, str)  # printed on standard error, exit status 1
    assert "\n" not in stop.value.code
    return stop.value.code
