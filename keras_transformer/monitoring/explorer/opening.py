"""What the page opens with: the example and the head in which most is to be seen."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_transformer.monitoring.explorer.reading import Reading
from keras_transformer.tasks.task import Task


def opening(task: Task, readings: Sequence[Reading]) -> dict[str, int]:
    """`{"example", "layer", "head"}`, counted from 0.

    With cross-attention the head that aligns best, and of the examples of 5 to 14 tokens in which
    it is sure the one whose order it changes most. Else the head with the greatest weights that is
    not about fixed places, on the first example with a mask, or with a token twice.
    """
    crosses = [one.kind == "cross" for one in readings[0].attention]
    scores = {}
    for layer, is_cross in enumerate(crosses):
        if any(crosses) and not is_cross:
            continue
        for head in range(len(readings[0].attention[layer].weights)):
            rate = alignment if is_cross else freedom
            rated = [rate(task, reading, layer, head) for reading in readings]
            scores[layer, head] = float(np.mean(rated))
    layer, head = max(scores, key=lambda place: scores[place])
    chosen = _most_turned if crosses[layer] else _most_telling
    return {"example": chosen(task, readings, layer, head), "layer": layer, "head": head}


def alignment(task: Task, reading: Reading, layer: int, head: int) -> float:
    """Mean best weight on words of the source times the share of these that are looked at."""
    source, target = (np.isin(ids, task.tokenizer.special_ids) for ids in reading.rows[:2])
    weights = reading.attention[layer].weights[head][~target]  # (T, S)
    if not weights.size:
        return 0.0
    best = weights.argmax(axis=1)
    hits = np.where(source[best], 0.0, weights.max(axis=1))
    return hits.mean() * len({*best[~source[best]].tolist()}) / len(best)


def freedom(task: Task, reading: Reading, layer: int, head: int) -> float:
    """Mean best weight beyond that on the token before, after, itself, and the first."""
    weights = reading.attention[layer].weights[head]
    free = weights[(weights > 0).sum(axis=1) > 1]
    if not free.size:
        return 0.0
    places = [np.trace(weights, offset) / len(weights) for offset in (-1, 0, 1)]
    return free.max(axis=1).mean() - max(*places, free[:, 0].mean())


def _most_turned(task, readings, layer, head):
    turned = {}
    for place, reading in enumerate(readings):
        weights = reading.attention[layer].weights[head]
        if 5 <= len(weights) <= 14 and weights.max(axis=1).mean() >= 0.5:
            turned[place] = kendall_tau(weights.argmax(axis=1))
    return min(turned, key=lambda place: turned[place], default=0)


def kendall_tau(order: Any) -> float:
    """1 for a list of numbers that grow, -1 for one that falls.

    Example:

    >>> kendall_tau([0, 1, 2]), kendall_tau([2, 1, 0])
    (1.0, -1.0)
    """
    order = np.asarray(order)
    signs = np.sign(order[None] - order[:, None])[np.triu_indices(len(order), 1)]
    return float(signs.mean()) if len(signs) else 1.0


def _most_telling(task, readings, layer, head):
    mask = getattr(task.tokenizer, "mask_id", None)
    for place, reading in enumerate(readings):
        if mask is not None and mask in reading.rows[0]:
            return place
    if readings[0].attention[layer].kind == "causal":
        for place, reading in enumerate(readings):
            if len({*reading.rows[0].tolist()}) < len(reading.rows[0]):
                return place
    return 0
