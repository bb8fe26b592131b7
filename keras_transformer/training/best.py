"""The best epoch's model, kept, and an end when no better one comes."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_transformer.training.checkpoint_files import newest_checkpoint, read_history
from keras_transformer.training.run import Run


class KeepBest(keras.callbacks.Callback):
    """Saves the model of the best epoch as `model.keras`, and ends `fit` when others are no better.

    It goes on after a resume as if there had been none: what the epochs before reached is in the
    run's checkpoints. Those of `training.fit` come before its checkpoint: stopped between the two,
    an epoch is done again.

    Args:
        run: The `Run` to write to.
        quantity: What is looked at, such as `"accuracy"`, on validation data.
        mode: `"max"` or `"min"`.
        patience: Epochs without a better one until training ends.
        measure: Function of a model to a dict that has `quantity`, on the same data: for runs whose
            checkpoints do not say what earlier epochs reached.

    Attributes:
        is_over: Whether training has ended for want of a better epoch.

    Example:

    >>> import tempfile
    >>> import numpy as np
    >>> run = Run.create(tempfile.mkdtemp(), {})
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x, y = np.ones((8, 2)), np.ones((8, 1))
    >>> measure = lambda model: model.evaluate(x, y, return_dict=True)
    >>> best = KeepBest(run, "loss", "min", patience=1, measure=measure)
    >>> _ = model.fit(x, y, validation_data=(x, y), verbose=0, callbacks=[best])
    >>> run.model_file.is_file(), best.is_over
    (True, False)
    """

    def __init__(
        self,
        run: Run,
        quantity: str,
        mode: str,
        patience: int,
        measure: Callable[[keras.Model], dict[str, float]],
    ) -> None:
        super().__init__()
        self.run = run
        self.monitor = f"val_{quantity}"
        self.sign = {"max": 1, "min": -1}[mode]
        self.patience = patience
        self.best, self.wait = -math.inf, 0
        checkpoint = newest_checkpoint(run)
        reached = read_history(checkpoint).get(self.monitor, []) if checkpoint else []
        for value in reached:
            self._is_better(value)
        if checkpoint and not reached and run.model_file.is_file():
            self._is_better(measure(run.load_model())[quantity])

    def _is_better(self, value):
        is_better = self.sign * value > self.best  # which NaN is not
        self.best = self.sign * value if is_better else self.best
        self.wait = 0 if is_better else self.wait + 1
        return is_better

    @property
    def is_over(self) -> bool:
        return self.wait >= self.patience

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._is_better(logs[self.monitor]):
            self.run.save_model(self.model)
        elif self.is_over:
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        if not self.run.model_file.is_file():  # no epoch had a figure
            self.run.save_model(self.model)


def keep_best(
    path: Path,
    quantity: str,
    mode: str,
    patience: int,
    measure: Callable[[keras.Model], dict[str, float]],
) -> list[keras.callbacks.Callback]:
    """A list of the `KeepBest` of the run whose `model_file` is `path`: its name of before."""
    return [KeepBest(Run(path.parent), quantity, mode, patience, measure)]
