"""How much `keras.remat` sees of what it computes again."""

import contextlib
import copy
from collections.abc import Callable, Iterator

import keras
from keras import tree
from keras.src.backend.common import global_state

from keras_transformer.backend.dispatch import Operation
from keras_transformer.types import Tensor


@Operation
def remat(function: Callable) -> Callable:
    """`keras.remat(function)`, for a function of float tensors that may return others beside them.

    >>> y, mask = remat(lambda x: (2 * x, x > 0))(keras.ops.ones((2,)))
    >>> y.shape == mask.shape == (2,)
    True
    """
    return keras.remat(function)


@remat.on("tensorflow")
def remat_of_floats(function: Callable) -> Callable:
    """TensorFlow differentiates what goes by position, and of the results the floats alone.

    Values that a `keras.StatelessScope` has for variables would get no gradient, so there nothing
    is computed again.
    """
    if stateless_scope() is not None:
        return function

    def recomputed(*tensors):
        first = None

        def floats(*tensors):
            nonlocal first
            results = function(*tensors)
            if first is None:
                first = results
            return [x for x in tree.flatten(results) if is_float(x)]

        differentiable = iter(keras.remat(floats)(*tensors))
        results, first = first, ()  # which is not to be kept, nor set again
        return tree.map_structure(lambda x: next(differentiable) if is_float(x) else x, results)

    return recomputed


def is_float(x: Tensor) -> bool:
    """Whether `x` is a tensor that can have a gradient."""
    return keras.ops.is_tensor(x) and keras.backend.is_float_dtype(x.dtype)


def stateless_scope() -> keras.StatelessScope | None:
    """The `keras.StatelessScope` around, or None."""
    return global_state.get_global_attribute("stateless_scope")


def known_values() -> dict:
    """The values that variables have otherwise than by themselves, by their `id`."""
    scope = stateless_scope()
    return {} if scope is None else dict(scope.state_mapping)


@contextlib.contextmanager
def values(known: dict) -> Iterator[keras.StatelessScope]:
    """A `keras.StatelessScope` in which variables have former `known_values()`."""
    with keras.StatelessScope() as scope:
        scope.state_mapping.update(known)
        yield scope


def current_ambience() -> dict:
    """What Keras knows beside a call's arguments: `training`, and the precision of variables."""
    names = ("autocast_scope", "current_call_ctx")
    return {name: copy.copy(global_state.get_global_attribute(name)) for name in names}


@contextlib.contextmanager
def ambience(values: dict) -> Iterator[None]:
    """Calls layers with a former `current_ambience()`."""
    before = {name: global_state.get_global_attribute(name) for name in values}
    try:
        for name, value in values.items():
            global_state.set_global_attribute(name, value)
        yield
    finally:
        for name, value in before.items():
            global_state.set_global_attribute(name, value)
