"""What a compiler of whole programs asks of those who write them."""

from keras_transformer.backend.dispatch import Operation


@Operation
def in_xla() -> bool:
    """Whether XLA is to compile what runs now: no shape may then depend on a tensor's values."""
    return False


@in_xla.on("jax")
def always_in_xla() -> bool:
    return True


@in_xla.on("tensorflow")
def in_xla_context() -> bool:
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util  # nothing public tells

    return control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())
