"""One text read by a model, with all that its layers were given and gave."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_transformer.layers import DecoderBlock, EncoderBlock
from keras_transformer.monitoring.attention import Attention, attention_in, token_texts
from keras_transformer.scopes import ActivationScope
from keras_transformer.tasks.task import Task


@dataclasses.dataclass
class Call:
    """What a layer was given and gave."""

    args: tuple
    kwargs: dict[str, Any]
    output: Any


@dataclasses.dataclass
class Reading:
    """One text as a model reads it.

    Attributes:
        rows: List of int32 arrays `(T,)`, one for each of the model's inputs.
        tokens: For the source, or the only text, and for a target: a list of str each.
        attention: List of `Attention`, those of a decoder's blocks `"causal"` or `"cross"`.
        calls: By its path, what each block of the model was given and gave.
        activations: By its path, `(T, F)`, what the neurons of each feed-forward network did.
        logits: float32 array, the model's first output without the batch.
    """

    rows: list[np.ndarray]
    tokens: list[list[str]]
    attention: list[Attention]
    calls: dict[str, Call]
    activations: dict[str, np.ndarray]
    logits: np.ndarray


def read(task: Task, rows: list[np.ndarray]) -> Reading:
    """Runs a task's model on one text.

    Args:
        task: A `Task`.
        rows: As of its `inputs`.
    """
    blocks = blocks_of(task.model)
    with recorded_calls([task.model, *blocks.values()]) as calls, ActivationScope() as scope:
        found = attention_in(task, rows)
    for i, one in enumerate(found):
        owner = blocks.get(one.layer.rpartition("/")[0])
        if one.kind == "self" and isinstance(owner, DecoderBlock):
            found[i] = dataclasses.replace(one, kind="causal")  # a single token shows nothing of it
    both = any(one.kind == "cross" for one in found)
    tokens = [token_texts(task.tokenizer, row) for row in rows[: 2 if both else 1]]
    output = keras.tree.flatten(calls.pop(task.model.path).output)[0] if calls else np.zeros(1)
    activations = {path: array(x) for path, x in scope.activations.items()}
    return Reading(rows, tokens, found, calls, activations, array(output))


def blocks_of(model: keras.Model) -> dict[str, Any]:
    """The blocks of a model by their paths, in their order."""
    kinds = EncoderBlock | DecoderBlock
    return {x.path: x for x in model._flatten_layers() if isinstance(x, kinds)}


@contextlib.contextmanager
def recorded_calls(layers: Iterable[keras.layers.Layer]) -> Iterator[dict[str, Call]]:
    """Yields what each of some layers is given and gives, by its path, in the first call of it."""
    calls: dict[str, Call] = {}
    layers = list(layers)
    for layer in layers:
        layer.call = _recording(layer.path, layer.call, calls)
    try:
        yield calls
    finally:
        for layer in layers:
            del layer.call


def _recording(path, call, calls):
    def recording(*args, **kwargs):
        output = call(*args, **kwargs)
        calls.setdefault(path, Call(args, kwargs, output))
        return output

    return recording


def array(x: Any) -> np.ndarray:
    """A tensor `(1, ...)` as float32, without its batch."""
    return numpy_of(x)[0]


def numpy_of(x: Any) -> np.ndarray:
    """A tensor as a float32 array."""
    return np.asarray(ops.convert_to_numpy(ops.cast(x, "float32")))
