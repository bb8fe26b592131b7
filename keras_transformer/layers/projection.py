"""The linear maps inside a layer."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_transformer.backend.prepared_kernel import prepared_kernel
from keras_transformer.backend.recomputable import Recomputable
from keras_transformer.checks import require
from keras_transformer.layers.layer import Layer
from keras_transformer.types import Shape, Tensor

NAMES = ("query_key_value", "query", "key_value", "output", "expand", "contract")


class Projection(Recomputable, keras.layers.Dense):
    """`keras.layers.Dense`, which goes on learning after LoRA was saved and loaded."""

    @property
    def kernel(self) -> Tensor:
        return prepared_kernel(self.path, self._merged_kernel, self.compute_dtype)

    def _merged_kernel(self):
        if not self.lora_enabled:
            return super().kernel
        # Keras' own sum is rounded to the compute precision, also where it is saved.
        added = ops.matmul(self.lora_kernel_a, self.lora_kernel_b)
        return ops.add(self._kernel, self.lora_alpha / self.lora_rank * added)

    def variables_by_input(self) -> list[keras.Variable]:
        """The terms of the kernel, of which each has a row for every input."""
        return [self._kernel, *([self.lora_kernel_a] if self.lora_enabled else [])]

    def quantize(
        self, mode: str | None = None, type_check: bool = True, config: Any | None = None
    ) -> None:
        # Keras refuses subclasses, which may compute something else. This one does not.
        super().quantize(mode, type_check=False, config=config)

    def save_own_variables(self, store: dict) -> None:
        super().save_own_variables(store)  # the sum, which a map without LoRA can load
        if self.lora_enabled:
            for name, variable in self._terms().items():
                store[name] = variable

    def load_own_variables(self, store: dict) -> None:
        stored = set(store.keys())
        plain = {name: store[name] for name in stored if name.isdigit()}
        if not self.lora_enabled:
            super().load_own_variables(plain)
            return
        factor = ops.convert_to_numpy(self.lora_kernel_a)
        super().load_own_variables(plain)  # makes both factors 0, which would never learn again
        self.lora_kernel_a.assign(factor)
        terms = self._terms()
        same = terms.keys() <= stored and all(
            store[name].shape == tuple(variable.shape) for name, variable in terms.items()
        )
        if same:  # and not of another rank
            for name, variable in terms.items():
                variable.assign(store[name])

    def _terms(self):
        """The variables whose sum is the kernel: by name in a file, as they are."""
        names = ("_kernel", "kernel_scale", "kernel_zero", "lora_kernel_a", "lora_kernel_b")
        return {name: getattr(self, name) for name in names if hasattr(self, name)}


def projection(layer: Layer, units: int, name: str, input_shape: Shape) -> Projection:
    """A built `Projection` with the biases, initial values and precision of a `Layer`."""
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


def has_bias(use_bias: bool | Sequence[str], name: str) -> bool:
    """Whether the projection `name` has one, `use_bias` being a bool for all or a list of names."""
    if isinstance(use_bias, bool):
        return use_bias
    is_list = isinstance(use_bias, list | tuple | set | frozenset)
    names_some = is_list and all(one in NAMES for one in use_bias)
    require(names_some, f"use_bias to name some of {NAMES}", use_bias=use_bias)
    return name in use_bias
