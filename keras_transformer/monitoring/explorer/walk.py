"""The way through one block: every number between what it is given and what it gives."""

import dataclasses
from typing import Any

import numpy as np
from keras import ops

from keras_transformer.layers.multi_head_attention import swap_heads
from keras_transformer.layers.tokens import tokens_at
from keras_transformer.monitoring.explorer.packing import STEPS, as_steps
from keras_transformer.monitoring.explorer.reading import Call, Reading, array, numpy_of


@dataclasses.dataclass
class AttentionWalk:
    """One attention of a block in one text, float32 arrays.

    Attributes:
        path: Of its layer.
        given: `(T, D)`, what queries, and in self-attention keys and values, are made of.
        query: `(N, T, H)`, turned where positions are rotary.
        key, value: `(K, S, H)`.
        output: `(T, D)`, after the output map.
        carried: `(N, S)`, the length of each value after its part of the output map.
    """

    path: str
    given: np.ndarray
    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    output: np.ndarray
    carried: np.ndarray


@dataclasses.dataclass
class Walk:
    """One block in one text.

    Attributes:
        block: The layer.
        x: `(T, D)`, what it is given.
        wanted: Places of the tokens that it computes, where these are not all; else None.
        attentions: `AttentionWalk` of self- and, in a decoder with a memory, cross-attention.
        memory: `(S, any)`, what cross-attention looks at, or None.
        fed_forward: `(T, D)`, what the feed-forward network gives.
        y: `(T, D)`, what the block gives.
    """

    block: Any
    x: np.ndarray
    wanted: np.ndarray | None
    attentions: list[AttentionWalk]
    memory: np.ndarray | None
    fed_forward: np.ndarray
    y: np.ndarray


def walk(block: Any, call: Call, reading: Reading) -> Walk:
    """Goes through a block again, step by step, as its `call` did.

    Args:
        block: An `EncoderBlock` or a `DecoderBlock`.
        call: What it was given and gave.
        reading: The text, whose attention weights are those of the model.
    """
    found = {one.layer: one for one in reading.attention}
    own = found[block.self_attention.path]
    count = len(own.keys)
    x = block_input(call)[:, :count]  # without padding that was added
    wanted = call.kwargs.get("wanted")
    first, attentions, memory = x, [], None
    for name in ("self_attention", "cross_attention"):
        layer = getattr(block, name, None)
        if layer is None or layer.path not in found:
            continue
        weights = found[layer.path].weights  # (N, T, S)
        norm = getattr(block, f"{name}_norm")
        given = norm(x) if block.normalize_first else x
        if name == "self_attention":
            query, key, value = layer.project(given, wanted)
        else:
            query = swap_heads(layer.split_heads(layer.query(given)))
            memory = memory_of(call)[:, : weights.shape[-1]]
            key, value = layer.project(memory)
        summed = mixed(weights, array(value))  # (N, T, H)
        joined = np.moveaxis(summed, 0, 1).reshape(1, summed.shape[1], -1)  # (1, T, N * H)
        output = layer.output_projection(ops.convert_to_tensor(joined))
        attentions.append(
            AttentionWalk(
                layer.path,
                given=array(given),
                query=array(query),
                key=array(key),
                value=array(value),
                output=array(output),
                carried=carried(layer, array(value), len(weights)),
            )
        )
        if name == "self_attention":
            x = tokens_at(x, wanted)
        x = x + output
        x = x if block.normalize_first else norm(x)
    given = block.feed_forward_norm(x) if block.normalize_first else x
    fed_forward = array(block.feed_forward(given))
    y = array(call.output)[: len(fed_forward)]
    places = None if wanted is None else np.asarray(ops.convert_to_numpy(wanted))[0]
    memory = None if memory is None else array(memory)
    return Walk(block, array(first), places, attentions, memory, fed_forward, y)


def block_input(call: Call) -> Any:
    """What a block was given first, as float32."""
    return ops.cast(call.args[0] if call.args else call.kwargs["x"], "float32")


def memory_of(call: Call) -> Any:
    """The memory that a decoder's block was given, as float32."""
    memory = call.args[1] if len(call.args) > 1 else call.kwargs["memory"]
    return ops.cast(memory, "float32")


def mixed(weights: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The values `(K, S, H)` by their `weights (N, T, S)`: `(N, T, H)`."""
    return weights @ np.repeat(value, len(weights) // len(value), axis=0)


def carried(layer: Any, value: np.ndarray, num_heads: int) -> np.ndarray:
    """How long each value `(K, S, H)` is after its head's part of the output map: `(N, S)`."""
    kernel = numpy_of(layer.output_projection.kernel)
    kernel = kernel.reshape(num_heads, -1, kernel.shape[-1])  # (N, H, D)
    value = np.repeat(value, num_heads // len(value), axis=0)
    return np.linalg.norm(value @ kernel, axis=-1)


def misses(found: Walk, reading: Reading) -> tuple[float, float]:
    """By how much the page misses the model, computing with the numbers that it has.

    Returns:
        The greatest difference of a weight, and of a number of the block's output as a share of
        the greatest of these.
    """

    def rounded(x):
        return x.astype("float16").astype("float32")

    weights = {one.layer: one.weights for one in reading.attention}
    block, x, missed = found.block, rounded(found.x), 0.0
    for one in found.attentions:
        mine, model = rounded(one.query), weights[one.path]
        key = np.repeat(rounded(one.key), len(mine) // len(one.key), axis=0)
        scores = mine @ np.swapaxes(key, 1, 2) / np.sqrt(mine.shape[-1])
        scores = np.where(as_steps(model) > 0, scores, -np.inf)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        missed = max(missed, np.abs(shares - as_steps(model) / STEPS).max())
        if found.wanted is not None and len(x) != len(one.output):
            x = x[found.wanted]
        x = x + rounded(one.output)
        if not block.normalize_first:
            norm = block.self_attention_norm if one is found.attentions[0] else None
            norm = norm or block.cross_attention_norm
            x = np.asarray(ops.convert_to_numpy(norm(x[None])))[0]
    x = x + rounded(found.fed_forward)
    if not block.normalize_first:
        x = np.asarray(ops.convert_to_numpy(block.feed_forward_norm(x[None])))[0]
    return float(missed), float(np.abs(x - found.y).max() / max(1.0, np.abs(found.y).max()))
