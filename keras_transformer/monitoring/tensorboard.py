"""Training curves in TensorBoard.

`keras.callbacks.TensorBoard` is not used: its tags are `epoch_loss`, `batch_loss` and
`evaluation_loss_vs_iterations`, three charts of one quantity, the first over epochs and the
others over batches. Here a quantity has one chart under its plain name, the x axis counts
optimiser updates, and the runs `train` and `validation` are two curves on it.
"""

import math
import pathlib
from typing import Any

import keras

from keras_transformer.checks import require
from keras_transformer.monitoring.writer import Writer, write_scalars
from keras_transformer.training.optimizers import batches_done, batches_per_update


class TensorBoard(keras.callbacks.Callback):
    """Writes the logs of `fit` as curves: `<log_dir>/train` and `<log_dir>/validation`.

    What other callbacks add to the logs of an epoch is written too, if they come before this
    one: `callbacks=[Throughput(), SampleTranslations(...), TensorBoard(...), Checkpoint(...)]`.
    Within an epoch, values are means since it began, as on Keras' progress bar, and there are
    `learning_rate` and, of an optimiser that has one, `gradient_norm`, both of single updates.

    Args:
        log_dir: Folder to write to. An earlier run's curves there go on.
        every: Also write the training curves every so many updates within an epoch.

    Raises:
        ValueError: If `every` is below 1.

    Example:

    >>> import tempfile, numpy as np
    >>> log_dir = tempfile.mkdtemp()
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> x, y = np.ones((8, 2)), np.ones((8, 1))
    >>> _ = model.fit(x, y, validation_data=(x, y), verbose=0, callbacks=[TensorBoard(log_dir)])
    >>> sorted(path.name for path in pathlib.Path(log_dir).iterdir())
    ['train', 'validation']
    """

    def __init__(self, log_dir: str | pathlib.Path, every: int = 100) -> None:
        super().__init__()
        require(every >= 1, "every to be at least 1", every=every)
        self.log_dir = pathlib.Path(log_dir)
        self.every = every
        self._writers: dict[str, Writer] = {}

    def on_train_begin(self, logs: Any = None) -> None:
        self._batches = batches_done(self.model.optimizer)
        self._batches_an_update = batches_per_update(self.model.optimizer)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        self._batches += 1
        if self._batches % (self.every * self._batches_an_update) == 0:
            values = {**logs, "learning_rate": float(optimizer.learning_rate)}
            if hasattr(optimizer, "gradient_norm"):
                values["gradient_norm"] = float(optimizer.gradient_norm)
            self._write("train", values)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        validation = {k.removeprefix("val_"): v for k, v in logs.items() if k.startswith("val_")}
        self._write("train", {k: v for k, v in logs.items() if not k.startswith("val_")})
        self._write("validation", validation)

    def _write(self, run, values):
        if run not in self._writers:
            self._writers[run] = Writer(self.log_dir / run)
        # A curve has gaps where nothing finite was measured.
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        if finite:
            update = self._batches // self._batches_an_update
            self._writers[run].write(update, write_scalars, finite)
