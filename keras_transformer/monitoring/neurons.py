"""What the neurons of a feed-forward network wait for, and which tokens they promote."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_transformer.backend.graph import Graph
from keras_transformer.checks import require, some
from keras_transformer.layers import FeedForward, PositionalEmbedding
from keras_transformer.layers.projection import Projection
from keras_transformer.monitoring.attention import Example, token_texts
from keras_transformer.scopes import ActivationScope
from keras_transformer.tasks.mask_filler import MaskFiller
from keras_transformer.tasks.task import Task
from keras_transformer.tasks.text_generator import TextGenerator
from keras_transformer.tasks.translator import Translator

EXAMPLES, AROUND = 8, 12  # examples of a neuron, and the most tokens that each shows
PROMOTED, SUPPRESSED = 10, 5


@dataclasses.dataclass(frozen=True)
class Neuron:
    """One neuron of a feed-forward network, as a key that texts match and a value that it adds.

    Attributes:
        layer: Path of the `FeedForward` in its model.
        index: Which of its F neurons.
        share: Of all tokens, from 0 to 1, how many it is active at: above 0 of plain ReLU, and of
            what is never quite 0 above a tenth of its largest activation.
        examples: List of `(activation, tokens, place)`, strongest first: the activation, a list of
            up to 12 str, and which of them it is at. Up to 8, each of another text, all above 0.
        promotes: List of 10 `(token, product)`, largest first: how much an activation of 1 adds to
            the token's logit, with nothing in between. Empty where nothing leads to logits.
        suppresses: Likewise 5 of the smallest, smallest first.
    """

    layer: str
    index: int
    share: float
    examples: list[tuple[float, list[str], int]]
    promotes: list[tuple[str, float]]
    suppresses: list[tuple[str, float]]


def neurons(
    task: Task,
    texts: Sequence[Example] | ReadTexts,
    layer: str,
    indices: Sequence[int] | None = None,
    most: int = 32,
) -> list[Neuron]:
    """Neurons of a feed-forward network as key-value memories: what wakes them, what they say.

    An activation is what the second linear map gets: after the activation function, and times the
    gate if there is one. All of them are kept while this runs: F times the number of tokens, 4
    bytes each. The products leave out what stands between the blocks and the logits (a norm, the
    head of a masked language model). Of a masked language model all tokens are looked at, and of a
    classifier's last block often the first one alone, which is all that it computes.

    Args:
        task: A `tasks.Translator`, `TextGenerator`, `MaskFiller`, `TextClassifier` or
            `TextEmbedder`.
        texts: List of reference texts, as of `attention_of`: a translator's are pairs `(source,
            target)`, or are translated first. Or `ReadTexts`, for one layer after another.
        layer: Path of the `FeedForward` in the model, such as `"decoder_block_3/feed_forward"`.
        indices: Which neurons, from 0 to F - 1. Default `None`: the most selective ones, of which
            the weakest example is greatest relative to the mean size of all their activations. Not
            the strongest example: the neurons that are active once in all texts would come first.
        most: How many these are.

    Returns:
        A list of `Neuron`, in the order of `indices`, or the most selective first. Nothing leads to
        logits, and there are no products, from an encoder beside a decoder, of a classifier or of
        an embedder.

    Raises:
        ValueError: No such layer or neuron, or no text with a token.

    Reference:
        Geva et al. 2021, "Transformer Feed-Forward Layers Are Key-Value Memories".

    Example:

    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["a dog runs"])
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=7, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> write = kt.tasks.TextGenerator(kt.models.decoder_only(config), tokenizer, 3)
    >>> found = neurons(write, ["a dog", "dog runs"], "decoder_block_0/feed_forward", most=4)
    >>> len(found), found[0].layer, len(found[0].promotes)
    (4, 'decoder_block_0/feed_forward', 7)
    """
    networks = {x.path: x for x in task.model._flatten_layers() if isinstance(x, FeedForward)}
    expected = f"a feed-forward network of the model: {some(networks)}"
    require(layer in networks, expected, layer=layer)
    network = networks[layer]
    chosen = None if indices is None else [int(index) for index in indices]
    last = network.intermediate_dim - 1
    for index in chosen or ():
        require(0 <= index <= last, f"indices from 0 to {last}", index=index)
    is_of_source = _is_of_source(task, network)
    read = texts if isinstance(texts, ReadTexts) else ReadTexts(task, texts, layer)
    found = read.of(layer, 1 if isinstance(task, Translator) and not is_of_source else 0)
    require(found, "a text with a token", texts=read.texts)
    peaks = np.stack([active.max(axis=0) for _, active in found])  # (texts, F)
    strongest = np.argsort(-peaks, axis=0, kind="stable")[:EXAMPLES]  # (8, F), places of texts
    active = np.concatenate([active for _, active in found])  # (tokens, F)
    if chosen is None:
        weakest = np.take_along_axis(peaks, strongest[-1:], axis=0)[0]
        size = np.abs(active).mean(axis=0)
        chosen = np.argsort(-weakest / np.maximum(size, 1e-30), kind="stable")[:most].tolist()
    is_relu = network.activation is keras.activations.relu and not network.gated
    thresholds = np.zeros(active.shape[1]) if is_relu else active.max(axis=0) / 10
    shares = (active > thresholds).mean(axis=0)
    to_logits = None if is_of_source else _to_logits(task)
    promotes, suppresses = _tokens(task, network, chosen, to_logits)
    return [
        Neuron(
            layer,
            index,
            float(shares[index]),
            [_example(found[i], index) for i in strongest[:, index] if peaks[i, index] > 0],
            promotes[place],
            suppresses[place],
        )
        for place, index in enumerate(chosen)
    ]


def _is_of_source(task, network):
    """Whether a network reads the source of a translation, before the decoder."""
    if not isinstance(task, Translator):
        return False
    graph = Graph(task.model, "memory")
    encoder = [x for x in graph.part(graph.named).operations if isinstance(x, keras.layers.Layer)]
    return any(network in layer._flatten_layers() for layer in encoder)


class ReadTexts:
    """Texts that a model has read once, with what all its feed-forward networks did in them.

    For who looks at several of these: `neurons` takes one in place of its texts. It keeps F times
    the number of tokens of every network, 4 bytes each.

    Args:
        task: As of `neurons`.
        texts: As of `neurons`.
        layer: Path of the only network that is kept. Default `None`: all are.
    """

    def __init__(self, task: Task, texts: Sequence[Example], layer: str | None = None) -> None:
        self.texts = list(texts)
        self.found = [_activations(task, text, layer) for text in self.texts]

    def of(self, layer: str, side: int) -> list[tuple[list[str], np.ndarray]]:
        """`(tokens, activations (T, F))` of a network, of each text with a token."""
        found = []
        for tokens, active in self.found:
            if tokens[0]:
                # More rows are those of a first token that a pooler wants; fewer are it alone.
                rows, own = active[layer], tokens[side]
                found.append((own[: len(rows)], rows[-len(own) :]))
        return found


def _activations(task, text, layer):
    """`(tokens of each side, activations by path)` of one text, alone: so there is no padding."""
    rows = task.inputs(text)
    if not len(rows[0]):
        return [[]], {}
    count = 2 if isinstance(task, Translator) else 1
    tokens = [token_texts(task.tokenizer, row) for row in rows[:count]]
    names = [tensor.name for tensor in task.model.inputs]
    if "masked_positions" in names:  # the last block computes these alone
        rows[names.index("masked_positions")] = np.arange(len(tokens[0]), dtype="int32")
    with ActivationScope() as scope:
        inputs = [row[None] for row in rows]  # (1, T) each
        task.model(keras.tree.pack_sequence_as(task.model.input, inputs), training=False)
    wanted = scope.activations if layer is None else {layer: scope.activations[layer]}
    return tokens, {path: _numpy(active)[0] for path, active in wanted.items()}


def _example(text, index):
    tokens, active = text
    place = int(active[:, index].argmax())
    first = max(0, min(place - AROUND // 2, len(tokens) - AROUND))
    return float(active[place, index]), tokens[first : first + AROUND], place - first


def _to_logits(task: Task) -> Callable[[Any], Any] | None:
    """What turns hidden states `(1, n, D)` into logits `(1, n, V)`, or None."""
    if not isinstance(task, Translator | TextGenerator | MaskFiller):
        return None
    size = task.model.outputs[0].shape[-1]
    layers = list(task.model._flatten_layers())
    for layer in layers:
        is_ours = isinstance(layer, Projection)  # inside of blocks
        if isinstance(layer, keras.layers.Dense) and layer.units == size and not is_ours:
            return layer
    for layer in layers:
        if isinstance(layer, PositionalEmbedding) and layer.vocabulary_size == size:
            return functools.partial(layer, reverse=True)
    return None


def _tokens(task, network, indices, to_logits):
    """The tokens that each neuron promotes, and those that it suppresses, with the products."""
    if to_logits is None:
        return [[[]] * len(indices)] * 2
    alone = np.eye(network.intermediate_dim, dtype="float32")[indices]  # (n, F)
    products = _without_bias(to_logits, _without_bias(network.contract, alone))  # (n, V)
    products = products[:, : task.tokenizer.vocabulary_size]
    names = token_texts(task.tokenizer, range(products.shape[1]))
    order = np.argsort(-products, axis=1, kind="stable")
    ranked = [
        [(names[i], float(row[i])) for i in places]
        for row, places in zip(products, order, strict=True)
    ]
    return [x[:PROMOTED] for x in ranked], [x[: -SUPPRESSED - 1 : -1] for x in ranked]


def _without_bias(linear, rows):
    """What a linear map makes of rows, whatever it is made of: a matrix, LoRA's, one of 8 bits."""
    zero = np.zeros_like(rows[:1])
    return _numpy(linear(rows[None]) - linear(zero[None]))[0]


def _numpy(x):
    return np.asarray(ops.convert_to_numpy(ops.cast(x, "float32")))
