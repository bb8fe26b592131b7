"""The parts of a config as layers, in the names that a summary shows."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_transformer.config import TransformerConfig
from keras_transformer.layers import (
    Bias,
    LearnedPositions,
    PackedLines,
    PaddingMask,
    PositionalEmbedding,
    RotaryEmbedding,
)
from keras_transformer.layers.dropout import Dropout
from keras_transformer.layers.normalization import normalization
from keras_transformer.layers.transformer_block import TransformerBlock
from keras_transformer.types import Mask, Tensor


def token_ids_input(name: str) -> Tensor:
    """`(B, T)` int32 input."""
    return keras.Input((None,), dtype="int32", name=name)


def padding_mask(config: TransformerConfig, token_ids: Tensor) -> Mask:
    """`(B, T)` bool, True for real tokens; None when the vocabulary has no padding."""
    if config.pad_id is None:
        return None
    return PaddingMask(config.pad_id, name="padding_mask")(token_ids)


def packed_lines(
    config: TransformerConfig, token_ids: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """Positions `(B, T)` and attention mask `(B, T, T)` of lines that share rows, or None twice."""
    if config.line_start_id is None:
        return None, None
    return PackedLines(config.line_start_id, name="packed_lines")(token_ids)


def token_embedding(
    config: TransformerConfig, dropout: float, positions: Sequence[str] = ("sinusoidal", "learned")
) -> PositionalEmbedding:
    """The token table, with positions if the config's are one of the `positions`."""
    return PositionalEmbedding(
        config.vocabulary_size,
        config.hidden_dim,
        config.max_sequence_length,
        position=config.position if config.position in positions else None,
        scale_embedding=config.scale_embedding,
        dropout=dropout,
        embeddings_initializer=initializer(config),
        name="embedding",
    )


def embed_side(
    config: TransformerConfig, embedding: PositionalEmbedding, token_ids: Tensor, side: str
) -> Tensor:
    """`(B, T, D)` of the encoder's or the decoder's `token_ids (B, T)`; `side` names which."""
    x = embedding(token_ids)
    if config.position == "learned":
        initial = initializer(config) or "uniform"
        x = LearnedPositions(config.max_sequence_length, initial, name=f"{side}_positions")(x)
    if config.embedding_norm:
        x = norm(config, f"{side}_embedding_norm")(x)
    return Dropout(config.dropout, name=f"{side}_embedding_dropout")(x)


def block(
    block_class: type, config: TransformerConfig, name: str, **kwargs: Any
) -> TransformerBlock:
    """One block of the config's architecture."""
    return block_class(
        num_heads=config.num_heads,
        intermediate_dim=config.intermediate_dim,
        dropout=config.dropout,
        activation=config.activation,
        normalize_first=config.normalize_first,
        num_key_value_heads=config.num_key_value_heads,
        key_dim=config.key_dim,
        rotary=RotaryEmbedding(config.rotary_base, config.rotary_scaling, name="rotary")
        if config.position == "rotary"
        else None,
        attention_dropout=config.attention_dropout,
        gated=config.gated,
        norm=config.norm,
        layer_norm_epsilon=config.layer_norm_epsilon,
        use_bias=config.use_bias,
        kernel_initializer=initializer(config) or "glorot_uniform",
        name=name,
        **kwargs,
    )


def norm(config: TransformerConfig, name: str) -> keras.layers.Layer:
    """A norm outside the blocks."""
    return normalization(config.norm, config.layer_norm_epsilon, name=name)


def close_stack(config: TransformerConfig, x: Tensor, name: str) -> Tensor:
    """A pre-norm stack ends with a norm of its own; a post-norm one has it already."""
    return norm(config, name)(x) if config.normalize_first else x


def logits(
    config: TransformerConfig, x: Tensor, embedding: PositionalEmbedding, bias: bool
) -> Tensor:
    """`(B, T, V)` from `x (B, T, D)`: by the token table, or by a matrix of their own."""
    if config.tie_embeddings:
        x = embedding(x, reverse=True)
    else:
        x = keras.layers.Dense(
            config.vocabulary_size,
            use_bias=False,
            kernel_initializer=initializer(config) or "glorot_uniform",
            name="logits_projection",
        )(x)
    return (Bias if bias else keras.layers.Identity)(name="logits")(x)


def initializer(config: TransformerConfig) -> keras.initializers.Initializer | None:
    """Initial values of the kernels and tables; None leaves the layers theirs."""
    deviation = config.initializer_range
    if deviation == 0:
        return keras.initializers.Zeros()
    return None if deviation is None else keras.initializers.RandomNormal(stddev=deviation)
