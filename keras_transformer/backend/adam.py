"""Adam's update of one variable, of Kingma and Ba 2015."""

import keras

from keras_transformer.backend.dispatch import Operation
from keras_transformer.backend.strategy import in_strategy
from keras_transformer.types import Tensor


@Operation
def adam_update(
    optimizer: keras.optimizers.Adam, gradient: Tensor, variable: Tensor, learning_rate: Tensor
) -> None:
    """Moves a variable, and its two moments in a built optimiser, by a gradient."""
    keras.optimizers.Adam.update_step(optimizer, gradient, variable, learning_rate)


@adam_update.on("tensorflow")
def adam_update_at_once(
    optimizer: keras.optimizers.Adam, gradient: Tensor, variable: Tensor, learning_rate: Tensor
) -> None:
    """The one operation that TensorFlow has for it; the numbers are the same but for rounding.

    Keras' own takes about twenty passes over the weights and their moments: on CPUs that is 5 to
    10 % of a training step.
    """
    import tensorflow as tf

    if not is_one_operation(optimizer, gradient, variable):
        return adam_update.plain(optimizer, gradient, variable, learning_rate)
    number = tf.cast(optimizer.iterations + 1, "float32")
    index = optimizer._get_variable_index(variable)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=optimizer._momentums[index].value.handle,
        v=optimizer._velocities[index].value.handle,
        beta1_power=optimizer.beta_1**number,
        beta2_power=optimizer.beta_2**number,
        lr=tf.cast(learning_rate, "float32"),
        beta1=optimizer.beta_1,
        beta2=optimizer.beta_2,
        epsilon=optimizer.epsilon,
        grad=gradient,
    )


def is_one_operation(optimizer: keras.optimizers.Adam, gradient: Tensor, variable: Tensor) -> bool:
    """Whether TensorFlow's operation can do this update."""
    import tensorflow as tf

    dense = isinstance(gradient, tf.Tensor) and gradient.dtype == "float32"
    return dense and variable.dtype == tf.float32 and not (optimizer.amsgrad or in_strategy())
