"""Several devices that train one model, each with a part of a batch."""

from keras_transformer.backend.dispatch import Operation


@Operation
def in_strategy() -> bool:
    """Whether a `tf.distribute` strategy runs what is called now."""
    return False


@in_strategy.on("tensorflow")
def has_strategy() -> bool:
    import tensorflow as tf

    return tf.distribute.has_strategy()
