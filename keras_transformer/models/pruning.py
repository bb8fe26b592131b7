"""Models without some of their attention heads: smaller ones, and the same ones for a while."""

import contextlib
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_transformer.backend.graph import functional
from keras_transformer.checks import require, some
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.multi_head_attention import MultiHeadAttention
from keras_transformer.layers.projection import Projection
from keras_transformer.layers.transformer_block import TransformerBlock
from keras_transformer.reading import objects_in

Heads = Mapping[str, Sequence[int]]  # by the paths of attention layers, numbers of their heads


def prune_heads(model: keras.Model, heads: Heads) -> keras.Model:
    """A smaller model without some attention heads; the given one stays as it is.

    Its outputs are those of the given one under `heads_off`. It is saved, loaded, run and trained
    as any other, and may be pruned again; heads are then counted anew. In a pruned block
    `num_heads` is a dict by sublayer and `key_dim` is H: `N * H` is no longer `D`, and no
    `TransformerConfig` describes the model.

    Args:
        model: Functional or Sequential `keras.Model`, of `models`, of `zoo` or of layers put
            together by hand.
        heads: dict from paths of attention layers, as of `AttentionScope`, such as
            `"decoder_block_0/cross_attention"`, to lists of the heads to cut, counted from 0. Where
            `N / K` heads in a row share one of keys and values they are cut together.

    Returns:
        A model of the same class, with copies of the weights, not compiled. LoRA is not in it: its
        kernels are the sums. Where kernels have 8 bits, what goes into them is rounded at each
        step, and without the cut heads a little otherwise.

    Raises:
        ValueError: for a subclassed model, a path that leads to no attention layer of this package
            or into a layer that does not say in its config what is inside, heads that are not
            there, all heads of a layer, a part of those that share keys and values, and kernels of
            less than 8 bits.

    Reference:
        Michel et al. 2019, "Are Sixteen Heads Really Better than One?"

    Example:

    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=1, num_heads=4, hidden_dim=8, intermediate_dim=16)
    >>> model = kt.models.decoder_only(config)
    >>> smaller = prune_heads(model, {"decoder_block_0/self_attention": [0, 3]})
    >>> smaller.get_layer("decoder_block_0").num_heads
    {'self_attention': 2}
    >>> model.count_params() - smaller.count_params()  # 4 maps between 8 and 4, 3 biases of 4
    140
    """
    kind = f"{model.name}, a {type(model).__name__}"
    require(functional(model) is not None, "a Functional or Sequential model", kind)
    config = model.get_config()
    kept: dict[int, tuple[Any, Any]] = {}
    for path, (layer, cut) in find_heads(model, heads).items():
        if cut:
            check_leaves_whole_groups(path, layer, cut)
            shrink(config, path, layer, cut, block_of(model, layer))
            kept |= what_stays(layer, cut)
    pruned = type(model).from_config(config)
    for old, new in zip(model._flatten_layers(), pruned._flatten_layers(), strict=True):
        store: dict[str, Any] = {}
        old.save_own_variables(store)
        if id(old) in kept:
            store = part_of(store, *kept[id(old)])
        new.load_own_variables(store)
    return pruned


@contextlib.contextmanager
def heads_off(model: keras.Model, heads: Heads) -> Iterator[None]:
    """Within it some attention heads of a model contribute nothing, whoever runs it meanwhile.

    The rows that read them, in the kernel of the layer's output map, are 0. Only values
    of variables change, so what is compiled goes on working. All of a layer's heads may be off, and
    single ones of those that share keys and values.

    Args:
        model: Built `keras.Model` with attention layers of this package; with LoRA, or with kernels
            of 8 bits, too.
        heads: As of `prune_heads`.

    Raises:
        ValueError: for a path that leads to no attention layer of this package, heads that are not
            there, and kernels of less than 8 bits.

    Reference:
        Michel et al. 2019, "Are Sixteen Heads Really Better than One?", section 2.3.

    Example:

    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=1, num_heads=4, hidden_dim=8, intermediate_dim=16)
    >>> model, ids = kt.models.decoder_only(config), np.array([[5, 7, 2]])
    >>> heads = {"decoder_block_0/self_attention": [0, 3]}
    >>> with heads_off(model, heads):
    ...     logits = model(ids)
    >>> bool(ops.all(ops.isclose(logits, prune_heads(model, heads)(ids), atol=1e-5)))
    True
    """
    found = find_heads(model, heads).values()
    before = [
        (variable, rows, ops.convert_to_numpy(variable)[rows])
        for layer, cut in found
        for rows in [head_places(cut, layer.head_dim)]
        for variable in layer.output_projection.variables_by_input()
    ]
    try:
        for variable, rows, _ in before:
            assign_rows(variable, rows, 0)
        yield
    finally:
        for variable, rows, values in before:
            assign_rows(variable, rows, values)


