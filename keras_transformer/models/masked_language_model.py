"""An encoder that is trained by guessing what is masked."""

import keras
from keras import ops

from keras_transformer.checks import require
from keras_transformer.config import TransformerConfig
from keras_transformer.layers import MaskedLMHead
from keras_transformer.models import parts
from keras_transformer.models.encoder_only import encode, encoder_inputs, first_position, pool
from keras_transformer.models.model import TransformerModel, of_dtype
from keras_transformer.types import DType


def masked_language_model(
    config: TransformerConfig, next_sentence: bool = False, dtype: DType | None = None
) -> TransformerModel:
    """An encoder that guesses masked tokens: `token_ids (B, T), masked_positions (B, P) -> logits`.

    Logits `(B, P, V)` are computed at the masked positions alone, by BERT's head: a linear map,
    the config's activation and norm, the transposed token table and a bias.

    Args:
        config: `TransformerConfig`. With `num_segments` there is an input `segment_ids (B, T)`.
        next_sentence: bool, whether there is a second output, `next_sentence (B, 2)`: logits, from
            the pooled first token, of whether the second segment follows the first (class 0, as in
            BERT's published heads) or is a random one (class 1).
        dtype: Keras' dtype policy, such as `"mixed_bfloat16"`. None means the global one.

    Returns:
        A Functional `keras.Model`.

    Raises:
        ValueError: when `next_sentence` is asked of a config without `pooler` or segments.

    Reference:
        Devlin et al. 2019, "BERT", section 3.1.

    Example:

    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> kt.models.masked_language_model(config).output_shape
    (None, None, 9)
    """
    require(
        not next_sentence or (config.pooler and config.num_segments > 1),
        "a config with pooler and two segments for next_sentence",
        pooler=config.pooler,
        num_segments=config.num_segments,
    )
    with of_dtype(dtype):
        inputs = encoder_inputs(config)
        masked_positions = parts.token_ids_input("masked_positions")  # (B, P)
        mask = parts.padding_mask(config, inputs["token_ids"])  # (B, T)
        wanted = masked_positions
        if next_sentence:
            wanted = ops.concatenate([first_position(inputs), wanted], axis=1)  # (B, 1 + P)
        x, embedding = encode(config, inputs, mask, wanted)
        pooled = pool(config, x[:, 0]) if next_sentence else None  # (B, D)
        x = x[:, 1:] if next_sentence else x  # (B, P, D)
        head = MaskedLMHead(
            config.activation,
            config.norm,
            config.layer_norm_epsilon,
            parts.initializer(config) or "glorot_uniform",
            name="masked_lm_head",
        )
        outputs = logits = parts.logits(config, head(x), embedding, bias=True)  # (B, P, V)
        if next_sentence:
            outputs = [logits, keras.layers.Dense(2, name="next_sentence")(pooled)]
        all_inputs = [*inputs.values(), masked_positions]
        return TransformerModel(all_inputs, outputs, name="masked_language_model")
