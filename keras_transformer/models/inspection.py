"""What a model is made of, read from its layers: also of one that was reloaded or fine-tuned."""

from typing import Any

import keras

from keras_transformer.backend.graph import call_arguments
from keras_transformer.checks import require
from keras_transformer.config import TransformerConfig
from keras_transformer.layers import (
    Bias,
    DecoderBlock,
    EncoderBlock,
    PackedLines,
    PaddingMask,
    PositionalEmbedding,
)

_OF_BLOCK = (
    "num_heads",
    "intermediate_dim",
    "dropout",
    "normalize_first",
    "num_key_value_heads",
    "key_dim",
    "attention_dropout",
    "gated",
    "norm",
    "layer_norm_epsilon",
    "use_bias",
)


def config_of(model: keras.Model) -> TransformerConfig:
    """The `TransformerConfig` of a model that `keras_transformer.models` made.

    Args:
        model: Functional `keras.Model`, fresh, trained or reloaded.

    Returns:
        The config it was made of. `pooler` is whether this model has the pooled output.

    Raises:
        ValueError: for any other model, and for one whose heads were pruned: no config says it.

    Example:

    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> config_of(kt.models.decoder_only(config)) == config
    True
    """
    require(is_ours(model), "a model of keras_transformer.models", model=model.name)
    layers: dict[str, Any] = {layer.name: layer for layer in model.layers}
    embedding: Any = layers["embedding"]
    encoder, decoder = (layers.get(f"{side}_block_0") for side in ("encoder", "decoder"))
    block: Any = encoder or decoder
    pruned = [x.name for x in model.layers if isinstance(getattr(x, "num_heads", None), dict)]
    require(
        not pruned, "a model whose heads were not pruned", model=model.name, pruned_blocks=pruned
    )
    count = {
        kind: sum(isinstance(layer, kind) for layer in model.layers)
        for kind in (EncoderBlock, DecoderBlock)
    }
    both = encoder is not None and decoder is not None
    headless = decoder is not None and "logits" not in layers  # then nothing is tied
    learned = embedding.position == "learned" or "encoder_positions" in layers
    rotary = block.rotary
    pooled, segments = layers.get("pooled_output"), layers.get("segment_embedding")
    packed = [layer for layer in model.layers if isinstance(layer, PackedLines)]
    initializer = block.kernel_initializer
    normal = isinstance(initializer, keras.initializers.RandomNormal | keras.initializers.Zeros)
    activation = getattr(block.activation, "__name__", block.activation)
    return TransformerConfig(
        **{name: getattr(block, name) for name in _OF_BLOCK},
        vocabulary_size=embedding.vocabulary_size,
        num_layers=count[EncoderBlock] or count[DecoderBlock],
        num_decoder_layers=count[DecoderBlock]
        if both and count[DecoderBlock] != count[EncoderBlock]
        else None,
        hidden_dim=embedding.hidden_dim,
        max_sequence_length=embedding.max_sequence_length,
        activation=activation,
        position="rotary" if rotary else "learned" if learned else embedding.position,
        rotary_base=rotary.rotary_base if rotary else 10000.0,
        rotary_scaling=dict(rotary.rotary_scaling) if rotary and rotary.rotary_scaling else None,
        window=decoder.window if decoder else None,
        scale_embedding=embedding.scale_embedding,
        tie_embeddings="logits_projection" not in layers and not headless,
        logits_bias=decoder is not None and isinstance(layers.get("logits"), Bias),
        num_segments=segments.input_dim if segments else 0,
        embedding_norm=not {"embedding_norm", "encoder_embedding_norm"}.isdisjoint(layers),
        pooler=pooled is not None,
        pooler_activation=pooled.activation.__name__ if pooled else "tanh",
        initializer_range=getattr(initializer, "stddev", 0.0) if normal else None,
        pad_id=pad_id_of(model),
        line_start_id=packed[0].start_id if packed else None,
    )


def is_ours(model: keras.Model) -> bool:
    """Whether `keras_transformer.models` made a model; since then heads may have been pruned."""
    layers = {layer.name: layer for layer in model.layers}
    block = layers.get("encoder_block_0", layers.get("decoder_block_0"))
    is_block = isinstance(block, EncoderBlock | DecoderBlock)
    return is_block and isinstance(layers.get("embedding"), PositionalEmbedding)


def pad_id_of(model: keras.Model) -> int | None:
    """What token ids are compared with to find padding, or None."""
    for operation in model.operations:
        if isinstance(operation, PaddingMask):
            return operation.pad_id
        if type(operation).__name__ == "NotEqual":  # of a file from before there was that layer
            return call_arguments(operation)[1]
    return None
