"""The linear maps inside a layer."""

import keras


def projection(layer, units, name, input_shape):
    """A built `keras.layers.Dense` with the biases, initial values and precision of `layer`."""
    dense = keras.layers.Dense(
        units,
        use_bias=layer.use_bias,
        # A clone: an initializer keeps the seed it drew, and would give two kernels equal values.
        kernel_initializer=layer.kernel_initializer.clone(),
        dtype=layer.dtype_policy,
        name=name,
    )
    dense.build(input_shape)
    return dense
