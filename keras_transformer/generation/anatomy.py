"""What generation must know of a model: its two halves, and how far it looks."""

import keras

from keras_transformer.layers.causal_mask import CausalMask
from keras_transformer.layers.learned_positions import LearnedPositions
from keras_transformer.layers.positional_embedding import PositionalEmbedding
from keras_transformer.models.inspection import config_of


def learned_length(model):
    """Tokens of the smallest learned position table that sees new tokens, or None."""
    layers = [layer for layer in model.operations if isinstance(layer, keras.layers.Layer)]
    parts = [part for layer in layers for part in layer._flatten_layers()]
    tables = [part for part in parts if isinstance(part, LearnedPositions)]
    return min((table.max_sequence_length for table in tables), default=None)


def vocabulary_size(operations, most=None):
    """How many ids the token tables among the operations have, and `most`: the least of these."""
    layers = [layer for layer in operations if isinstance(layer, keras.layers.Layer)]
    parts = [part for layer in layers for part in layer._flatten_layers()]
    ours = [part.vocabulary_size for part in parts if isinstance(part, PositionalEmbedding)]
    # Of Keras' tables one may be of positions or segments: the largest is the vocabulary's.
    others = [part.input_dim for part in parts if isinstance(part, keras.layers.Embedding)]
    sizes = [*ours, *([] if ours else sorted(others)[-1:]), *([most] if most else [])]
    return min(sizes, default=2**31)


def padding_of(model, end_ids):
    """The token that a model takes for padding; if it has none an end, or -1 without ends."""
    try:
        pad_id = config_of(model).pad_id
    except ValueError:  # of layers put together by hand, where it is usual
        return 0
    return end_ids[0] if pad_id is None else pad_id


def cache_window(model):
    """How many tokens back the model looks at most, or None for all."""
    masks = [layer for layer in model._flatten_layers() if isinstance(layer, CausalMask)]
    windows = [mask.window for mask in masks]
    return max(windows) if windows and None not in windows else None


def split_at_memory(model):
    """`(encoder, decoder)` of an encoder-decoder, cut at the layer `memory`; weights are shared.

    The decoder takes `[source_ids, target_ids, memory]`: padding of the source hides memory.
    """
    source_ids, target_ids = model.inputs
    memory = model.get_layer("memory").output
    # Not keras.Model: it would clone nodes of the graph, and `model` could not be saved any more.
    encoder = keras.Function(source_ids, memory, name="encoder")
    return encoder, keras.Function([source_ids, target_ids, memory], model.output, name="decoder")
