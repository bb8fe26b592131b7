"""Weights of one model for another."""

import keras


def copy_weights(source: keras.Model, target: keras.Model) -> list[str]:
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
