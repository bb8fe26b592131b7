"""What every layer of this package is."""

import inspect
from typing import Any

import keras

from keras_transformer.backend.recomputable import Recomputable


class Layer(Recomputable):
    """A layer whose config has the arguments of its constructor, and how its maps are quantized.

    Subclasses keep every argument as an attribute of its name. Keras quantizes the linear maps
    inside a layer, not the layer: without their config it would be built again with float ones.

    Args:
        quantized: dict as in `get_config`, for each map that is quantized its name and serialized
            constructor arguments, for each sublayer with such maps its name and their dict. None
            means that no map is.
    """

    def __init__(self, *, quantized: dict | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.quantized = quantized or {}
        self.supports_masking = True

    def precision(self, name: str) -> dict[str, Any]:
        """The constructor arguments of the map `name` that say how precise it is."""
        arguments = keras.saving.deserialize_keras_object(self.quantized.get(name, {}))
        return {"dtype": self.dtype_policy, **arguments}

    def get_config(self) -> dict[str, Any]:
        own = {
            name: keras.saving.serialize_keras_object(getattr(self, name))
            for name in inspect.signature(type(self).__init__).parameters
            if name not in ("self", "quantized", "kwargs")
        }
        quantized = quantized_maps(self) if self.built else self.quantized
        return super().get_config() | own | ({"quantized": quantized} if quantized else {})


def quantized_maps(layer: Layer) -> dict[str, Any]:
    """What is quantized now in a built `Layer`: its argument `quantized`."""
    found = {}
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        if isinstance(inner, Layer):
            found[inner.name] = quantized_maps(inner)
        elif isinstance(inner, keras.layers.Dense) and inner.quantization_mode:
            found[inner.name] = {
                "dtype": keras.saving.serialize_keras_object(inner.dtype_policy),
                "quantization_config": keras.saving.serialize_keras_object(
                    inner.quantization_config
                ),
            }
    return {name: maps for name, maps in found.items() if maps}
