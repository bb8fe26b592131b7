"""One block step by step: the part of the explorer's data that says where the numbers come from."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from keras_transformer.checks import refusal
from keras_transformer.layers import DecoderBlock, PositionalEmbedding
from keras_transformer.layers.learned_positions import LearnedPositions
from keras_transformer.monitoring.explorer.packing import packed
from keras_transformer.monitoring.explorer.reading import Reading, blocks_of, numpy_of
from keras_transformer.monitoring.explorer.walk import Walk, misses, walk
from keras_transformer.tasks.task import Task

FITTING = 5  # tokens that a query fits best, and that fit a key best
MISSED = 2e-3  # of what the page computes with rounded numbers, at most


def walks_of(task: Task, readings: Sequence[Reading]) -> list[dict[str, Walk]]:
    """The `Walk` through each block, by its path, in each text.

    Raises:
        ValueError: If what the page would compute is not what the model computes.
    """
    blocks = blocks_of(task.model)
    found = []
    for reading in readings:
        walks = {path: walk(blocks[path], call, reading) for path, call in reading.calls.items()}
        found.append(walks)
        for path, one in walks.items():
            weight, number = misses(one, reading)
            if weight > 10 * MISSED or number > MISSED:
                raise refusal(
                    "a model whose blocks can be followed in half precision",
                    f"{path}: weights miss by {weight:.1e}, its output by {number:.1e}",
                )
    return found


def about_blocks(
    task: Task, readings: Sequence[Reading], walks: Sequence[dict[str, Walk]], opened: int
) -> tuple[dict[str, Any], Iterator[tuple[list, dict[str, Any]]]]:
    """What is small of the blocks, and one by one, the most wanted first, what is large.

    Args:
        task: The task.
        readings: The texts.
        walks: As of `walks_of`.
        opened: The text that the page opens with.

    Returns:
        The data, and an iterator of `(place, packed)`: where it belongs, a list of keys.
    """
    blocks = blocks_of(task.model)
    paths = [path for path in blocks if path in walks[0]]
    layers = [one.layer for one in readings[0].attention]
    if not paths:
        return {"blocks": []}, iter(())
    described = [_described(blocks[path], walks[opened][path], layers) for path in paths]
    carried = [_carried(walks_, layers) for walks_ in walks]
    return {"blocks": described, "carried": carried}, _pieces(
        task, readings, walks, opened, paths, described
    )


def _carried(walks, layers):
    """How long each value is after the output map: of each layer `(N, S)`, or None."""
    found = {one.path: one.carried for walk_ in walks.values() for one in walk_.attentions}
    return [_half(found[path]) if path in found else None for path in layers]


def _described(block, found, layers):
    return {
        "path": block.path,
        "stack": "decoder" if isinstance(block, DecoderBlock) else "encoder",
        "normalizeFirst": block.normalize_first,
        "norm": block.norm,
        "epsilon": block.layer_norm_epsilon,
        "gated": block.gated,
        "activation": getattr(block.activation, "__name__", str(block.activation)),
        "rotary": block.rotary is not None,
        "intermediate": block.intermediate_dim,
        "attentions": [layers.index(one.path) for one in found.attentions],
        "head": _opening_head(found),
    }


def _opening_head(found):
    """The head whose weights are the least like the plain similarities of its tokens."""
    own = found.attentions[0]
    plain = own.given @ own.given.T  # (S, S)
    if found.wanted is not None:
        plain = plain[found.wanted]
    ranks = np.argsort(np.argsort(plain, axis=-1), axis=-1)
    scores = own.query @ np.swapaxes(
        np.repeat(own.key, len(own.query) // len(own.key), axis=0), 1, 2
    )
    likeness = [np.mean(np.argsort(np.argsort(head, axis=-1), axis=-1) * ranks) for head in scores]
    return int(np.argmin(likeness))


def _pieces(task, readings, walks, opened, paths, described):
    """The opening text's first and last blocks of each stack, then inwards, then other texts."""
    order = _inwards(paths, described)
    examples = [opened, *(i for i in range(len(readings)) if i != opened)]
    for place, example in enumerate(examples):
        yield from _embedded(task, readings[example], example)
        for path in order:
            block = paths.index(path)
            if not place:
                yield from _weights_of(walks[opened][path], block, described[block]["head"])
            yield ["examples", example, "walks", block], _numbers(walks, example, path)
    for path in order:
        block = paths.index(path)
        for head in range(len(walks[opened][path].attentions[0].query)):
            if head != described[block]["head"]:
                yield from _kernels(walks[opened][path], block, head)


