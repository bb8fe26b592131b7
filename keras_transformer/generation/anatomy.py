"""What generation must know of a model: its two halves, and how far it looks."""

import contextlib
from collections.abc import Iterable

import keras
import numpy as np
from keras import ops

from keras_transformer.backend.graph import Graph
from keras_transformer.backend.implicit_mask import implicit_mask, with_implicit_mask
from keras_transformer.checks import require
from keras_transformer.config import TransformerConfig
from keras_transformer.layers import (
    CausalMask,
    EncoderBlock,
    LearnedPositions,
    MultiHeadSelfAttention,
    PositionalEmbedding,
)
from keras_transformer.models.inspection import config_of, is_ours
from keras_transformer.scopes import CacheScope
from keras_transformer.types import Tensor

# What computes a token of this token alone. Of our own layers it is all but the attention that
# leaves causality to its caller.
_KNOWN_LAYERS = (
    *("Activation", "Add", "Average", "Dense", "Dropout", "EinsumDense", "ELU"),
    *("Embedding", "GaussianDropout", "GaussianNoise", "Identity", "InputLayer", "LeakyReLU"),
    *("LayerNormalization", "Masking", "Maximum", "Minimum", "Multiply", "RMSNormalization"),
    *("ReLU", "Rescaling", "Subtract"),
)
_KNOWN_OPERATIONS = (
    *("Absolute", "Add", "Cast", "Divide", "Equal", "Gelu", "Greater", "LogicalAnd", "LogicalNot"),
    *("LogicalOr", "Maximum", "Minimum", "Multiply", "Negative", "NotEqual", "Relu", "Sigmoid"),
    *("Silu", "Subtract", "Tanh", "TrueDivide"),
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

    def __init__(self, model: keras.Model):
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
        parts = _layers(self.decoder)
        masks = [part for part in parts if isinstance(part, CausalMask)]
        windows = [mask.window for mask in masks if mask.window is not None]
        self.window = max(windows) if masks and len(windows) == len(masks) else None
        self.learned_length = learned_length(parts)
        if self.encoder:
            parts = _layers(self.encoder)
            self.source_length = learned_length(parts)
            self.vocabulary_size = _table_size(parts)
        else:
            self.vocabulary_size = min(_table_size(parts), logits.tensor.shape[-1])
        strangers = [x for x in self.decoder.operations if not _is_known(x)]
        if strangers:
            self._try_cache(strangers)

    def _try_cache(self, strangers):
        """Refuses a decoder whose last token is another one with a cache of those before."""
        ids = ops.convert_to_tensor(np.array([[1, 2, 3, 1]]) % self.vocabulary_size, dtype="int32")
        source = self.encode(ids)
        expected = self.decode(ids, ids, *source)[:, -1]
        with CacheScope(None, 0, length=4) as scope:
            self.decode(ids[:, :3], ids, *source)
        with CacheScope(scope.state, 3, length=4):
            found = self.decode(ids[:, 3:], ids, *source)[:, -1]
        found, expected = (ops.convert_to_numpy(ops.cast(x, "float32")) for x in (found, expected))
        exact = all(x.compute_dtype == "float32" for x in _layers(self.decoder) if x.weights)
        error, size = np.abs(found - expected).max(), np.abs(expected).max()
        require(
            not error > (1e-3 if exact else 0.1) * size,
            "a decoder of layers that go token by token with a cache, such as DecoderBlock, or "
            "MultiHeadSelfAttention with an attention_mask",
            layers=sorted({f"{x.name} ({type(x).__name__})" for x in strangers}),
        )

    def encode(self, source_ids: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """`(memory, mask)` of `source_ids (B, S)`; the mask is the implicit one of Keras or None.

        Of a decoder-only model `(None, None)`.
        """
        if self.encoder is None or self.source is None:
            return None, None
        memory = self.encoder({self.source: ops.cast(source_ids, self.source.tensor.dtype)})
        return memory, implicit_mask(memory)

    def decode(
        self, token_ids: Tensor, source_ids: Tensor, memory: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        """`logits (B, T, V)` of `token_ids (B, T)`; padding of `source_ids` hides memory."""
        values = {self.target: ops.cast(token_ids, self.target.tensor.dtype)}
        if self.source is not None:
            with_implicit_mask(memory, mask)
            values[self.memory] = memory
            values[self.source] = ops.cast(source_ids, self.source.tensor.dtype)
        return self.decoder(values)


def known_model(model: keras.Model) -> keras.Model | None:
    """The model, or one inside of it, that `keras_transformer.models` made; None if none is."""
    for part in [model, *model._flatten_layers(include_self=False)]:
        if isinstance(part, keras.Model) and is_ours(part):
            return part
    return None


def known_config(model: keras.Model) -> TransformerConfig | None:
    """The `TransformerConfig` of a known model; None of another, and where heads were pruned."""
    known = known_model(model)
    with contextlib.suppress(ValueError):
        return None if known is None else config_of(known)
    return None


def known_length(model: keras.Model) -> int | None:
    """The most tokens that a model reads, or None for no limit."""
    known = known_model(model)
    if known is None:
        return learned_length(model._flatten_layers())
    return known.get_layer("embedding").max_sequence_length


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
    layers = [x for x in part.operations if isinstance(x, keras.layers.Layer)]
    return [inner for layer in layers for inner in layer._flatten_layers()]


def learned_length(layers: Iterable[keras.layers.Layer]) -> int | None:
    """Tokens of the smallest learned position table among the layers, or None."""
    tables = [x.max_sequence_length for x in layers if isinstance(x, LearnedPositions)]
    return min(tables, default=None)


def _table_size(layers):
    ours = [x.vocabulary_size for x in layers if isinstance(x, PositionalEmbedding)]
    # Of Keras' tables one may be of positions or segments: the largest is the vocabulary's.
    others = [x.input_dim for x in layers if isinstance(x, keras.layers.Embedding)]
    return min([*ours, *([] if ours else sorted(others)[-1:])], default=2**31)


def _is_known(operation):
    """Whether it is sure that, with a cache, `operation` gives for each token what it should."""
    kind = type(operation)
    if kind.__module__.startswith("keras_transformer."):
        return not isinstance(operation, EncoderBlock | MultiHeadSelfAttention)
    if not isinstance(operation, keras.layers.Layer):
        return kind.__name__ in _KNOWN_OPERATIONS
    return kind in {getattr(keras.layers, name) for name in _KNOWN_LAYERS}
