"""What a compiler of whole programs asks of those who write them."""

import keras


def in_xla():
    """Whether XLA is to compile what runs now: no shape may then depend on a tensor's values."""
    if keras.config.backend() != "tensorflow":
        return keras.config.backend() == "jax"
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util  # nothing public tells

    return control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())
