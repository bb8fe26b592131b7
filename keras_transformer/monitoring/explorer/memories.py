"""Feed-forward networks as memories: the part of the explorer's data on neurons."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_transformer.checks import refusal
from keras_transformer.monitoring.explorer.packing import packed, packed_json
from keras_transformer.monitoring.explorer.reading import Reading, blocks_of
from keras_transformer.monitoring.explorer.subject import BareModel
from keras_transformer.monitoring.neurons import ReadTexts, neurons
from keras_transformer.tasks import TextClassifier
from keras_transformer.tasks.task import Task

MOST_TEXTS = 100  # whose activations are held at once
STRONGEST = 8  # neurons that fire most for a token


def about_neurons(task: Task, readings: Sequence[Reading], texts: Sequence[Any]) -> dict[str, Any]:
    """`{"neurons", "firing"}`: of each block, those of most telling examples, and of each token.

    Args:
        task: The task.
        readings: The page's texts.
        texts: Reference texts, as of `monitoring.neurons`; of many the first 100. Without any they
            are the page's.
    """
    if isinstance(task, TextClassifier):
        texts = [text[0] if isinstance(text, tuple) else text for text in texts]
    paths = [path for path in blocks_of(task.model) if path in readings[0].calls]
    found: dict[int, Any] = {}
    # Of ids alone nobody knows which text a block reads, of two.
    known = [] if isinstance(task, BareModel) and len(readings[0].tokens) > 1 else paths
    read = _read_texts(task, readings, texts if known else [])
    for place, path in enumerate(known):
        some = neurons(task, read, f"{path}/feed_forward")
        found[place] = packed_json([_as_json(one) for one in some if one.examples])
    return {"neurons": found, "firing": [_firing(reading, paths) for reading in readings]}


def _read_texts(task, readings, texts):
    """The reference texts; without any the page's own, which were read already."""
    if texts:
        try:
            return ReadTexts(task, texts[:MOST_TEXTS])
        except ValueError as error:
            raise refusal("reference texts that the model can read", str(error)) from None
    read = ReadTexts(task, [])
    read.found = [(reading.tokens, reading.activations) for reading in readings]
    return read


def _as_json(one):
    return {
        "index": one.index,
        "share": round(one.share, 5),
        "examples": [[round(a, 4), tokens, place] for a, tokens, place in one.examples],
        "promotes": [[token, round(x, 4)] for token, x in one.promotes],
        "suppresses": [[token, round(x, 4)] for token, x in one.suppresses],
    }


def _firing(reading, paths):
    """The neurons that fire most for each token of one text, by the places of blocks."""
    found = {}
    for place, path in enumerate(paths):
        active = reading.activations[f"{path}/feed_forward"]  # (T, F)
        best = np.argsort(-active, axis=1, kind="stable")[:, :STRONGEST]
        found[place] = {
            "ids": packed(best.astype("int32")),
            "values": packed(np.take_along_axis(active, best, axis=1).astype("float16")),
        }
    return found
