"""The Transformer of Attention Is All You Need."""

import keras

from keras_transformer.checks import require
from keras_transformer.config import TransformerConfig
from keras_transformer.layers import DecoderBlock, EncoderBlock
from keras_transformer.models import parts
from keras_transformer.models.model import TransformerModel, of_dtype
from keras_transformer.types import DType, Mask, Tensor


def encoder_decoder(config: TransformerConfig, dtype: DType | None = None) -> TransformerModel:
    """A sequence-to-sequence model: `source_ids (B, S), target_ids (B, T) -> logits (B, T, V)`.

    One token table serves the source, the target and, if tied, the logits. `target_ids` begins
    with the start token, and position t predicts token t + 1. Rows of both are padded on the right.
    Learned positions are the encoder's and the decoder's own.

    Args:
        config: `TransformerConfig`.
        dtype: Keras' dtype policy, such as `"mixed_bfloat16"`. None means the global one.

    Returns:
        A Functional `keras.Model` with inputs `source_ids` and `target_ids` and output `logits`.
        Its layer `memory` is where the encoder ends.

    Raises:
        ValueError: for a config with `line_start_id`: lines that share a row would share a memory.

    Reference:
        Vaswani et al. 2017, "Attention Is All You Need", figure 1.

    Example:

    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> kt.models.encoder_decoder(config).output_shape
    (None, None, 9)
    """
    require(
        config.line_start_id is None,
        "no line_start_id: an encoder-decoder has one line a row",
        line_start_id=config.line_start_id,
    )
    with of_dtype(dtype):
        source_ids = parts.token_ids_input("source_ids")  # (B, S)
        target_ids = parts.token_ids_input("target_ids")  # (B, T)
        source_mask = parts.padding_mask(config, source_ids)  # (B, S)
        embedding = parts.token_embedding(config, dropout=0.0, positions=("sinusoidal",))
        x = parts.embed_side(config, embedding, source_ids, "encoder")  # (B, S, D)
        memory = encoder_stack(config, x, source_mask)  # (B, S, D)
        # Padding of the target comes last, where no token sees it: it needs no mask.
        x = parts.embed_side(config, embedding, target_ids, "decoder")  # (B, T, D)
        x = decoder_stack(config, x, memory, source_mask)  # (B, T, D)
        logits = parts.logits(config, x, embedding, config.logits_bias)  # (B, T, V)
        return TransformerModel([source_ids, target_ids], logits, name="encoder_decoder")


def encoder_stack(config: TransformerConfig, x: Tensor, mask: Mask) -> Tensor:
    """The encoder's blocks, `(B, S, D) -> (B, S, D)`."""
    for i in range(config.num_layers):
        x = parts.block(EncoderBlock, config, f"encoder_block_{i}")(x, mask=mask)
    return keras.layers.Identity(name="memory")(parts.close_stack(config, x, "encoder_norm"))


def decoder_stack(
    config: TransformerConfig, x: Tensor, memory: Tensor, memory_mask: Mask
) -> Tensor:
    """The decoder's blocks, `(B, T, D) -> (B, T, D)`."""
    for i in range(config.num_decoder_layers or config.num_layers):
        name = f"decoder_block_{i}"
        decoder_block = parts.block(DecoderBlock, config, name, window=config.window)
        x = decoder_block(x, memory, memory_mask=memory_mask)
    return parts.close_stack(config, x, "decoder_norm")
