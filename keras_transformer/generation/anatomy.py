"""What generation must know of a model: its two halves, and how far it looks."""

import inspect

import keras
from keras import ops
from keras.src.backend import get_keras_mask, set_keras_mask

from keras_transformer.backend.graph import Graph
from keras_transformer.layers import (
    CausalMask,
    EncoderBlock,
    LearnedPositions,
    MultiHeadSelfAttention,
    PositionalEmbedding,
)
from keras_transformer.layers.arguments import require
from keras_transformer.models.inspection import config_of

# Layers of Keras that compute a token of others, and know of no cache that has these.
_ATTENTION = (
    keras.layers.MultiHeadAttention,
    keras.layers.GroupQueryAttention,
    keras.layers.Attention,
    keras.layers.AdditiveAttention,
)
_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv1DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.SeparableConv1D,
)
_OTHERS = (
    keras.layers.RNN,
    keras.layers.Bidirectional,
    keras.layers.AveragePooling1D,
    keras.layers.MaxPooling1D,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.Permute,
    keras.layers.ZeroPadding1D,
)


class Anatomy:
    """The encoder of a model, if there is a layer named `memory`, and its decoder.

    The encoder is what leads to `memory`, also where this is inside a model inside; its input is
    the source. The other input is the decoder's. Of several outputs the logits are the one that a
    dict calls so. No layer is copied, and the model can be saved as before.

    Args:
        model: Functional or Sequential `keras.Model`.

    Attributes:
        window: int, how many tokens back the decoder looks at most, or None for all.
        learned_length: int, tokens of the decoder's smallest learned position table, or None.
        source_length: int, those of the encoder's.
        vocabulary_size: int, how many ids there are: of a source, or of a prompt.

    Raises:
        ValueError: if the model is no such model, or the decoder could not go token by token.
    """

    def __init__(self, model):
        graph = Graph(model, "memory")
        logits, self.memory = _logits(graph.output), graph.named
        self.encoder = self.source = None
        given = []
        if self.memory is not None:
            self.encoder, given = graph.part(self.memory), [self.memory]
            self.source = _only(self.encoder.inputs, "the source as the encoder's only input")
        self.decoder = graph.part(logits, *given)
        targets = [x for x in self.decoder.inputs if x != self.source]
        self.target = _only(targets, "one input of token ids, or a source and a target")
        _require_causal(self.decoder, self.target)

        parts = _layers(self.decoder)
        windows = [part.window for part in parts if isinstance(part, CausalMask)]
        self.window = max(windows) if windows and None not in windows else None
        self.learned_length = learned_length(parts)
        if self.encoder:
            parts = _layers(self.encoder)
            self.source_length = learned_length(parts)
            self.vocabulary_size = _table_size(parts)
        else:
            self.vocabulary_size = min(_table_size(parts), logits.tensor.shape[-1])

    def encode(self, source_ids):
        """`(memory, mask)` of `source_ids (B, S)`; the mask is the implicit one of Keras or None.

        Of a decoder-only model `(None, None)`.
        """
        if self.encoder is None:
            return None, None
        memory = self.encoder({self.source: ops.cast(source_ids, self.source.tensor.dtype)})
        return memory, get_keras_mask(memory)

    def decode(self, token_ids, source_ids, memory, mask):
        """`logits (B, T, V)` of `token_ids (B, T)`; padding of `source_ids` hides memory."""
        values = {self.target: ops.cast(token_ids, self.target.tensor.dtype)}
        if self.encoder:
            set_keras_mask(memory, mask)
            values[self.memory] = memory
            values[self.source] = ops.cast(source_ids, self.source.tensor.dtype)
        return self.decoder(values)


def known_config(model):
    """The `TransformerConfig` of a model, or of one inside of it; None of layers put together."""
    for part in [model, *model._flatten_layers(include_self=False)]:
        if isinstance(part, keras.Model):
            try:
                return config_of(part)
            except ValueError:
                continue
    return None


def _logits(output):
    outputs = output
    if isinstance(output, dict):
        outputs = [output["logits"]] if "logits" in output else list(output.values())
    outputs = keras.tree.flatten(outputs)
    shapes = [tuple(x.tensor.shape) for x in outputs]
    fits = len(outputs) == 1 and len(shapes[0]) == 3 and shapes[0][-1]
    require(fits, "logits (B, T, V) as the only output, or a dict with `logits`", shapes=shapes)
    return outputs[0]


def _only(inputs, expectation):
    require(len(inputs) == 1, expectation, inputs=[x.tensor.name for x in inputs])
    return inputs[0]


def _layers(part):
    return [layer for node, _, _ in part.calls for layer in _layers_of(node.operation)]


def _layers_of(operation):
    is_layer = isinstance(operation, keras.layers.Layer)
    return operation._flatten_layers() if is_layer else []


def learned_length(layers):
    """Tokens of the smallest learned position table among the layers, or None."""
    tables = [x.max_sequence_length for x in layers if isinstance(x, LearnedPositions)]
    return min(tables, default=None)


def _table_size(layers):
    ours = [x.vocabulary_size for x in layers if isinstance(x, PositionalEmbedding)]
    # Of Keras' tables one may be of positions or segments: the largest is the vocabulary's.
    others = [x.input_dim for x in layers if isinstance(x, keras.layers.Embedding)]
    return min([*ours, *([] if ours else sorted(others)[-1:])], default=2**31)


def _require_causal(decoder, target):
    """Refuses what computes a token of later ones, or of others without a `CacheScope`."""
    of_target = {target}
    for node, symbols, results in decoder.calls:
        of_new = [x in of_target for x in symbols]
        if not any(of_new):
            continue
        of_target.update(results)
        operation, arguments = node.operation, node.arguments
        # Attention of the new tokens to a memory, which is there as a whole, needs no cache.
        to_memory = isinstance(operation, _ATTENTION) and of_new[1:] and not any(of_new[1:])
        for layer in [] if to_memory else _layers_of(operation):
            require(
                not _looks_around(layer),
                "a decoder of layers that go token by token with a cache, such as "
                "MultiHeadSelfAttention and DecoderBlock",
                layer=layer.name,
                type=type(layer).__name__,
            )
        if isinstance(operation, EncoderBlock | MultiHeadSelfAttention):
            call = inspect.signature(operation.call).bind(*arguments.args, **arguments.kwargs)
            require(
                call.arguments.get("attention_mask") is not None,
                "an attention_mask, such as a CausalMask, where no token may see later ones",
                layer=operation.name,
            )


def _looks_around(layer):
    """Whether a layer may compute a token of others, or of its place, without our cache."""
    if isinstance(layer, _CONVOLUTIONS):
        return layer.kernel_size != (1,)
    names = inspect.signature(layer.call).parameters
    own_cache = {"cache", "self_attention_cache", "start_index"}  # as KerasHub's layers have
    return isinstance(layer, (*_ATTENTION, *_OTHERS)) or not own_cache.isdisjoint(names)