def find_heads(model: keras.Model, heads: Heads) -> dict[str, tuple[Any, list[int]]]:
    """The attention layers at the paths of `heads`, each with its heads in order."""
    layers = attention_layers(model)
    paths = [layer.path for layer in layers]
    found = {}
    for path, wanted in heads.items():
        expected = f"one attention layer at each path, of {some(paths) or 'none of this package'}"
        require(paths.count(path) == 1, expected, path=path)
        layer = layers[paths.index(path)]
        numbers = sorted({operator.index(head) for head in wanted})
        there = all(0 <= head < layer.num_heads for head in numbers)
        require(there, f"heads 0 to {layer.num_heads - 1} of {path}", heads=numbers)
        modes = {x.quantization_mode for x in maps_of(layer)}
        few = sorted(modes - {None, "int8"})  # several numbers in one
        require(not few, f"kernels of floats or of 8 bits in {path}", quantization_mode=few)
        found[path] = (layer, numbers)
    return found


def check_leaves_whole_groups(path: str, layer: MultiHeadAttention, cut: list[int]) -> None:
    """Refuses what would leave a layer without heads, or one of keys without some of its queries.

    >>> check_leaves_whole_groups("attention", MultiHeadAttention(4, num_key_value_heads=2), [1, 2])
    Traceback (most recent call last):
    ValueError: Expected whole groups of 2 heads ... of attention. Received: heads=[1, 2]
    """
    require(len(cut) < layer.num_heads, f"at least one head of {path} to be left", heads=cut)
    size = layer.num_heads // layer.num_key_value_heads
    whole = {head // size * size + i for head in cut for i in range(size)}
    shared = f"whole groups of {size} heads, which share one of keys and values, of {path}"
    require(whole == set(cut), shared, heads=cut)


def block_of(model: keras.Model, layer: MultiHeadAttention) -> TransformerBlock | None:
    """The block that an attention layer is in, if it is in one."""
    for block in model._flatten_layers():
        if isinstance(block, TransformerBlock) and layer in attention_layers(block):
            return block
    return None


def attention_layers(model: keras.layers.Layer) -> list[Any]:
    """The attention layers in a model, or in a layer, each once and in order."""
    found: list[Any] = []
    for layer in model._flatten_layers(include_self=False, recursive=False):
        found += [layer] if isinstance(layer, MultiHeadAttention) else attention_layers(layer)
    return list(dict.fromkeys(found))


def shrink(
    config: dict, path: str, layer: Any, cut: list[int], block: TransformerBlock | None
) -> None:
    """Says in a model's config that a layer, which may be in a block, lacks some heads."""
    owner: Layer = block or layer
    parts = [x for x in objects_in(config) if x.get("name") == owner.name and "num_heads" in x]
    require(len(parts) == 1, "a layer that the model's config tells of", path=path)
    [part] = parts
    part["key_dim"] = layer.head_dim
    groups = len(cut) * layer.num_key_value_heads // layer.num_heads
    for name, less in (("num_heads", len(cut)), ("num_key_value_heads", groups)):
        left = getattr(layer, name) - less
        if block is None:
            part[name] = left
        elif part[name] is not None:  # which is as many as the other
            if not isinstance(part[name], dict):
                part[name] = {x.name: getattr(x, name) for x in attention_layers(block)}
            part[name][layer.name] = left


def what_stays(layer: Any, cut: list[int]) -> dict[int, tuple[Any, Any]]:
    """`(rows, columns)` of the kernels of an attention layer without some heads, by the maps' ids.

    The columns are also those of biases, and of scales.
    """
    size, count = layer.head_dim, layer.num_key_value_heads
    heads = np.setdiff1d(np.arange(layer.num_heads), cut)
    groups = np.unique(heads * count // layer.num_heads)  # each is cut as a whole
    query = head_places(heads, size)
    key_value = head_places(np.concatenate([groups, groups + count]), size)
    behind = np.concatenate([query, key_value + layer.num_heads * size])
    columns = {"query": query, "key_value": key_value, "query_key_value": behind}
    return {
        id(x): (slice(None), columns[x.name]) if x.name in columns else (query, slice(None))
        for x in maps_of(layer)
    }


def maps_of(layer: MultiHeadAttention) -> list[Projection]:
    """The linear maps of an attention layer."""
    inside = layer._flatten_layers(include_self=False, recursive=False)
    return [x for x in inside if isinstance(x, Projection)]


def head_places(heads: Sequence[int] | np.ndarray, size: int) -> np.ndarray:
    """Where heads of a size are, one after the other.

    >>> head_places([0, 2], size=3)
    array([0, 1, 2, 6, 7, 8])
    """
    return (np.array(heads, int)[:, None] * size + np.arange(size)).ravel()


def part_of(store: Mapping[str, Any], rows: Any, columns: Any) -> dict[str, np.ndarray]:
    """Some rows and columns of the kernel that a `Dense` saves, and of what it saves beside it."""
    # LoRA's terms have names: the kernel "0" is already their sum.
    saved = {name: value for name, value in store.items() if name.isdigit()}
    found = {name: ops.convert_to_numpy(x)[..., columns] for name, x in saved.items()}
    return {**found, "0": found["0"][rows]}


def assign_rows(variable: keras.Variable, rows: np.ndarray, values: Any) -> None:
    """Gives some rows of a variable other values."""
    kernel = np.array(ops.convert_to_numpy(variable))
    kernel[rows] = values
    variable.assign(kernel)
