"""An encoder alone: BERT and its relatives, with the heads that go on top."""

import keras
from keras import ops

from keras_transformer.checks import require
from keras_transformer.layers import EncoderBlock, MaskedLMHead
from keras_transformer.layers.dropout import Dropout
from keras_transformer.models import parts
from keras_transformer.models.model import TransformerModel, of_dtype

POOLINGS = ("first", "mean")


def encoder_only(config, dtype=None):
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
        x, _ = encode(config, inputs)  # (B, T, D)
        outputs = [x, pool(config, x[:, 0])] if config.pooler else x
        return TransformerModel(list(inputs.values()), outputs, name="encoder_only")


def masked_language_model(config, next_sentence=False, dtype=None):
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
        positions = masked_positions
        if next_sentence:
            positions = ops.concatenate([first_position(inputs), positions], axis=1)  # (B, 1 + P)
        x, embedding = encode(config, inputs, positions)
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
        inputs = [*inputs.values(), masked_positions]
        return TransformerModel(inputs, outputs, name="masked_language_model")


def sequence_classifier(config, num_classes, pooling="first", dtype=None):
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
        if pooling == "mean":
            x, _ = encode(config, inputs)  # (B, T, D)
            mask = parts.not_padding(inputs["token_ids"], config.pad_id)
            x = keras.layers.GlobalAveragePooling1D(name="mean")(x, mask=mask)  # (B, D)
        else:
            x, _ = encode(config, inputs, first_position(inputs))  # (B, 1, D)
            x = pool(config, x[:, 0]) if config.pooler else x[:, 0]  # (B, D)
        x = Dropout(config.dropout, name="pooled_dropout")(x)
        logits = dense(config, num_classes, "logits")(x)  # (B, C)
        return TransformerModel(list(inputs.values()), logits, name="sequence_classifier")


def token_classifier(config, num_classes, dtype=None):
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
        x, _ = encode(config, inputs)  # (B, T, D)
        x = Dropout(config.dropout, name="token_dropout")(x)
        logits = dense(config, num_classes, "logits")(x)  # (B, T, C)
        return TransformerModel(list(inputs.values()), logits, name="token_classifier")


def question_answerer(config, dtype=None):
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
        x, _ = encode(config, inputs)  # (B, T, D)
        x = dense(config, 2, "answer_logits")(x)  # (B, T, 2)
        outputs = [
            keras.layers.Identity(name=f"{end}_logits")(x[:, :, i])  # (B, T)
            for i, end in enumerate(("start", "end"))
        ]
        return TransformerModel(list(inputs.values()), outputs, name="question_answerer")


def encoder_inputs(config):
    """The inputs by name, each `(B, T)`."""
    names = ("token_ids", "segment_ids") if config.num_segments else ("token_ids",)
    return {name: parts.token_ids_input(name) for name in names}


def first_position(inputs):
    """`(B, 1)`, the position of each row's first token."""
    return ops.zeros_like(inputs["token_ids"][:, :1])


def encode(config, inputs, wanted=None):
    """The sequence output `(B, T, D)`, or at the positions `wanted (B, P)`, and the embedding.

    The last block computes what is wanted and nothing else.
    """
    mask = parts.not_padding(inputs["token_ids"], config.pad_id)  # (B, T)
    positions, attention_mask = parts.packed_lines(config, inputs["token_ids"])
    x, embedding = embed(config, inputs, positions)  # (B, T, D)
    for i in range(config.num_layers):
        block = parts.block(EncoderBlock, config, f"encoder_block_{i}")
        is_last = i == config.num_layers - 1
        x = block(
            x, mask=mask, attention_mask=attention_mask, positions=wanted if is_last else None
        )
    x = parts.close_stack(config, x, "encoder_norm")
    return keras.layers.Identity(name="sequence_output")(x), embedding


def embed(config, inputs, positions):
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


def pool(config, x):
    """BERT's pooled output `(B, D)` of the first token's output `x (B, D)`."""
    return dense(config, config.hidden_dim, "pooled_output", config.pooler_activation)(x)


def dense(config, units, name, activation=None):
    """A linear map of a head."""
    initializer = parts.initializer(config) or "glorot_uniform"
    return keras.layers.Dense(units, activation, kernel_initializer=initializer, name=name)


def copy_weights(source, target):
    """Copies the weights of every layer that both models have under one name and in one shape.

    Args:
        source: Keras model, for example a pretrained `masked_language_model`.
        target: Keras model, for example a `sequence_classifier` of the same config.

    Returns:
        The names of the target's layers with weights that keep their own.

    Example:

    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> pretrained = kt.models.masked_language_model(config)
    >>> copy_weights(pretrained, kt.models.sequence_classifier(config, num_classes=2))
    ['logits']
    """
    sources = {layer.name: layer for layer in source.layers}
    kept = []
    for layer in target.layers:
        weights = sources[layer.name].get_weights() if layer.name in sources else []
        if [w.shape for w in weights] == [tuple(w.shape) for w in layer.weights]:
            layer.set_weights(weights)
        else:
            kept.append(layer.name)
    return kept
