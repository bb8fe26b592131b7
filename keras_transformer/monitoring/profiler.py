"""Where the time of chosen training steps goes."""

import pathlib
from typing import Any

import keras

from keras_transformer.checks import require
from keras_transformer.training.optimizers import batches_done


class Profiler(keras.callbacks.Callback):
    """Records TensorFlow's profile of some training steps, for the TensorBoard tab Profile.

    The tab needs `pip install tensorboard-plugin-profile`.

    Args:
        log_dir: Folder of the run's logs.
        first, last: The batches, counted from 1 over all epochs.

    Raises:
        ValueError: Unless `1 <= first <= last`.

    Example:

    >>> import tempfile
    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> log_dir = pathlib.Path(tempfile.mkdtemp())
    >>> x, y = np.ones((8, 2)), np.ones((8, 1))
    >>> _ = model.fit(x, y, batch_size=2, verbose=0, callbacks=[Profiler(log_dir, 2, 3)])
    >>> len(list(log_dir.rglob("*.xplane.pb")))
    1
    """

    def __init__(self, log_dir: str | pathlib.Path, first: int, last: int) -> None:
        super().__init__()
        require(1 <= first <= last, "batches 1 <= first <= last", first=first, last=last)
        self.log_dir, self.first, self.last = str(log_dir), first, last
        self._is_on = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._batches = batches_done(self.model.optimizer)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._batches + batch + 1 == self.first:
            import tensorflow as tf

            tf.profiler.experimental.start(self.log_dir)
            self._is_on = True

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._batches + batch + 1 >= self.last:
            self._stop()

    def on_train_end(self, logs: Any = None) -> None:
        self._stop()

    def _stop(self):
        if self._is_on:
            import tensorflow as tf

            tf.profiler.experimental.stop()
            self._is_on = False
