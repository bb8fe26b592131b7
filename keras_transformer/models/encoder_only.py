"""An encoder alone: BERT and its relatives."""

import keras
from keras import ops

from keras_transformer.config import TransformerConfig
from keras_transformer.layers import EncoderBlock, PositionalEmbedding
from keras_transformer.layers.dropout import Dropout
from keras_transformer.models import parts
from keras_transformer.models.model import TransformerModel, of_dtype
from keras_transformer.types import Activation, DType, Mask, Positions, Tensor


def encoder_only(config: TransformerConfig, dtype: DType | None = None) -> TransformerModel:
    """An encoder: `token_ids (B, T) -> sequence_output (B, T, D)`.

    Args:
        config: `TransformerConfig`. With `num_segments` there is a second input `segment_ids
            (B, T)`, with `pooler` a second output `pooled_output (B, D)`.
        dtype: Keras' dtype policy, such as `"mixed_bfloat16"`. None means the global one.

    Returns:
        A Functional `keras.Model`.

    Reference:
        Devlin et al. 2019, "BERT", section 3.

    Example:

    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> kt.models.encoder_only(config).output_shape
    (None, None, 8)
    """
    with of_dtype(dtype):
        inputs = encoder_inputs(config)
        mask = parts.padding_mask(config, inputs["token_ids"])  # (B, T)
        x, _ = encode(config, inputs, mask)  # (B, T, D)
        outputs = [x, pool(config, x[:, 0])] if config.pooler else x
        return TransformerModel(list(inputs.values()), outputs, name="encoder_only")


def encoder_inputs(config: TransformerConfig) -> dict[str, Tensor]:
    """The inputs by name, each `(B, T)`."""
    names = ("token_ids", "segment_ids") if config.num_segments else ("token_ids",)
    return {name: parts.token_ids_input(name) for name in names}


def first_position(inputs: dict[str, Tensor]) -> Tensor:
    """`(B, 1)`, the position of each row's first token."""
    return ops.zeros_like(inputs["token_ids"][:, :1])


def encode(
    config: TransformerConfig, inputs: dict[str, Tensor], mask: Mask, wanted: Positions = None
) -> tuple[Tensor, PositionalEmbedding]:
    """The sequence output `(B, T, D)`, or of the tokens at `wanted (B, P)`, and the embedding.

    The last block computes what is wanted and nothing else.
    """
    positions, attention_mask = parts.packed_lines(config, inputs["token_ids"])
    x, embedding = embed_segments(config, inputs, positions)  # (B, T, D)
    for i in range(config.num_layers):
        block = parts.block(EncoderBlock, config, f"encoder_block_{i}")
        is_last = i == config.num_layers - 1
        x = block(x, mask=mask, attention_mask=attention_mask, wanted=wanted if is_last else None)
    x = parts.close_stack(config, x, "encoder_norm")
    return keras.layers.Identity(name="sequence_output")(x), embedding


def embed_segments(
    config: TransformerConfig, inputs: dict[str, Tensor], positions: Tensor
) -> tuple[Tensor, PositionalEmbedding]:
    """Tokens, positions and segments, `(B, T, D)`, and the token table's layer."""
    embedding = parts.token_embedding(config, dropout=0.0)
    x = embedding(inputs["token_ids"], positions=positions)  # (B, T, D)
    if config.num_segments:
        segments = keras.layers.Embedding(
            config.num_segments, config.hidden_dim, name="segment_embedding"
        )
        x = x + segments(inputs["segment_ids"])
    if config.embedding_norm:
        x = parts.norm(config, "embedding_norm")(x)
    return Dropout(config.dropout, name="embedding_dropout")(x), embedding


def pool(config: TransformerConfig, x: Tensor) -> Tensor:
    """BERT's pooled output `(B, D)` of the first token's output `x (B, D)`."""
    return dense(config, config.hidden_dim, "pooled_output", config.pooler_activation)(x)


def dense(
    config: TransformerConfig, units: int, name: str, activation: Activation | None = None
) -> keras.layers.Dense:
    """A linear map of a head."""
    initializer = parts.initializer(config) or "glorot_uniform"
    return keras.layers.Dense(units, activation, kernel_initializer=initializer, name=name)
