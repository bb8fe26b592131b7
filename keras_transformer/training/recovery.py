"""How training goes on from an earlier state: with the next batch, and a lower rate."""

from collections.abc import Callable

import keras
from keras import ops

from keras_transformer.training.optimizers import ACCUMULATED_WEIGHT, inner_optimizer, number
from keras_transformer.training.schedules import Scaled


def go_back(model: keras.Model, restore: Callable[[], None], factor: float) -> None:
    """Calls `restore`, which sets a model and its optimiser back, and lowers the learning rate.

    `iterations`, by which schedules and checkpoints count batches, stays. Ours count the updates
    in between as left out; other optimisers do not know that their moments are younger.

    Args:
        model: Compiled Keras model.
        restore: Function that sets all variables to what they were once.
        factor: What the rate, which `restore` may change too, is multiplied by.

    Example:

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.5), "mse")
    >>> go_back(model, lambda: None, 0.5)
    >>> float(model.optimizer.learning_rate)
    0.25
    """
    optimizer = inner_optimizer(model.optimizer)
    rate, is_ours = optimizer._learning_rate, hasattr(optimizer, "rate_scale")
    kept: dict[str, float] = {"_iterations": number(optimizer._iterations)}
    if isinstance(rate, keras.Variable):
        kept["_learning_rate"] = number(rate) * factor
    if is_ours:
        kept["rate_scale"] = number(optimizer.rate_scale) * factor
        unseen = number(optimizer.iterations)
    restore()
    if is_ours:
        unseen -= number(optimizer.iterations) - number(optimizer.updates_left_out)
        kept |= {"updates_left_out": unseen, "left_out_in_a_row": 0.0}
    for name, value in kept.items():
        getattr(optimizer, name).assign(value)
    _forget_accumulated(optimizer)
    if "_learning_rate" not in kept and not is_ours:
        # No variable says how fast a schedule is, or a function.
        is_schedule = isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
        optimizer.learning_rate = Scaled(rate, factor) if is_schedule else lambda: factor * rate()
        model.make_train_function(force=True)


def _forget_accumulated(optimizer):
    """Gradients of batches that an update would have had."""
    if optimizer.gradient_accumulation_steps:
        for variable in [*optimizer._accumulated_gradients, *_accumulated_weight(optimizer)]:
            variable.assign(ops.zeros(variable.shape, variable.dtype))


def _accumulated_weight(optimizer):
    return [v for v in optimizer.variables if v.name == ACCUMULATED_WEIGHT]
