"""What the model nearly said: the part of the explorer's data on candidates and layers."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_transformer.backend.graph import Graph
from keras_transformer.generation import BeamSearch
from keras_transformer.monitoring.attention import token_texts
from keras_transformer.monitoring.explorer.beams import beams_of
from keras_transformer.monitoring.explorer.packing import packed
from keras_transformer.monitoring.explorer.reading import Reading, array, blocks_of
from keras_transformer.tasks import MaskFiller, TextClassifier, TextEmbedder, Translator
from keras_transformer.tasks.task import Task

CANDIDATES = 64
IN_LENS = 5
TEMPERATURES = [n / 10 for n in range(1, 21)]


def about_generation(task: Task, readings: Sequence[Reading]) -> dict[str, Any]:
    """`{"classes", "generation", "vocabulary", "search"}`, each as far as the model has it."""
    if isinstance(task, TextClassifier) and task.labels:
        shares = [softmax(reading.logits) for reading in readings]
        return {
            "classes": [
                [[label, float(p)] for label, p in zip(task.labels, row, strict=True)]
                for row in shares
            ]
        }
    if not _says_tokens(task, readings[0]):
        return {}
    lens = _Lens(task, readings[0])
    found = [_one(task, reading, lens) for reading in readings]
    about: dict[str, Any] = {}
    sampler = getattr(task, "sampler", None)
    used = {number for one in found for number in one.pop("used")}
    if isinstance(task, Translator) and isinstance(sampler, BeamSearch):
        trees = beams_of(task, [reading.rows[0] for reading in readings])
        for one, tree in zip(found, trees, strict=True):
            one["beam"] = tree
            used |= {row[1] for step in tree["steps"] for row in step}
        about["search"] = {
            "beams": sampler.beams,
            "lengthPenalty": sampler.length_penalty,
            "penalty": sampler.penalty,
        }
    texts = token_texts(task.tokenizer, sorted(used))
    about["vocabulary"] = dict(zip(map(str, sorted(used)), texts, strict=True))
    about["vocabularySize"] = len(task.tokenizer.vocabulary)
    return about | {"generation": found, "lensBlocks": lens.paths}


def _says_tokens(task, reading):
    """Whether the model's first output are logits of tokens."""
    decodes = any(one.kind != "self" for one in reading.attention)
    if isinstance(task, TextEmbedder) or not (decodes or isinstance(task, MaskFiller)):
        return False
    size = len(task.tokenizer.vocabulary)
    return reading.logits.ndim == 2 and reading.logits.shape[-1] >= size > 1


def softmax(x: np.ndarray) -> np.ndarray:
    """Of the last axis, in float64."""
    return np.exp(log_softmax(x))


def log_softmax(x: np.ndarray) -> np.ndarray:
    """Of the last axis, in float64."""
    x = np.asarray(x, "float64")
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def _one(task, reading, lens):
    """The candidates at each place of one text; `totals` are exact for every temperature."""
    scores = log_softmax(reading.logits[:, : len(task.tokenizer.vocabulary)])  # (T, V)
    count = min(CANDIDATES, scores.shape[1])
    best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    totals = [np.log(np.exp(scores / t).sum(axis=1)) for t in TEMPERATURES]
    said = said_ids(reading, scores)
    found = {
        "ids": packed(best.astype("int32")),
        "scores": packed(np.take_along_axis(scores, best, axis=1).astype("float32")),
        "totals": packed(np.stack(totals, axis=1).astype("float32")),
        "said": said,
        "saidScores": [float(scores[t, i]) for t, i in enumerate(said)],
        "used": {*best.ravel().tolist(), *said},
    }
    if lens.paths:
        ids, shares = lens(reading)
        found["lens"] = {"ids": packed(ids), "shares": packed(shares)}
        found["used"] |= {*ids.ravel().tolist()}
    return found


def said_ids(reading: Reading, scores: np.ndarray) -> list[int]:
    """The id that is said at each place: the next one of a decoder's text, else the likeliest."""
    ids = reading.rows[len(reading.tokens) - 1]
    if len(scores) == len(ids) and any(one.kind != "self" for one in reading.attention):
        return [*ids[1:].tolist(), int(scores[-1].argmax())]
    return scores.argmax(axis=1).tolist()


class _Lens:
    """What the last part of a model would make of what each block gives ("logit lens").

    Reference:
        nostalgebraist 2020, "interpreting GPT: the logit lens".
    """

    def __init__(self, task: Task, reading: Reading) -> None:
        self.task = task
        blocks = [path for path in blocks_of(task.model) if path in reading.calls]
        self.paths = [p for p in blocks if "encoder_block" not in p or len(reading.tokens) == 1]
        if not self.paths:
            return
        last = self.paths[-1].rpartition("/")[2]
        try:
            graph = Graph(task.model, last)
            output = keras.tree.flatten(graph.output)[0]
            named: Any = graph.named
            self.end, self.given = graph.part(output, named), named
            self(reading)
        except (ValueError, KeyError, IndexError):  # of layers put together in another way
            self.paths = []

    def __call__(self, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
        """The likeliest ids `(blocks, T, 5)`, uint16 or int32, and their probabilities, float16."""
        count = len(reading.logits)
        wanted = reading.calls[self.paths[-1]].kwargs.get("wanted")
        ids, shares = [], []
        for path in self.paths:
            y = reading.calls[path].output
            if wanted is not None and path != self.paths[-1]:
                y = ops.take(y, wanted[0], axis=1)
            logits = array(self.end({self.given: y}))[:count, : len(self.task.tokenizer.vocabulary)]
            p = softmax(logits)
            best = np.argsort(-p, axis=1, kind="stable")[:, :IN_LENS]
            ids.append(best)
            shares.append(np.take_along_axis(p, best, axis=1))
        return np.stack(ids).astype("int32"), np.stack(shares).astype("float16")
