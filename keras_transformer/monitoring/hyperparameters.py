"""A run's settings and scores, so that runs compare under the TensorBoard tab HParams."""

import math
import pathlib
from collections.abc import Mapping
from typing import Any

from keras_transformer.monitoring.watcher import Watcher
from keras_transformer.monitoring.writer import Writer, write_scalars


class Hyperparameters(Watcher):
    """Writes a run's settings, and the last figures of its training, for the tab HParams.

    Args:
        log_dir: Folder of the run's logs.
        settings: As of `log_hyperparameters`.

    Example:

    >>> import keras, tempfile
    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> log_dir = pathlib.Path(tempfile.mkdtemp())
    >>> settings = Hyperparameters(log_dir, {"optimizer": "adam"})
    >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=[settings])
    >>> list(settings.scores), [path.name for path in log_dir.iterdir()]
    (['loss'], ['train'])
    """

    def __init__(self, log_dir: str | pathlib.Path, settings: Mapping[str, Any]) -> None:
        super().__init__(log_dir)
        self.log_dir, self.settings = log_dir, settings
        self.scores: dict[str, float] = {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.scores = {name: float(value) for name, value in (logs or {}).items()}

    def on_train_end(self, logs: Any = None) -> None:
        self.carefully(log_hyperparameters, self.log_dir, self.settings, self.scores)


def log_hyperparameters(
    log_dir: str | pathlib.Path, settings: Mapping[str, Any], scores: Mapping[str, Any]
) -> None:
    """Writes what a run was trained with, and what it reached, for the tab HParams.

    Runs compare there, whatever recipe they are of: TensorBoard is started on the folder that
    holds their `log_dir`s.

    Args:
        log_dir: Folder of the run's logs; it is written to the run `train` there.
        settings: Names and values. Of others than str, bool and numbers the str is shown; those
            that are None are left out.
        scores: Names and values; those that are not finite numbers are left out.

    Example:

    >>> import tempfile
    >>> log_dir = pathlib.Path(tempfile.mkdtemp())
    >>> log_hyperparameters(log_dir, {"seed": 1, "precision": "float32"}, {"bleu": 41.0})
    >>> [path.name for path in log_dir.iterdir()]
    ['train']
    """
    from tensorboard.plugins.hparams import api

    plain = {
        name: value if isinstance(value, str | bool | int | float) else str(value)
        for name, value in settings.items()
        if value is not None
    }
    # Of other names than the curves, of which they would be points.
    figures = {f"score/{name}": value for name, value in scores.items() if _is_figure(value)}

    def write():
        api.hparams(plain, trial_id=pathlib.Path(log_dir).name)
        write_scalars(figures)

    Writer(pathlib.Path(log_dir) / "train").write(0, write)


def log_scalars(folder: str | pathlib.Path, values: Mapping[str, Any], step: int = 0) -> None:
    """Writes numbers as points of curves; those that are not finite numbers are left out.

    Example:

    >>> import tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp()) / "text"
    >>> log_scalars(folder, {"unknown_tokens": 0.01})
    >>> len(list(folder.iterdir()))
    1
    """
    found = {name: value for name, value in values.items() if _is_figure(value)}
    Writer(folder).write(step, write_scalars, found)


def _is_figure(value):
    return isinstance(value, int | float) and math.isfinite(value)
