"""One way to compile a function of a model on each backend."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras.src.trainers.trainer import model_supports_jit  # nothing public tells

from keras_transformer.backend.dispatch import Operation


@Operation
def compile_for(
    model: keras.Model, function: Callable[..., Any], static: Sequence[str] = ()
) -> Callable[..., Any]:
    """`function`, compiled for each new shape of its arguments; it may read the model's weights.

    Args:
        static: names of arguments that come by keyword and are Python's own numbers, such as a
            length: each new value is a new program.

    >>> ones = compile_for(keras.Sequential(), lambda x, n: keras.ops.ones((n,)) * x, ["n"])
    >>> ones(keras.ops.convert_to_tensor(2.0), n=3).shape == (3,)
    True
    """
    return function


@compile_for.on("tensorflow")
def compile_for_tensorflow(
    model: keras.Model, function: Callable[..., Any], static: Sequence[str] = ()
) -> Callable[..., Any]:
    """A graph, for XLA if that is faster; numbers are always static."""
    import tensorflow as tf

    compiled = tf.function(function, autograph=False, jit_compile=is_faster_by_xla(model))
    compiled._omit_frequent_tracing_warning = True  # each of few shapes is traced, as is meant
    return compiled


@compile_for.on("jax")
def compile_for_jax(
    model: keras.Model, function: Callable[..., Any], static: Sequence[str] = ()
) -> Callable[..., Any]:
    """The weights are arguments, so that later training is seen."""
    import jax

    @functools.partial(jax.jit, static_argnames=static)
    def pure(values, *args, **numbers):
        with keras.StatelessScope(state_mapping=zip(model.variables, values, strict=True)):
            return function(*args, **numbers)

    return lambda *args, **numbers: pure([v.value for v in model.variables], *args, **numbers)


@compile_for.on("torch")
def compile_for_torch(
    model: keras.Model, function: Callable[..., Any], static: Sequence[str] = ()
) -> Callable[..., Any]:
    """Nothing is compiled, but no gradients are kept."""
    import torch

    def tensor(x):
        return None if x is None else keras.ops.convert_to_tensor(x)  # on Keras' device

    @torch.no_grad()
    def without_gradients(*args, **numbers):
        return function(*keras.tree.map_structure(tensor, args), **numbers)

    return without_gradients


@Operation
def compiles() -> bool:
    """Whether the backend makes a program for each new shape, and keeps it."""
    return False


@compiles.on("tensorflow", "jax")
def compiles_each_shape() -> bool:
    return True


def is_faster_by_xla(model: keras.Model) -> bool:
    """Whether generation is, on CPUs: in float32 and int8, by up to half; not in half precision."""
    layers = [layer for layer in model._flatten_layers() if layer.weights]
    return model_supports_jit(model) and all(x.compute_dtype == "float32" for x in layers)
