"""Adam's update of one variable, which TensorFlow has as one operation."""

import keras

from keras_transformer.backend.strategy import in_strategy


def update(optimizer, gradient, variable, learning_rate):
    """Moves a variable, and its two moments, by a gradient.

    The numbers of both forms are the same but for rounding. The plain one takes about twenty passes
    over the weights and their moments: on CPUs that is 5 to 10 % of a training step.

    Args:
        optimizer: `keras.optimizers.Adam`, or a subclass, that is built.
        gradient, variable: of one shape.
        learning_rate: of this update.
    """
    form = fused if can_fuse(optimizer, gradient, variable) else plain
    form(optimizer, gradient, variable, learning_rate)


def plain(optimizer, gradient, variable, learning_rate):
    """As Keras computes it."""
    keras.optimizers.Adam.update_step(optimizer, gradient, variable, learning_rate)


def fused(optimizer, gradient, variable, learning_rate):
    """As the operation that TensorFlow has for it."""
    import tensorflow as tf

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


def can_fuse(optimizer, gradient, variable):
    """Whether TensorFlow's operation is for this update."""
    if keras.config.backend() != "tensorflow" or optimizer.amsgrad or in_strategy():
        return False
    import tensorflow as tf

    dense = isinstance(gradient, tf.Tensor) and gradient.dtype == "float32"
    return dense and variable.dtype == tf.float32
