"""An encoder alone: BERT and its relatives, with the heads that go on top."""

import keras

from keras_transformer.layers import Bias, EncoderBlock, MaskedLMHead
from keras_transformer.layers.arguments import require
from keras_transformer.layers.dropout import Dropout
from keras_transformer.models import parts

POOLINGS = ("first", "mean")


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
    inputs, x, _ = encode(config)  # (B, T, D)
    outputs = [x, pool(config, x)] if config.pooler else x
    return keras.Model(list(inputs.values()), outputs, name="encoder_only")


def masked_language_model(config, next_sentence=False):
    """An encoder that guesses masked tokens: `token_ids (B, T), masked_positions (B, P) -> logits`.

    Logits `(B, P, V)` are computed at the masked positions alone, by BERT's head: a linear map,
    the config's activation and norm, the transposed token table and a bias.

    Args:
        config: `TransformerConfig`. With `num_segments` there is an input `segment_ids (B, T)`.
        next_sentence: bool, whether there is a second output, `next_sentence (B, 2)`: logits, from
            the pooled first token, of whether the second segment follows the first (class 1).

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
    inputs, x, embedding = encode(config)  # (B, T, D)
    inputs["masked_positions"] = parts.token_ids_input("masked_positions")  # (B, P)
    head = MaskedLMHead(
        config.activation,
        config.norm,
        config.layer_norm_epsilon,
        parts.initializer(config) or "glorot_uniform",
        name="masked_lm_head",
    )
    guesses = head(x, inputs["masked_positions"])  # (B, P, D)
    logits = Bias(name="logits")(parts.logits(config, guesses, embedding, "tokens"))  # (B, P, V)
    outputs = logits
    if next_sentence:
        outputs = [logits, keras.layers.Dense(2, name="next_sentence")(pool(config, x))]
    return keras.Model(list(inputs.values()), outputs, name="masked_language_model")


def sequence_classifier(config, num_classes, pooling="first"):
    """An encoder that names the class of a text: `token_ids (B, T) -> logits (B, num_classes)`.

    Args:
        config: `TransformerConfig`. With `num_segments` there is a second input `segment_ids
            (B, T)`.
        num_classes: int.
        pooling: `"first"` classifies the first token's output, through the pooler if the config
            has one; `"mean"` the mean over real tokens.

    Returns:
        A Functional `keras.Model`.

    Raises:
        ValueError: for fewer than two classes or an unknown pooling.

    Reference:
        Devlin et al. 2019, "BERT", section 4.1.

    Example:

    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> kt.models.sequence_classifier(config, num_classes=3, pooling="mean").output_shape
    (None, 3)
    """
    require(num_classes > 1, "num_classes to be at least 2", num_classes=num_classes)
    require(pooling in POOLINGS, f"pooling to be one of {POOLINGS}", pooling=pooling)
    inputs, x, _ = encode(config)  # (B, T, D)
    if pooling == "mean":
        mask = parts.not_padding(inputs["token_ids"], config.pad_id)
        x = keras.layers.GlobalAveragePooling1D(name="mean")(x, mask=mask)  # (B, D)
    else:
        x = pool(config, x) if config.pooler else x[:, 0]  # (B, D)
    x = Dropout(config.dropout, name="pooled_dropout")(x)
    classify = keras.layers.Dense(
        num_classes, kernel_initializer=parts.initializer(config) or "glorot_uniform", name="logits"
    )
    return keras.Model(list(inputs.values()), classify(x), name="sequence_classifier")


def encode(config):
    """The inputs by name, the sequence output `(B, T, D)` and the embedding layer."""
    inputs = {"token_ids": parts.token_ids_input("token_ids")}  # (B, T)
    mask = parts.not_padding(inputs["token_ids"], config.pad_id)  # (B, T)
    positions, attention_mask = parts.packed_lines(config, inputs["token_ids"])
    x, embedding = embed(config, inputs, positions)  # (B, T, D)
    for i in range(config.num_layers):
        block = parts.block(EncoderBlock, config, f"encoder_block_{i}")
        x = block(x, mask=mask, attention_mask=attention_mask)
    x = parts.close_stack(config, x, "encoder_norm")
    return inputs, keras.layers.Identity(name="sequence_output")(x), embedding


def embed(config, inputs, positions):
    """Tokens, positions and segments, `(B, T, D)`, and the token table's layer.

    Adds the segments' input to `inputs`.
    """
    dropout = 0.0 if config.embedding_norm or config.num_segments else None
    embedding = parts.token_embedding(config, dropout=dropout)
    x = embedding(inputs["token_ids"], positions=positions)  # (B, T, D)
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
    return x, embedding


def pool(config, x):
    """BERT's pooled output `(B, D)` of the sequence output `x (B, T, D)`."""
    pooler = keras.layers.Dense(
        config.hidden_dim,
        activation="tanh",
        kernel_initializer=parts.initializer(config) or "glorot_uniform",
        name="pooled_output",
    )
    return pooler(x[:, 0])


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
