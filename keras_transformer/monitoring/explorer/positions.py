"""How order gets in: the part of the explorer's data on positions."""

from typing import Any

import numpy as np

from keras_transformer.layers import DecoderBlock, EncoderBlock
from keras_transformer.layers.learned_positions import LearnedPositions
from keras_transformer.layers.rotary_scaling import frequencies
from keras_transformer.monitoring.attention import position_table
from keras_transformer.monitoring.explorer.packing import packed
from keras_transformer.monitoring.explorer.reading import numpy_of
from keras_transformer.tasks.task import Task

MOST_POSITIONS = 128


def about_positions(task: Task) -> dict[str, Any]:
    """`{"kind"}`: `"sinusoidal"`, `"learned"`, `"rotary"` or None, and what belongs to it."""
    layers = list(task.model._flatten_layers())
    found = position_table(task.model, MOST_POSITIONS)
    tables = [x for x in layers if isinstance(x, LearnedPositions)]
    if found and found[0] == "sinusoidal":
        return {"kind": "sinusoidal", "width": found[1].shape[1]}
    if tables:
        table = numpy_of(tables[0].embeddings)[:MOST_POSITIONS]
        length = np.linalg.norm(table, axis=1, keepdims=True)
        unit = table / np.maximum(length, 1e-12)
        similar = packed(np.rint(127 * unit @ unit.T).astype("int8"))
        missed = [best_map_misses(table, step) for step in range(1, 11)]
        return {"kind": "learned", "similar": similar, "misses": missed}
    for layer in layers:
        if isinstance(layer, EncoderBlock | DecoderBlock) and layer.rotary is not None:
            size = layer.self_attention.head_dim
            frequency, _ = frequencies(layer.rotary.rotary_base, size, layer.rotary.rotary_scaling)
            return {"kind": "rotary", "frequencies": np.asarray(frequency, float).tolist()}
    return {"kind": None}


def best_map_misses(table: np.ndarray, step: int) -> float | None:
    """By how much the best linear map of each position to the one `step` later misses.

    A share: the root of what is left of the squares, of the positions it was not fitted to. The
    even ones are fitted, with a little ridge, so that a table of few rows is not fitted exactly.

    Returns:
        0 for a map that is exact, about 1 where there is none; None for too few positions.

    Example:

    >>> turned = np.array([[np.sin(p / 3), np.cos(p / 3)] for p in range(20)])
    >>> round(best_map_misses(turned, 2), 3)
    0.0
    """
    before, after = table[:-step].astype("float64"), table[step:].astype("float64")
    if len(before) < 4:
        return None
    x, y = before[::2], after[::2]
    ridge = 1e-6 * np.square(x).sum() / x.shape[1] * np.eye(x.shape[1])
    linear = np.linalg.solve(x.T @ x + ridge, x.T @ y)
    left, whole = after[1::2] - before[1::2] @ linear, after[1::2]
    return float(np.sqrt(np.square(left).sum() / np.square(whole).sum()))
