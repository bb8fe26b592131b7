"""The attention of a model on a text, with the tokens that it is between."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_transformer.checks import require
from keras_transformer.layers import MultiHeadCrossAttention, PositionalEmbedding
from keras_transformer.scopes import AttentionScope
from keras_transformer.tasks.task import Task
from keras_transformer.tasks.translator import Translator
from keras_transformer.text import Tokenizer
from keras_transformer.types import Ids

Example = str | tuple[str, str]  # a text, or for a translator also with its translation


@dataclasses.dataclass(frozen=True)
class Attention:
    """What one layer's heads attend to in one text.

    Attributes:
        layer: Path of the layer in its model, such as `"decoder_block_0/cross_attention"`.
        kind: `"self"`, `"causal"` (self-attention that sees no later token) or `"cross"`.
        weights: float32 array `(N, T, S)`, as `AttentionScope` records them.
        queries: List of T str, the tokens that look.
        keys: List of S str, the tokens that are looked at.
    """

    layer: str
    kind: str
    weights: np.ndarray
    queries: list[str]
    keys: list[str]


def attention_of(task: Task, example: Example) -> list[Attention]:
    """The attention of all layers of a task's model on a text, in the order that they run in.

    Args:
        task: A `tasks.Translator`, `TextGenerator`, `MaskFiller`, `TextClassifier` or
            `TextEmbedder`.
        example: str. Of a translator it is translated first, unless it is a pair `(source,
            target)`.

    Returns:
        A list of `Attention`; empty where the model has no attention of ours.

    Raises:
        ValueError: A text that the model cannot read.

    Example:

    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["a dog", "um cachorro"])
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=8, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16,
    ...     max_sequence_length=10)
    >>> translate = kt.tasks.Translator(kt.models.encoder_decoder(config), tokenizer)
    >>> for found in attention_of(translate, ("a dog", "um cachorro")):
    ...     print(found.kind, found.weights.shape, found.queries, found.keys)
    self (2, 3, 3) ['a', 'dog', '</s>'] ['a', 'dog', '</s>']
    causal (2, 3, 3) ['<s>', 'um', 'cachorro'] ['<s>', 'um', 'cachorro']
    cross (2, 3, 3) ['<s>', 'um', 'cachorro'] ['a', 'dog', '</s>']
    """
    return attention_in(task, task.inputs(example))


def attention_in(task: Task, rows: Sequence[np.ndarray]) -> list[Attention]:
    """As `attention_of`, of what the model reads: `rows`, ids `(T,)` for each of its inputs."""
    if not len(rows[0]):
        return []
    fed, texts = list(rows), {}
    layers = {layer.path: layer for layer in task.model._flatten_layers()}
    is_cross = {path: isinstance(x, MultiHeadCrossAttention) for path, x in layers.items()}
    if any(is_cross.values()):
        if len(rows[0]) == len(rows[1]):  # a token of padding, not shown, tells them apart
            fed[0] = np.append(rows[0], task.tokenizer.pad_id)
        texts[len(fed[1])] = token_texts(task.tokenizer, rows[1])
    tokens = texts[len(fed[0])] = token_texts(task.tokenizer, rows[0])
    for tensor, row in zip(task.model.inputs, rows, strict=True):
        if tensor.name == "masked_positions":  # the last block computes these alone
            texts.setdefault(len(row), [tokens[i] for i in row])
    texts.setdefault(1, tokens[:1])  # and that of a classifier may the first one
    with AttentionScope() as scope:
        inputs = [row[None] for row in fed]  # (1, T) each
        task.model(keras.tree.pack_sequence_as(task.model.input, inputs), training=False)
    found = []
    for path, recorded in scope.weights.items():
        weights = np.asarray(ops.convert_to_numpy(recorded)[0], "float32")  # (N, T, S)
        queries, keys = (texts[size] for size in weights.shape[1:])
        weights = weights[:, : len(queries), : len(keys)]
        is_causal = len(queries) > 1 and not np.triu(weights, 1).any()
        crosses = is_cross.get(path.partition("#")[0])
        kind = "cross" if crosses else "causal" if is_causal else "self"
        found.append(Attention(path, kind, weights, queries, keys))
    return found


def legible(task: Task, examples: Sequence[Example], most: int = 20, count: int = 1) -> list:
    """The longest of the first hundred examples whose tokens can be read beside a picture.

    Without such a one it is the first.

    Args:
        task: As of `attention_of`.
        examples: List of texts, as of `attention_of`.
        most: The most tokens of a text.
        count: How many are wanted.

    Example:

    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["a dog runs"])
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=7, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> write = kt.tasks.TextGenerator(kt.models.decoder_only(config), tokenizer, 3)
    >>> legible(write, ["a", "a dog runs a dog runs", "a dog runs a"], most=5)
    ['a dog runs a']
    """
    sizes = [max(map(len, task.inputs(example))) for example in examples[:100]]
    places = sorted((i for i, size in enumerate(sizes) if size <= most), key=lambda i: -sizes[i])
    return [examples[i] for i in places[:count]] or list(examples[:count])


def alignment_of(
    task: Any, example: Example, layer: int | None = None
) -> tuple[np.ndarray, list[str], list[str]]:
    """Which words of a source each word of its translation was made of.

    The weights of a cross-attention, the mean over its heads. A word of the translation has the
    weights by which its tokens were chosen, the mean of them; a word of the source the sum of those
    of its tokens.

    Args:
        task: A `tasks.Translator`.
        example: As of `attention_of`.
        layer: Which of the cross-attentions. Default `None`: the last but one, which aligns best
            (Garg et al. 2019, "Jointly Learning to Align and Translate", section 4.2), or the only
            one.

    Returns:
        `(weights (T, S), source, target)`, for `alignment_figure`: the words are lists of str, the
        end of the text among them.

    Raises:
        ValueError: A task that does not translate, or no such layer.

    Example:

    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["a dog", "um cachorro"])
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=8, num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=16,
    ...     max_sequence_length=10)
    >>> translate = kt.tasks.Translator(kt.models.encoder_decoder(config), tokenizer)
    >>> weights, source, target = alignment_of(translate, ("a dog", "um cachorro"))
    >>> weights.shape, source, target
    ((3, 3), ['a', 'dog', '</s>'], ['um', 'cachorro', '</s>'])
    """
    require(isinstance(task, Translator), "a task that translates", type(task).__name__)
    source_ids, target_ids = task.inputs(example)
    crosses = [x for x in attention_in(task, [source_ids, target_ids]) if x.kind == "cross"]
    place = max(0, len(crosses) - 2) if layer is None else layer
    require(0 <= place < len(crosses), f"one of {len(crosses)} cross-attentions", layer=layer)
    weights = crosses[place].weights.mean(axis=0)  # (T, S)
    # The row of a token is that of the one before it, which the model read to choose it.
    target_ids = np.append(target_ids[1:], task.tokenizer.end_id)
    source, target = (word_places(task.tokenizer, ids) for ids in (source_ids, target_ids))
    weights = np.stack([weights[:, places].sum(axis=1) for places in source], axis=1)
    weights = np.stack([weights[places].mean(axis=0) for places in target])
    sources, targets = (
        [_text(task.tokenizer, ids[places]) for places in words]
        for ids, words in ((source_ids, source), (target_ids, target))
    )
    return weights, sources, targets


def word_places(tokenizer: Tokenizer, ids: np.ndarray) -> list[list[int]]:
    """The places of the tokens of each word; a special token is one.

    Example:

    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["a pul@@ ley"])
    >>> word_places(tokenizer, np.array([2, 4, 5, 6, 3]))
    [[0], [1], [2, 3], [4]]
    """
    starts = tokenizer.word_starts(ids) | np.isin(ids, tokenizer.special_ids)
    words: dict[int, list[int]] = {}
    for place, word in enumerate(np.cumsum(starts)):
        words.setdefault(int(word), []).append(place)
    return list(words.values())


def _text(tokenizer, ids):
    if len(ids) == 1:
        return token_texts(tokenizer, ids)[0]
    return tokenizer.decode([ids])[0].strip() or "".join(token_texts(tokenizer, ids))


def token_texts(tokenizer: Tokenizer, ids: Ids) -> list[str]:
    """Each token as it can be read: special ones by their names, bytes as the text they are.

    Example:

    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["a dog"])
    >>> token_texts(tokenizer, [2, 4, 5, 3])
    ['<s>', 'a', 'dog', '</s>']
    """
    texts = []
    for number in np.asarray(ids).tolist():
        name = tokenizer.vocabulary[number]
        decoded = "" if number in tokenizer.special_ids else tokenizer.decode([[number]])[0]
        # A piece such as "##ing" or "@@" says that it is one; bytes such as "Ġdog" are to be read.
        is_plain = decoded.strip() == name.strip("▁ #@") or not decoded.strip() or "�" in decoded
        texts.append((name.strip("▁") or "␣") if is_plain else decoded)
    return texts


def position_table(model: keras.Model, most: int = 128) -> tuple[str, np.ndarray] | None:
    """The first positions that a model adds to its tokens: `("learned", table (positions, D))`.

    None where there are none, as of rotary positions.

    Example:

    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=8, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> kind, table = position_table(kt.models.decoder_only(config), most=4)
    >>> kind, table.shape
    ('sinusoidal', (4, 8))
    """
    for layer in model._flatten_layers():
        if isinstance(layer, PositionalEmbedding) and layer.position:
            count = min(most, layer.max_sequence_length)
            zeros: Any = np.zeros((1, count, layer.hidden_dim), "float32")
            return layer.position, np.asarray(
                ops.convert_to_numpy(layer.add_positions(ops.convert_to_tensor(zeros), None)[0])
            )
    return None
