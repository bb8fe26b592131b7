"""The best epoch's model, kept, and an end when no better one comes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transformer.checks import refusal
from keras_transformer.model_files import load_model


def keep_best(
    path: Path,
    quantity: str,
    mode: str,
    patience: int,
    measure: Callable[[keras.Model], dict[str, float]],
) -> list[keras.callbacks.Callback]:
    """Callbacks that save the model of the best epoch, and end `fit` when others are no better.

    They go on after a resume: the model that is there is measured, and has to be beaten.

    Args:
        path: `pathlib.Path` of the `.keras` file.
        quantity: What is looked at, such as `"accuracy"`, on validation data.
        mode: `"max"` or `"min"`.
        patience: Epochs without a better one until training ends.
        measure: Function of a model to a dict that has `quantity`, on the same data.

    Returns:
        A list of Keras callbacks. Those of `training.fit` come before its checkpoint: stopped
        between the two, an epoch is done again.

    Example:

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.keras"
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x, y = np.ones((8, 2)), np.ones((8, 1))
    >>> measure = lambda model: model.evaluate(x, y, return_dict=True)
    >>> callbacks = keep_best(path, "loss", "min", patience=1, measure=measure)
    >>> _ = model.fit(x, y, validation_data=(x, y), verbose=0, callbacks=callbacks)
    >>> path.is_file()
    True
    """
    best = None
    if path.is_file():
        best = measure(load_model(path))[quantity]
    look = {"monitor": f"val_{quantity}", "mode": mode}
    return [
        keras.callbacks.ModelCheckpoint(
            str(path), save_best_only=True, initial_value_threshold=best, **look
        ),
        keras.callbacks.EarlyStopping(patience=patience, baseline=best, **look),
        _Finite(f"val_{quantity}"),
    ]


class _Finite(keras.callbacks.Callback):
    """Ends training that diverged with a sentence."""

    def __init__(self, monitor):
        super().__init__()
        self.monitor = monitor

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not np.isfinite(logs[self.monitor]):
            received = (
                f"{logs[self.monitor]}, for training diverged; a lower peak learning rate may help"
            )
            raise refusal(f"a finite {self.monitor}", received)
