"""What `fit` keeps elsewhere than in a model's variables while it lasts."""

import keras

from keras_transformer.backend.dispatch import Operation


@Operation
def take_back_state(model: keras.Model) -> None:
    """Gives a model that is trained the values of its variables, for a callback between batches."""


@take_back_state.on("jax")
def sync_state(model: keras.Model) -> None:
    """Its steps are functions from state to state."""
    model.jax_state_sync()


@Operation
def take_back_numbers(model: keras.Model) -> None:
    """The same of what metrics and the optimiser's scalars are, to be read alone: it costs less."""


@take_back_numbers.on("jax")
def read_state(model: keras.Model) -> None:
    state = getattr(model, "_jax_state", None)
    if not state or model._jax_state_synced:
        return
    variables = [*model.metrics_variables, *model.optimizer.variables]
    values = [*state["metrics_variables"], *state["optimizer_variables"]]
    metrics = len(model.metrics_variables)
    for place, (variable, value) in enumerate(zip(variables, values, strict=True)):
        if place < metrics or not value.shape:
            variable.assign(value)
