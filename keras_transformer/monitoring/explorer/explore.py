"""The explorer: what a model does with some texts, as one HTML file."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transformer.checks import refusal, require
from keras_transformer.files import written_whole
from keras_transformer.monitoring.explorer.attention import (
    MOST_TOKENS,
    ROOM,
    about_attention,
    check_room,
)
from keras_transformer.monitoring.explorer.blocks import about_blocks, walks_of
from keras_transformer.monitoring.explorer.generation import about_generation
from keras_transformer.monitoring.explorer.memories import about_neurons
from keras_transformer.monitoring.explorer.opening import opening
from keras_transformer.monitoring.explorer.page import page
from keras_transformer.monitoring.explorer.positions import about_positions
from keras_transformer.monitoring.explorer.reading import Reading, read
from keras_transformer.monitoring.explorer.subject import finished, kind_of_task, subject
from keras_transformer.monitoring.explorer.training import Checkpoints, about_training
from keras_transformer.monitoring.explorer.worth import about_heads
from keras_transformer.tasks import MaskFiller
from keras_transformer.tasks.task import Task


def explore(
    task_or_model: Task | keras.Model,
    examples: Sequence[Any] | str,
    path: str | Path = "explore.html",
    *,
    title: str | None = None,
    reference: Sequence[Any] = (),
    checkpoints: Checkpoints = (),
) -> Path:
    """Writes one HTML file in which people look inside a model.

    It opens from the disk in any browser and asks for nothing else.

    Args:
        task_or_model: A task of `kt.tasks`, or a Functional model of these layers.
        examples: List of texts, or one. Of a translator also pairs `(source, target)`, else it
            translates; a text generator goes on with each; a mask filler's have `[MASK]`. Of a
            model they are ids, lists of int, or pairs of these for a source and a target.
        path: Where to.
        title: What the page is called. Default `None`: the model's name.
        reference: List of texts, better some hundred: those that excite neurons most are found
            among them, and heads are rated on them if they say what should be said: pairs `(source,
            target)` of a translator, `(text, label)` of a classifier, texts of others. Default: the
            examples, which rate nothing.
        checkpoints: List of `(updates, path)` as of `kt.training.early_checkpoints`, for the slider
            that shows attention being learned.

    Returns:
        The path of the file.

    Raises:
        ValueError: For a model without attention of ours, one that is not Functional, no example,
            one that is too long, and for more than fit into 5 MB, with what would fit.
        OSError: The file cannot be written.

    Reference:
        Vaswani et al. 2017, "Attention Is All You Need"; Vig 2019, "A Multiscale Visualization of
        Attention in the Transformer Model".

    Example:

    >>> import tempfile
    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=8, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> model = kt.models.decoder_only(config)
    >>> file = explore(model, [[2, 5, 6]], f"{tempfile.mkdtemp()}/explore.html")
    >>> file.read_text(encoding="utf-8")[:15]
    '<!doctype html>'
    """
    task = subject(task_or_model)
    examples = [examples] if isinstance(examples, str) else list(examples)
    require(examples, "at least one example", examples=examples)
    rows = [task.inputs(finished(task, example)) for example in examples]
    for number, row in enumerate(rows, 1):
        length = max(map(len, row))
        if not 0 < length <= MOST_TOKENS:
            received = f"example {number} of {length} tokens"
            raise refusal(f"examples of 1 to {MOST_TOKENS} tokens", received)
    check_room(task.model, rows)
    readings = [read(task, row) for row in rows]
    if not readings[0].attention:
        raise refusal("a model with attention layers of keras_transformer", task.model.name)
    data = contents(task, examples, readings, reference, checkpoints)
    data["title"] = title or task.model.name
    path = Path(path)
    with written_whole(path) as unfinished:
        unfinished.write_text(page(data), encoding="utf-8")
    return path


def contents(
    task: Task,
    examples: Sequence[Any],
    readings: Sequence[Reading],
    reference: Sequence[Any],
    checkpoints: Checkpoints,
) -> dict[str, Any]:
    """All that the page shows, as JSON can hold it."""
    opened = opening(task, readings)
    data = {
        "task": kind_of_task(task),
        "parameters": int(np.sum([np.prod(w.shape) for w in task.model.weights])),
        "opening": opened,
        **about_attention(task, examples, readings),
        **about_generation(task, readings),
        "positions": about_positions(task),
        "training": about_training(task, readings, opened["example"], checkpoints),
    }
    walks = walks_of(task, readings)
    blocks, pieces = about_blocks(task, readings, walks, opened["example"])
    data |= blocks
    texts = list(reference)
    if isinstance(task, MaskFiller) and not texts:
        texts = list(examples)  # read again: of those in hand the last block has the masks alone
    data |= about_neurons(task, readings, texts)
    data["heads"] = about_heads(task, list(reference), [one.layer for one in readings[0].attention])
    fill_room(data, pieces)
    return data


def fill_room(data: dict[str, Any], pieces: Iterable[tuple[list, dict[str, Any]]]) -> None:
    """Puts large pieces where they belong in the data, until there is no room for one."""
    room = ROOM - len(json.dumps(data))
    for place, piece in pieces:
        room -= len(json.dumps(piece)) + 40
        if room < 0:
            return
        *keys, last = place
        inner: Any = data
        for key in keys:
            inner = inner[key] if isinstance(inner, list) else inner.setdefault(key, {})
        inner[last] = piece
