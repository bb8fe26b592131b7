"""What a run was begun with, for a resume that goes on with the same."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_transformer.checks import refusal
from keras_transformer.training.checkpoint_files import Position, newest_checkpoint, read_position
from keras_transformer.training.json_files import RunError, read_value, write_json
from keras_transformer.training.run import Run, check_digests

PARTS = ("train", "valid", "test")
Facts = dict[str, Any]


def facts_of(version: str, batches: Sequence[Any], optimizer: keras.optimizers.Optimizer) -> Facts:
    """What is to be the same, or is said if it is not.

    Args:
        version: str, of the package.
        batches: `data.EpochBatches` to train, to validate and, maybe, to test on.
        optimizer: The Keras optimiser, with its learning rate.
    """
    return {
        "version": version,
        "batches": batches[0].num_batches,
        "text": {name: part.digest() for name, part in zip(PARTS, batches, strict=False)},
        "learning_rate": optimizer.get_config()["learning_rate"],
    }


def begin(run: Run, facts: Facts, files: dict[str, Any]) -> None:
    """Writes the other JSON files of a new run, and begun.json once all is there."""
    for name, content in files.items():
        write_json(run.folder / name, content)
    written = {name: value for name, value in run.digests().items() if name != "settings.json"}
    run.begin({**facts, "files": written, "first_epoch": 0})


def check_begun(run: Run, facts: Facts, files: dict[str, Any], data_changed: bool) -> None:
    """Raises `RunError` if a run would go on with other text or other files than it began with.

    Example:

    >>> import tempfile
    >>> run = Run.create(tempfile.mkdtemp(), {})
    >>> run.begin({"text": {"train": "1d0f"}, "batches": 9})
    >>> check_begun(run, {"text": {"train": "2e1f"}, "batches": 8}, {}, data_changed=False)
    Traceback (most recent call last):
    keras_transformer.training.json_files.RunError: ...: expected the text that it was begun with,
    or --data-changed to go on with another at the next epoch. Received: other text to train, of 8
    batches and not 9
    """
    check_digests(run.folder, run.begun.get("files", {}))
    for name, content in files.items():
        check_json(run.folder / name, content)
    if (changed := changed_text(run, facts)) and not data_changed:
        expected = (
            "the text that it was begun with, or --data-changed to go on with another at the next "
            "epoch"
        )
        received = f"other text to {', '.join(changed)}"
        if facts["batches"] != run.begun["batches"]:
            received += f", of {facts['batches']:,} batches and not {run.begun['batches']:,}"
        raise refusal(expected, received, where=str(run.folder), error=RunError)


def check_json(path: Path, content: Any) -> None:
    """Raises `RunError` if a JSON file holds something else; one that is not there passes."""
    if path.is_file() and (before := read_value(path)) != content:
        expected = f"what the run was begun with, {before}"
        raise refusal(expected, str(content), where=str(path), error=RunError)


def changed_text(run: Run, facts: Facts) -> list[str]:
    """Which parts of the text are others than a run was begun with, as far as it says that."""
    before = run.begun.get("text", {})
    return [name for name, value in facts["text"].items() if before.get(name, value) != value]


def go_on(run: Run, facts: Facts) -> list[str]:
    """Keeps the facts of a run that goes on, and returns in sentences what is not as before."""
    before, path = run.begun, newest_checkpoint(run)
    position = read_position(path) if path else Position()
    said = []
    if before.get("version", facts["version"]) != facts["version"]:
        said.append(f"version: {facts['version']}; begun with {before['version']}")
    rates = [
        rate_at(part.get("learning_rate", facts["learning_rate"]), position.updates)
        for part in (facts, before)
    ]
    if rates[0] != rates[1]:
        said.append(
            f"learning rate: {rates[0]:.3g} at the next update, {rates[1]:.3g} as it was before: "
            "it falls over all updates of the run, which are others now"
        )
    first_epoch = before.get("first_epoch", 0)
    if changed := changed_text(run, facts):
        first_epoch = position.epoch + bool(position.batches)
        said.append(f"other text to {', '.join(changed)}, from epoch {first_epoch + 1} on")
    run.begin({**before, **facts, "first_epoch": first_epoch})
    return said


def rate_at(rate: Any, updates: int) -> float:
    """The learning rate after so many updates, of what an optimiser's config says.

    Example:

    >>> rate_at(0.5, 100)
    0.5
    """
    if isinstance(rate, dict):
        rate = keras.saving.deserialize_keras_object(rate)(updates)
    return float(rate)
