"""One way to compile a function of a model on each backend."""

import keras
from keras.src.trainers.trainer import model_supports_jit  # nothing public tells


def compile_for(model, function):
    """`function`, compiled for each new shape of its arguments; it may read the model's weights.

    TensorFlow traces a graph, for XLA if that is faster, JAX jits with the weights as arguments, so
    that later training is seen, and PyTorch runs eagerly without gradients.
    """
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            return tf.function(function, autograph=False, jit_compile=is_faster_by_xla(model))
        case "jax":
            import jax

            @jax.jit
            def pure(values, *args):
                with keras.StatelessScope(state_mapping=zip(model.variables, values, strict=True)):
                    return function(*args)

            return lambda *args: pure([v.value for v in model.variables], *args)
        case "torch":
            import torch

            @torch.no_grad()
            def without_gradients(*args):
                def tensor(x):
                    return None if x is None else keras.ops.convert_to_tensor(x)  # on Keras' device

                return function(*keras.tree.map_structure(tensor, args))

            return without_gradients
    return function


def compiles():
    """Whether the backend makes a program for each new shape, and keeps it."""
    return keras.backend.backend() in ("tensorflow", "jax")


def is_faster_by_xla(model):
    """Whether generation is, on CPUs: in float32 and int8, by up to half; not in half precision."""
    layers = [layer for layer in model._flatten_layers() if layer.weights]
    return model_supports_jit(model) and all(x.compute_dtype == "float32" for x in layers)
