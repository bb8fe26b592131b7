"""What an optimiser does to its variables, or leaves."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_transformer.backend.dispatch import Operation
from keras_transformer.backend.strategy import in_strategy
from keras_transformer.backend.xla import in_xla
from keras_transformer.types import Tensor


@Operation
def update_if(
    condition: Tensor, update: Callable, variables: Sequence[keras.Variable], *args: Any
) -> None:
    """Calls `update(*args)`, which assigns to `variables` alone, if a condition holds.

    Compiled, the choice is between two values of each variable, which XLA makes as it updates.

    >>> x = keras.Variable(1.0)
    >>> for condition in (True, False):
    ...     update_if(ops.convert_to_tensor(condition), x.assign_add, [x], 2.0)
    >>> float(x)
    3.0
    """
    before = [ops.copy(variable) for variable in variables]
    update(*args)
    for variable, value in zip(variables, before, strict=True):
        variable.assign(ops.where(condition, ops.convert_to_tensor(variable), value))


@update_if.on("torch")
def update_if_true(
    condition: Tensor, update: Callable, variables: Sequence[keras.Variable], *args: Any
) -> None:
    if condition:
        update(*args)


@update_if.on("tensorflow")
def update_in_a_branch(
    condition: Tensor, update: Callable, variables: Sequence[keras.Variable], *args: Any
) -> None:
    import tensorflow as tf

    if in_strategy() and not tf.__internal__.distribute.strategy_supports_no_merge_call():

        def across(distribution, condition, *args):
            # Replicas agree. They have to meet in an update, and can in no branch of their own.
            tf.cond(
                distribution.experimental_local_results(condition)[0],
                lambda: distribution.extended.call_for_each_replica(update, args=args),
                lambda: None,
            )

        tf.distribute.get_replica_context().merge_call(across, args=(condition, *args))
    elif in_xla() and not in_strategy():
        update_if.plain(condition, update, variables, *args)
    else:
        tf.cond(condition, lambda: update(*args), lambda: None)
