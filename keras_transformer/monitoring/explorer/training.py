"""Attention being learned: one text read by the weights of a run's early updates and its last."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_transformer.monitoring.explorer.generation import log_softmax, said_ids
from keras_transformer.monitoring.explorer.packing import as_steps, packed
from keras_transformer.monitoring.explorer.reading import Reading, read
from keras_transformer.tasks.task import Task

MOST_CHECKPOINTS = 8
Checkpoints = Sequence[tuple[int, Path]]


def about_training(
    task: Task, readings: Sequence[Reading], opened: int, checkpoints: Checkpoints
) -> dict[str, Any] | None:
    """The opening text's attention by each checkpoint's weights, and the losses; None without any.

    The losses are those of the page's own texts, in nats a token: what the last weights say there
    stands in for what should be said, where the text does not. The model's weights are as before
    when this is over.
    """
    if not checkpoints:
        return None
    chosen = thinned(checkpoints, MOST_CHECKPOINTS - 1)
    last = task.model.get_weights()
    found: list[tuple[int | None, list[Reading]]] = []
    try:
        for updates, path in chosen:
            task.model.load_weights(path)
            found.append((updates, [read(task, reading.rows) for reading in readings]))
    finally:
        task.model.set_weights(last)
    found.append((None, list(readings)))
    return {
        "example": opened,
        "updates": [updates for updates, _ in found],
        "losses": [loss_of(task, some, readings) for _, some in found],
        "weights": [_weights(some[opened]) for _, some in found],
    }


def thinned(checkpoints: Checkpoints, most: int) -> Checkpoints:
    """At most so many of them, the first and the last among them, evenly.

    Example:

    >>> [updates for updates, _ in thinned([(n, Path()) for n in range(9)], 3)]
    [0, 4, 8]
    """
    places = np.linspace(0, len(checkpoints) - 1, min(most, len(checkpoints)))
    return [checkpoints[i] for i in np.rint(places).astype(int).tolist()]


def loss_of(task: Task, found: Sequence[Reading], last: Sequence[Reading]) -> float | None:
    """Mean cross-entropy of what is said at each place of the texts, or None without logits."""
    losses = []
    for reading, end in zip(found, last, strict=True):
        if reading.logits.ndim != 2:
            return None
        scores = log_softmax(reading.logits)
        said = said_ids(end, end.logits)
        losses += [-scores[place, said[place]] for place in range(len(said))]
    return float(np.mean(losses))


def _weights(reading):
    return packed(np.concatenate([as_steps(one.weights).reshape(-1) for one in reading.attention]))
