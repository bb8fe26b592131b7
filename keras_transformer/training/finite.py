"""Whether numbers are finite: what may be kept, and what never."""

from collections.abc import Iterable

import keras
from keras import ops

from keras_transformer.training.optimizers import inner_optimizer, number


def all_finite(variables: Iterable[keras.Variable]) -> bool:
    """Whether variables hold neither infinity nor NaN. Looked at where they are, not copied.

    Example:

    >>> all_finite([keras.Variable([1.0, 2.0])]), all_finite([keras.Variable(float("nan"))])
    (True, False)
    """
    floats = [v for v in variables if keras.backend.is_float_dtype(v.dtype)]
    finite = [ops.all(ops.isfinite(v)) for v in floats]
    return not finite or bool(ops.all(ops.stack(finite)))


def is_sound(model: keras.Model) -> bool:
    """Whether training can go on from what a model and its optimiser hold.

    All is finite, and the last update was not left out.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> is_sound(model)
    True
    """
    optimizer = getattr(model, "optimizer", None)
    variables = [*model.variables, *(optimizer.variables if optimizer else [])]
    left_out = getattr(inner_optimizer(optimizer), "left_out_in_a_row", 0.0)
    return number(left_out) == 0 and all_finite(variables)
