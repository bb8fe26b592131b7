"""An encoder alone: BERT and its relatives."""

import keras

from keras_transformer.layers import EncoderBlock
from keras_transformer.layers.dropout import Dropout
from keras_transformer.models import parts


def encoder_only(config):
    """An encoder: `token_ids (B, T) -> sequence_output (B, T, D)`.

    Args:
        config: `TransformerConfig`. With `num_segments` there is a second input `segment_ids
            (B, T)`, with `pooler` a second output `pooled_output (B, D)`.

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
    inputs = {"token_ids": parts.token_ids_input("token_ids")}  # (B, T)
    mask = parts.not_padding(inputs["token_ids"], config.pad_id)  # (B, T)
    x = embed(config, inputs)  # (B, T, D)
    for i in range(config.num_layers):
        x = parts.block(EncoderBlock, config, f"encoder_block_{i}")(x, mask=mask)
    x = parts.close_stack(config, x, "encoder_norm")
    x = keras.layers.Identity(name="sequence_output")(x)  # (B, T, D)
    outputs = [x]
    if config.pooler:
        pooler = keras.layers.Dense(config.hidden_dim, activation="tanh", name="pooled_output")
        outputs.append(pooler(x[:, 0]))  # (B, D)
    return keras.Model(list(inputs.values()), outputs if config.pooler else x, name="encoder_only")


def embed(config, inputs):
    """Tokens, positions and segments, `(B, T, D)`; adds the segments' input to `inputs`."""
    dropout = 0.0 if config.embedding_norm or config.num_segments else None
    x = parts.token_embedding(config, dropout=dropout)(inputs["token_ids"])  # (B, T, D)
    if config.num_segments:
        inputs["segment_ids"] = parts.token_ids_input("segment_ids")  # (B, T)
        segments = keras.layers.Embedding(
            config.num_segments, config.hidden_dim, name="segment_embedding"
        )
        x = x + segments(inputs["segment_ids"])
    if config.embedding_norm:
        x = parts.norm(config, "embedding_norm")(x)
    if dropout is not None:
        x = Dropout(config.dropout, name="embedding_dropout")(x)
    return x
