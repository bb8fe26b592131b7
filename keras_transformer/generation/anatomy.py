"""What generation must know of a model: its two halves, and how far it looks."""

import keras

from keras_transformer.layers.causal_mask import CausalMask
from keras_transformer.layers.learned_positions import LearnedPositions


def learned_length(model):
    """Tokens of the smallest learned position table that sees new tokens, or None."""
    layers = [layer for layer in model.operations if isinstance(layer, keras.layers.Layer)]
    parts = [part for layer in layers for part in layer._flatten_layers()]
    tables = [part for part in parts if isinstance(part, LearnedPositions)]
    return min((table.max_sequence_length for table in tables), default=None)


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
