"""Several devices that train one model, each with a part of a batch."""

import keras


def in_strategy():
    """Whether a `tf.distribute` strategy runs what is called now."""
    if keras.config.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.distribute.has_strategy()
