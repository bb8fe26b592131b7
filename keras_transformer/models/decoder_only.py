"""A language model: GPT-2 and its descendants."""

import keras

from keras_transformer.config import TransformerConfig
from keras_transformer.layers import DecoderBlock
from keras_transformer.models import parts
from keras_transformer.models.model import TransformerModel, of_dtype
from keras_transformer.types import DType


def decoder_only(
    config: TransformerConfig, logits: bool = True, dtype: DType | None = None
) -> TransformerModel:
    """A causal language model: `token_ids (B, T) -> logits (B, T, V)`.

    Args:
        config: `TransformerConfig`.
        logits: bool. False makes a model without them, whose output is what the last block says of
            each token, `sequence_output (B, T, D)`, as models that embed texts have it.
        dtype: Keras' dtype policy, such as `"mixed_bfloat16"`. None means the global one.

    Returns:
        A Functional `keras.Model` with input `token_ids` and output `logits`.

    Reference:
        Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".

    Example:

    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> kt.models.decoder_only(config).output_shape
    (None, None, 9)
    """
    with of_dtype(dtype):
        token_ids = parts.token_ids_input("token_ids")  # (B, T)
        mask = parts.padding_mask(config, token_ids)  # (B, T)
        positions, attention_mask = parts.packed_lines(config, token_ids)
        embedding = parts.token_embedding(config, config.dropout)
        x = embedding(token_ids, positions=positions)  # (B, T, D)
        for i in range(config.num_layers):
            block = parts.block(DecoderBlock, config, f"decoder_block_{i}", window=config.window)
            x = block(x, mask=mask, attention_mask=attention_mask)
        x = parts.close_stack(config, x, "decoder_norm")
        if logits:
            x = parts.logits(config, x, embedding, config.logits_bias)  # (B, T, V)
        else:
            x = keras.layers.Identity(name="sequence_output")(x)
        return TransformerModel(token_ids, x, name="decoder_only")
