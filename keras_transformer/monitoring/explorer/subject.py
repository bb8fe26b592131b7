"""What is looked at: a task, or a model of which nothing is known but its ids."""

import copy
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_transformer import tasks
from keras_transformer.backend.graph import functional
from keras_transformer.checks import refusal, require
from keras_transformer.generation.anatomy import known_config
from keras_transformer.layers import PositionalEmbedding
from keras_transformer.tasks.loading import with_precision
from keras_transformer.tasks.task import Task

KINDS = {
    tasks.Translator: "translation",
    tasks.TextGenerator: "causal",
    tasks.MaskFiller: "masked",
    tasks.TextClassifier: "classes",
    tasks.TextEmbedder: "embedding",
}
NEW_TOKENS = 12  # that a text generator writes after an example


class IdNames:
    """A tokenizer where there is none: each id is its own name."""

    pad_id = 0
    special_ids = (0,)

    def __init__(self, count: int) -> None:
        self.vocabulary = [str(number) for number in range(count)]
        self.vocabulary_size = count

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return [" ".join(map(str, row)) for row in rows]


class BareModel(Task):
    """A model as a task whose examples are ids: a list of them, or of an encoder-decoder a pair."""

    def __init__(self, model: keras.Model) -> None:
        graph = functional(model)
        require(
            graph is not None,
            "a task, or a Functional model; a subclass of keras.Model becomes one by "
            "keras.Model(inputs, outputs)",
            model=f"{model.name} of type {type(model).__name__}",
        )
        tables = [x for x in model._flatten_layers() if isinstance(x, PositionalEmbedding)]
        self.model: Any = graph
        self.config = known_config(model)
        self.max_length = None
        count = max((table.vocabulary_size for table in tables), default=2**16)
        self.tokenizer: Any = IdNames(count)

    def inputs(self, example: Any) -> list[np.ndarray]:
        several = np.ndim(example[0]) == 1
        rows = [np.array(row, "int32") for row in (example if several else [example])]
        others = self.model.inputs[len(rows) :]
        return [*rows, *(np.zeros_like(rows[0]) for _ in others)]


def subject(task_or_model: Task | keras.Model) -> Task:
    """What can be looked at as a task.

    Raises:
        ValueError: For a model that is not Functional, and for anything else.
    """
    if isinstance(task_or_model, keras.Model):
        return in_float32(BareModel(task_or_model))
    if isinstance(task_or_model, Task):
        return in_float32(task_or_model)
    raise refusal("a task of keras_transformer.tasks, or a model", type(task_or_model).__name__)


def in_float32(task: Task) -> Task:
    """A task whose model computes in float32: half precision is too coarse to follow by hand."""
    if all(layer.compute_dtype == "float32" for layer in task.model._flatten_layers()):
        return task
    task = copy.copy(task)
    task.model = with_precision(task.model, "float32")
    if isinstance(task, tasks.Translator):
        task.generators = {}  # which have the model before
    return task


def kind_of_task(task: Task) -> str:
    """What a task does, in one word of the page."""
    return next((kind for known, kind in KINDS.items() if isinstance(task, known)), "model")


def finished(task: Task, example: Any) -> Any:
    """An example as the model is watched on it: a text generator goes on with it first."""
    if not isinstance(task, tasks.TextGenerator):
        return example
    room = (task.max_length or 10**6) - len(task.inputs(example)[0])
    if room < 1:
        return example
    return example + task(example, max_new_tokens=min(NEW_TOKENS, room), temperature=0)
