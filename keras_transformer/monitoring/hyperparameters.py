"""A run's settings and scores, so that runs compare under the TensorBoard tab HParams."""

import math
import pathlib
import warnings
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from keras_transformer.monitoring.watcher import Watcher


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
    (['loss'], ['scores'])
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
        log_dir: Folder of the run's logs; it is written to the run `scores` there.
        settings: Names and values. Of others than str, bool and numbers the str is shown; those
            that are None are left out.
        scores: Names and values; those that are not finite numbers are left out.

    Raises:
        OSError, tf.errors.OpError: The folder cannot be written.

    Example:

    >>> import tempfile
    >>> log_dir = pathlib.Path(tempfile.mkdtemp())
    >>> log_hyperparameters(log_dir, {"seed": 1, "precision": "float32"}, {"bleu": 41.0})
    >>> [path.name for path in log_dir.iterdir()]
    ['scores']
    """
    from tensorboard.plugins.hparams import api

    folder = pathlib.Path(log_dir) / "scores"
    folder.mkdir(parents=True, exist_ok=True)
    plain = {
        name: value if isinstance(value, str | bool | int | float) else str(value)
        for name, value in settings.items()
        if value is not None
    }
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default(0):
        api.hparams(plain, trial_id=folder.parent.name)
        # Of other names than the curves, of which they would be points.
        _write_scalars({f"score/{name}": value for name, value in scores.items()})
    writer.close()


def log_scalars(folder: str | pathlib.Path, values: Mapping[str, Any], step: int = 0) -> None:
    """Writes numbers as points of curves; those that are not finite numbers are left out.

    A folder that cannot be written is a warning.

    Example:

    >>> import tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp()) / "text"
    >>> log_scalars(folder, {"unknown_tokens": 0.01})
    >>> len(list(folder.iterdir()))
    1
    """
    try:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        writer = tf.summary.create_file_writer(str(folder))
        with writer.as_default(step):
            _write_scalars(values)
        writer.close()
    except (OSError, tf.errors.OpError) as error:
        warnings.warn(f"nothing is logged to {folder}: {error}", stacklevel=2)


def _write_scalars(values):
    for name, value in values.items():
        if isinstance(value, int | float) and math.isfinite(value):
            tf.summary.scalar(name, value)
