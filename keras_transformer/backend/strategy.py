"""Several devices that train one model, each with a part of a batch."""

from keras_transformer.backend.dispatch import Operation
from keras_transformer.types import Tensor


@Operation
def in_strategy() -> bool:
    """Whether a `tf.distribute` strategy runs what is called now."""
    return False


@in_strategy.on("tensorflow")
def has_strategy() -> bool:
    import tensorflow as tf

    return tf.distribute.has_strategy()


@Operation
def summed_over_replicas(x: Tensor) -> Tensor:
    """The sum of a tensor over the devices of the strategy that runs what is called now."""
    return x


@summed_over_replicas.on("tensorflow")
def all_reduced(x: Tensor) -> Tensor:
    import tensorflow as tf

    if not tf.distribute.has_strategy():
        return x
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, x)
