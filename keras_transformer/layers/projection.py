"""The linear maps inside a layer."""

import keras
from keras import ops

from keras_transformer.layers.arguments import require
from keras_transformer.scopes import CacheScope, compute_once

NAMES = ("query_key_value", "query", "key_value", "output", "expand", "contract")


class Projection(keras.layers.Dense):
    """`keras.layers.Dense`, which with a cache prepares its half-precision kernel only once.

    With few rows a step's time is that of reading kernels: a cast at every step would double it,
    and TensorFlow on CPUs is a third faster with half-precision kernels transposed.
    """

    @property
    def kernel(self):
        if CacheScope.current() is None or self.compute_dtype == "float32":
            return self._merged_kernel()

        def prepare():
            return ops.transpose(ops.cast(self._merged_kernel(), self.compute_dtype))

        return ops.transpose(compute_once(self.path, prepare))

    def _merged_kernel(self):
        if not self.lora_enabled:
            return super().kernel
        # Keras' own sum is rounded to the compute precision, also where it is saved.
        added = ops.matmul(self.lora_kernel_a, self.lora_kernel_b)
        return ops.add(self._kernel, self.lora_alpha / self.lora_rank * added)

    def quantize(self, mode=None, type_check=True, config=None):
        # Keras refuses subclasses, which may compute something else. This one does not.
        super().quantize(mode, type_check=False, config=config)


class Compound(keras.layers.Layer):
    """A layer with linear maps inside it, whose config keeps what `quantize` made of them.

    Keras quantizes the maps, not the layer: without this it would be built again with float ones.

    Args:
        quantized: dict as in `get_config`, for each map that is quantized its name and serialized
            constructor arguments, for each sublayer with such maps its name and their dict. None
            means that no map is.
    """

    def __init__(self, *, quantized=None, **kwargs):
        super().__init__(**kwargs)
        self.quantized = quantized or {}

    def precision(self, name):
        """The constructor arguments of the map `name` that say how precise it is."""
        arguments = keras.saving.deserialize_keras_object(self.quantized.get(name, {}))
        return {"dtype": self.dtype_policy, **arguments}

    def get_config(self):
        quantized = quantized_maps(self) if self.built else self.quantized
        return super().get_config() | ({"quantized": quantized} if quantized else {})


def quantized_maps(layer):
    """What is quantized now in a built `Compound`: its argument `quantized`."""
    found = {}
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        if isinstance(inner, Compound):
            found[inner.name] = quantized_maps(inner)
        elif isinstance(inner, keras.layers.Dense) and inner.quantization_mode:
            found[inner.name] = {
                "dtype": keras.saving.serialize_keras_object(inner.dtype_policy),
                "quantization_config": keras.saving.serialize_keras_object(
                    inner.quantization_config
                ),
            }
    return {name: maps for name, maps in found.items() if maps}


def projection(layer, units, name, input_shape):
    """A built `Projection` with the biases, initial values and precision of a `Compound`."""
    dense = Projection(
        units,
        use_bias=has_bias(layer.use_bias, name),
        # A clone: an initializer keeps the seed it drew, and would give two kernels equal values.
        kernel_initializer=layer.kernel_initializer.clone(),
        name=name,
        **layer.precision(name),
    )
    dense.build(input_shape)
    return dense


def has_bias(use_bias, name):
    """Whether the projection `name` has one, `use_bias` being a bool for all or a list of names."""
    if isinstance(use_bias, bool):
        return use_bias
    require(set(use_bias) <= set(NAMES), f"use_bias to name some of {NAMES}", use_bias=use_bias)
    return name in use_bias
