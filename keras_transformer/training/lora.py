"""Fine-tuning with fewer trainable weights."""

import math
from collections.abc import Collection

import keras

from keras_transformer.checks import require
from keras_transformer.layers.projection import Projection


def enable_lora(model: keras.Model, rank: int, new: Collection[str] = ()) -> tuple[int, int]:
    """Freezes a model, but for a low-rank change to every linear map inside its blocks.

    Every such kernel `W (inputs, outputs)` becomes `W + A B` by Keras' own `Dense.enable_lora`: W
    stays as it is, and `A (inputs, rank)` and `B (rank, outputs)` learn. B begins with zeros, so
    that the outputs begin as they were. A saved model has the sums as its kernels and is again one
    without LoRA. `load_weights` gives a model with LoRA the W, A and B of another one of that rank;
    with sums alone, or A and B of another rank, B begins with zeros again. Compile the model
    afterwards.

    Args:
        model: Built Keras model of this package's layers.
        rank: int, columns of A.
        new: Names of layers that learn as a whole, such as the head of a new task.

    Returns:
        `(trainable, total)`, ints: the parameters that learn, and all, those of A and B included.

    Raises:
        ValueError: if `rank` is below 1, the model has no linear maps of ours, or LoRA already.

    Reference:
        Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models".

    Example:

    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> enable_lora(kt.models.decoder_only(config), rank=1)
    (96, 768)
    """
    maps = [layer for layer in model._flatten_layers() if isinstance(layer, Projection)]
    expected = "a rank of at least 1 and a model with blocks of this package"
    require(rank >= 1 and maps, expected, rank=rank, linear_maps=len(maps))
    whole = {id(weight) for name in new for weight in model.get_layer(name).weights}
    for weight in model.weights:
        weight.trainable = id(weight) in whole
    for layer in maps:
        layer.enable_lora(rank)
    return _count(model.trainable_weights), _count(model.weights)


def _count(weights):
    return sum(math.prod(weight.shape) for weight in weights)


def freeze(model: keras.Model, num_blocks: int) -> None:
    """Freezes the embeddings and the first blocks of an encoder. Compile the model afterwards.

    Args:
        model: Built Keras model of `models`, with an encoder.
        num_blocks: int, from 0 to all of them.

    Raises:
        ValueError: if there are not so many blocks.

    Example:

    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> model = kt.models.sequence_classifier(config, num_classes=2)
    >>> freeze(model, num_blocks=1)
    >>> [layer.name for layer in model.layers if layer.trainable_weights]
    ['logits']
    """
    layers = {layer.name: layer for layer in model.layers}
    most = sum(name.startswith("encoder_block_") for name in layers)
    expected = f"to freeze from 0 to the {most} blocks of the model"
    require(0 <= num_blocks <= most, expected, num_blocks=num_blocks)
    blocks = [f"encoder_block_{i}" for i in range(num_blocks)]
    for name in ("embedding", "segment_embedding", "embedding_norm", *blocks):
        if name in layers:
            layers[name].trainable = False
