"""Who looks at whom: the part of the explorer's data that all others refer to."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_transformer.checks import refusal
from keras_transformer.layers import (
    DecoderBlock,
    EncoderBlock,
    MultiHeadCrossAttention,
    MultiHeadSelfAttention,
)
from keras_transformer.monitoring.attention import token_texts, word_places
from keras_transformer.monitoring.explorer.packing import as_steps, packed
from keras_transformer.monitoring.explorer.reading import Reading, blocks_of
from keras_transformer.tasks.task import Task

MOST_TOKENS = 128
ROOM = 4_800_000  # bytes; the program, its styles and words take the rest of 5 MB
PACKED = 1.0  # bytes of the file for one of uint16 weights, at most: measured 0.85 to 1.0


def check_room(model: keras.Model, rows: Sequence[Sequence[np.ndarray]]) -> None:
    """Refuses more examples than fit, before the model runs, and says what would fit."""
    sizes = [_size(model, list(map(len, row))) for row in rows]
    total = sum(sizes)
    if total <= ROOM:
        return
    count = int(np.sum(np.cumsum(sizes) <= ROOM))
    longest = max(max(map(len, row)) for row in rows)
    shorter = int(longest * np.sqrt(ROOM / total))
    raise refusal(
        f"examples whose attention fits into 5 MB: {count} of them fit, or {len(rows)} of at most "
        f"{shorter} tokens",
        f"{len(rows)} examples of up to {longest} tokens, {total / 1e6:.1f} MB",
    )


def _size(model, lengths):
    """Bytes of the file that the attention in one example takes, about."""
    total = 0
    source, target = lengths[0], lengths[-1]
    for layer in model._flatten_layers():
        if isinstance(layer, MultiHeadCrossAttention):
            total += layer.num_heads * target * source
        elif isinstance(layer, MultiHeadSelfAttention):
            total += layer.num_heads * (target if "decoder" in layer.path else source) ** 2
    return 2 * PACKED * total


def about_attention(
    task: Task, examples: Sequence[Any], readings: Sequence[Reading]
) -> dict[str, Any]:
    """The layers, and of each example its tokens and weights."""
    blocks = blocks_of(task.model)
    layers: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for one in readings[0].attention:
        owner = blocks.get(one.layer.rpartition("/")[0])
        stack = "decoder" if isinstance(owner, DecoderBlock) or one.kind == "cross" else "encoder"
        seen[one.kind] = seen.get(one.kind, 0) + 1
        layers.append(
            {
                "path": one.layer,
                "kind": one.kind,
                "stack": stack,
                "number": seen[one.kind],
                "heads": len(one.weights),
                "group": _group(task.model, one.layer),
            }
        )
    return {
        "layers": layers,
        "stacks": [
            {"stack": name, "blocks": sum(isinstance(x, kind) for x in blocks.values())}
            for name, kind in (("encoder", EncoderBlock), ("decoder", DecoderBlock))
            if any(isinstance(x, kind) for x in blocks.values())
        ],
        "examples": [
            _about_text(task, example, reading)
            for example, reading in zip(examples, readings, strict=True)
        ],
    }


def _group(model, path):
    """How many heads share keys and values."""
    for layer in model._flatten_layers():
        if layer.path == path.partition("#")[0]:
            return layer.num_heads // layer.num_key_value_heads
    return 1


def _about_text(task, example, reading):
    texts = [*reading.tokens]

    def place(tokens):
        if tokens not in texts:
            texts.append(tokens)
        return texts.index(tokens)

    both = len(reading.tokens) == 2
    sides = []
    for one in reading.attention:
        # The same tokens may stand in a source and its target: the side says which they are.
        query = 1 if both and one.kind != "self" else place(one.queries)
        sides.append([query, 0 if one.kind == "cross" or not both else query])
    weights = [as_steps(one.weights).reshape(-1) for one in reading.attention]
    special = [np.isin(row, task.tokenizer.special_ids) for row in reading.rows[: len(texts)]]
    return {
        "text": _as_said(task, example, reading.rows[0]),
        "said": _as_said(task, None, reading.rows[1]) if both else None,
        "texts": texts,
        "wanted": _wanted(task, reading),
        "special": [np.flatnonzero(x).tolist() for x in special],
        "words": _words_of(task.tokenizer, reading.rows[: len(reading.tokens)]),
        **_written(task, reading),
        "sides": sides,
        "weights": packed(np.concatenate(weights)),
    }


def _wanted(task, reading):
    """The places that a masked language model guesses, or None of others."""
    for tensor, row in zip(task.model.inputs, reading.rows, strict=True):
        if tensor.name == "masked_positions":
            return row.tolist()
    return None


def _as_said(task, example, ids):
    if isinstance(example, str):
        return example
    if isinstance(example, tuple) and isinstance(example[0], str):
        return example[0]
    return task.tokenizer.decode([ids.tolist()])[0]


def _words_of(tokenizer, rows):
    """The tokens of each word of each text, or None where words are unknown."""
    if not hasattr(tokenizer, "word_starts"):
        return None
    return [word_places(tokenizer, ids) for ids in rows]


def _written(task, reading):
    """What is written at each place of a text that a decoder reads; nothing of an encoder."""
    if all(one.kind == "self" for one in reading.attention):
        return {"written": None}
    ids = reading.rows[len(reading.tokens) - 1]
    known = reading.logits[..., : len(task.tokenizer.vocabulary)]
    last = int(np.argmax(known[-1])) if known.ndim == 2 else int(ids[-1])
    written = np.array([*ids[1:], last])
    words = _words_of(task.tokenizer, [written])
    return {
        "written": token_texts(task.tokenizer, written),
        "writtenWords": words and words[0],
    }
