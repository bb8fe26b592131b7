"""Encoders that classify: a text, each of its tokens, or where an answer begins and ends."""

import keras

from keras_transformer.checks import require
from keras_transformer.config import TransformerConfig
from keras_transformer.layers.dropout import Dropout
from keras_transformer.models import parts
from keras_transformer.models.encoder_only import (
    dense,
    encode,
    encoder_inputs,
    first_position,
    pool,
)
from keras_transformer.models.model import TransformerModel, of_dtype
from keras_transformer.types import DType

POOLINGS = ("first", "mean")


def sequence_classifier(
    config: TransformerConfig, num_classes: int, pooling: str = "first", dtype: DType | None = None
) -> TransformerModel:
    """An encoder that names the class of a text: `token_ids (B, T) -> logits (B, num_classes)`.

    With one class its logit, `(B, 1)`, is a number to regress or to rank by.

    Args:
        config: `TransformerConfig`. With `num_segments` there is a second input `segment_ids
            (B, T)`.
        num_classes: int, at least 1.
        pooling: `"first"` classifies the first token's output, through the pooler if the config
            has one; `"mean"` the mean over real tokens.
        dtype: Keras' dtype policy, such as `"mixed_bfloat16"`. None means the global one.

    Returns:
        A Functional `keras.Model`.

    Raises:
        ValueError: without a class and for an unknown pooling.

    Reference:
        Devlin et al. 2019, "BERT", section 4.1.

    Example:

    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> kt.models.sequence_classifier(config, num_classes=3, pooling="mean").output_shape
    (None, 3)
    """
    require(num_classes > 0, "num_classes to be positive", num_classes=num_classes)
    require(pooling in POOLINGS, f"pooling to be one of {POOLINGS}", pooling=pooling)
    with of_dtype(dtype):
        inputs = encoder_inputs(config)
        mask = parts.padding_mask(config, inputs["token_ids"])  # (B, T)
        if pooling == "mean":
            x, _ = encode(config, inputs, mask)  # (B, T, D)
            x = keras.layers.GlobalAveragePooling1D(name="mean")(x, mask=mask)  # (B, D)
        else:
            x, _ = encode(config, inputs, mask, first_position(inputs))  # (B, 1, D)
            x = pool(config, x[:, 0]) if config.pooler else x[:, 0]  # (B, D)
        x = Dropout(config.dropout, name="pooled_dropout")(x)
        logits = dense(config, num_classes, "logits")(x)  # (B, C)
        return TransformerModel(list(inputs.values()), logits, name="sequence_classifier")


def token_classifier(
    config: TransformerConfig, num_classes: int, dtype: DType | None = None
) -> TransformerModel:
    """An encoder that names the class of each token: `token_ids (B, T) -> logits (B, T, C)`.

    Padding is masked: a Keras loss leaves it out.

    Args:
        config: `TransformerConfig`. With `num_segments` there is a second input `segment_ids
            (B, T)`.
        num_classes: int, C.
        dtype: Keras' dtype policy, such as `"mixed_bfloat16"`. None means the global one.

    Returns:
        A Functional `keras.Model`.

    Raises:
        ValueError: for no classes.

    Reference:
        Devlin et al. 2019, "BERT", section 5.3.

    Example:

    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> kt.models.token_classifier(config, num_classes=5).output_shape
    (None, None, 5)
    """
    require(num_classes > 0, "num_classes to be positive", num_classes=num_classes)
    with of_dtype(dtype):
        inputs = encoder_inputs(config)
        mask = parts.padding_mask(config, inputs["token_ids"])  # (B, T)
        x, _ = encode(config, inputs, mask)  # (B, T, D)
        x = Dropout(config.dropout, name="token_dropout")(x)
        logits = dense(config, num_classes, "logits")(x)  # (B, T, C)
        return TransformerModel(list(inputs.values()), logits, name="token_classifier")


def question_answerer(config: TransformerConfig, dtype: DType | None = None) -> TransformerModel:
    """An encoder that finds where in a text an answer begins and ends.

    A row of `token_ids (B, T)` is a question and a text. The two outputs, `start_logits (B, T)` and
    `end_logits (B, T)`, are logits over the row's tokens, of the answer's first and of its last
    one: trained by `fit` with a cross-entropy over T for each. They say something of padding, too.

    Args:
        config: `TransformerConfig`. With `num_segments` there is a second input `segment_ids
            (B, T)`.
        dtype: Keras' dtype policy, such as `"mixed_bfloat16"`. None means the global one.

    Returns:
        A Functional `keras.Model`.

    Reference:
        Devlin et al. 2019, "BERT", section 4.2.

    Example:

    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> kt.models.question_answerer(config).output_shape
    [(None, None), (None, None)]
    """
    with of_dtype(dtype):
        inputs = encoder_inputs(config)
        mask = parts.padding_mask(config, inputs["token_ids"])  # (B, T)
        x, _ = encode(config, inputs, mask)  # (B, T, D)
        x = dense(config, 2, "answer_logits")(x)  # (B, T, 2)
        outputs = [
            keras.layers.Identity(name=f"{end}_logits")(x[:, :, i])  # (B, T)
            for i, end in enumerate(("start", "end"))
        ]
        return TransformerModel(list(inputs.values()), outputs, name="question_answerer")
