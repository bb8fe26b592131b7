"""What is looked at while a model trains, for a small share of the time."""

import pathlib
import time
import warnings
from collections.abc import Callable
from typing import Any

import keras

from keras_transformer.checks import reason_of, require
from keras_transformer.monitoring.writer import Writer


class Watcher(keras.callbacks.Callback):
    """A callback that looks at a model, and never ends its training.

    Subclasses write in `look()`, by `tf.summary`; the step is the number of updates. If the folder
    cannot be written, or a look fails otherwise, one warning says so, and no more is looked at.

    Args:
        log_dir: Folder of the run's logs.

    Attributes:
        folder: Where it writes, a run of TensorBoard's.
        seconds: How long its looks have taken.
    """

    name = "train"  # of its folder in log_dir

    def __init__(self, log_dir: str | pathlib.Path) -> None:
        super().__init__()
        self.folder = pathlib.Path(log_dir) / self.name
        self.writer = Writer(self.folder)
        self.seconds = 0.0
        self._is_off = False
        self._seen: int | None = None

    def look(self) -> None:
        """Writes what there is to see now."""
        raise NotImplementedError

    def look_now(self) -> None:
        """Looks, unless nothing was trained since the last time."""
        updates = int(self.model.optimizer.iterations)
        if updates != self._seen:
            self._seen = updates
            self.carefully(self.writer.write, updates, self.look)

    def carefully(self, act: Callable[..., None], *args: Any) -> None:
        """Calls `act(*args)`; an error of it is a warning, the only one."""
        if self._is_off:
            return
        began = time.monotonic()
        try:
            act(*args)
        except Exception as error:  # whatever it is, it is not worth a training run
            self._is_off = True
            said = f"{type(self).__name__} is off from here on, training is not"
            warnings.warn(f"{said}: {reason_of(error)}", stacklevel=2)
        self.seconds += time.monotonic() - began


class EpochWatcher(Watcher):
    """A `Watcher` that looks after epochs, as often as its share of the time allows.

    Args:
        log_dir: Folder of the run's logs.
        share: The most that looks may take of the time since training began: after an epoch there
            is none while those before took more. There is one at the end of training in any case.

    Raises:
        ValueError: A share that is not between 0 and 1.

    Example:

    >>> import tempfile
    >>> import numpy as np
    >>> import tensorflow as tf
    >>> class Bias(EpochWatcher):
    ...     name = "bias"
    ...
    ...     def look(self):
    ...         tf.summary.scalar("bias", float(self.model.layers[-1].bias[0]))
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> bias = Bias(tempfile.mkdtemp())
    >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=[bias])
    >>> bias.seconds > 0
    True
    """

    def __init__(self, log_dir: str | pathlib.Path, share: float = 0.01) -> None:
        super().__init__(log_dir)
        require(0 < share <= 1, "share to be between 0 and 1", share=share)
        self.share = share

    def on_train_begin(self, logs: Any = None) -> None:
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.seconds <= self.share * (time.monotonic() - self._began):
            self.look_now()

    def on_train_end(self, logs: Any = None) -> None:
        self.look_now()