def _inwards(paths, described):
    """Paths from both ends of each stack inwards, the stacks by turns."""
    found = []
    for stack in ("encoder", "decoder"):
        own = [path for path, one in zip(paths, described, strict=True) if one["stack"] == stack]
        turns = []
        while own:
            turns.append(own.pop(0))
            turns += [own.pop()] if own else []
        found.append(turns)
    longest = max(map(len, found))
    return [turns[i] for i in range(longest) for turns in found if i < len(turns)]


def _embedded(task, reading, example):
    """The rows of the token table, and of a learned position table, for each text."""
    layers = task.model._flatten_layers()
    tables = [x for x in layers if isinstance(x, PositionalEmbedding)]
    learned = [x for x in layers if isinstance(x, LearnedPositions)]
    if not tables:
        return
    [table, *_] = tables
    for side, ids in enumerate(reading.rows[: len(reading.tokens)]):
        rows = numpy_of(table.embeddings)[ids]
        place = ["examples", example, "embedded", side]
        piece = {"rows": packed(rows.astype("float16"))}
        piece["scale"] = table.scale_embedding
        piece["position"] = table.position or ("learned" if learned else None)
        if learned:
            positions = numpy_of(learned[min(side, len(learned) - 1)].embeddings)[: len(ids)]
            piece["positions"] = packed(positions.astype("float16"))
        yield place, piece


def _numbers(walks, example, path):
    """A block in one text, packed."""
    found = walks[example][path]
    attentions = []
    for i, one in enumerate(found.attentions):
        fits = [walks[e][path].attentions[i] for e in range(len(walks))]
        attentions.append(
            {
                "query": _half(one.query),
                "key": _half(one.key),
                "value": _half(one.value),
                "output": _half(one.output),
                "fits": _fitting(one.query, [other.key for other in fits]),
                "foundBy": _fitting(one.key, [other.query for other in fits]),
            }
        )
    piece = {"x": _half(found.x), "attentions": attentions, "fedForward": _half(found.fed_forward)}
    if found.wanted is not None:
        piece["wanted"] = found.wanted.tolist()
    if len(found.attentions) > 1:
        piece["memory"] = _half(found.memory)
    return piece


def _fitting(vectors, others):
    """Which of `others`, a list of `(heads, S, H)`, each vector `(heads, T, H)` fits best.

    `places (heads, T, 5, 2)`, of the text and in it, and the dot products `scores (heads, T, 5)`.
    """
    heads = max(len(vectors), len(others[0]))
    mine = np.repeat(vectors, heads // len(vectors), axis=0)
    texts = np.concatenate([np.full(other.shape[1], i) for i, other in enumerate(others)])
    places = np.concatenate([np.arange(other.shape[1]) for other in others])
    theirs = np.concatenate([np.repeat(x, heads // len(x), axis=0) for x in others], axis=1)
    scores = mine @ np.swapaxes(theirs, 1, 2)  # (heads, T, all)
    best = np.argsort(-scores, axis=-1, kind="stable")[..., :FITTING]
    return {
        "places": packed(np.stack([texts[best], places[best]], axis=-1).astype("uint16")),
        "scores": _half(np.take_along_axis(scores, best, axis=-1)),
    }


def _weights_of(found, block, head):
    """The norms of a block, and the kernels of its opening head."""
    names = ["self_attention_norm", "cross_attention_norm", "feed_forward_norm"]
    norms = {}
    for name in names:
        if norm := getattr(found.block, name, None):
            weights = {w.name: _half(numpy_of(w)) for w in norm.weights}
            norms[name] = {
                "scale": weights.get("gamma") or weights.get("scale"),
                "shift": weights.get("beta"),
            }
    yield ["blocks", block, "norms"], norms
    yield from _kernels(found, block, head)


def _kernels(found, block, head):
    """The columns of a head in the kernels that make queries, keys and values: `(D, H)` each."""
    for i, one in enumerate(found.attentions):
        layer = (
            found.block.self_attention
            if one.path == found.block.self_attention.path
            else (found.block.cross_attention)
        )
        shared = head // (layer.num_heads // layer.num_key_value_heads)
        if hasattr(layer, "query_key_value"):
            maps = [layer.query_key_value] * 3
            starts = [
                head,
                layer.num_heads + shared,
                layer.num_heads + layer.num_key_value_heads + shared,
            ]
        else:
            maps = [layer.query, layer.key_value, layer.key_value]
            starts = [head, shared, layer.num_key_value_heads + shared]
        piece = {}
        for name, dense, start in zip(("query", "key", "value"), maps, starts, strict=True):
            columns = slice(start * layer.head_dim, (start + 1) * layer.head_dim)
            piece[name] = {"kernel": _half(numpy_of(dense.kernel)[:, columns])}
            if dense.use_bias:
                piece[name]["bias"] = _half(numpy_of(dense.bias)[columns])
        yield ["blocks", block, "kernels", i, head], piece


def _half(x):
    return packed(np.asarray(x).astype("float16"))
