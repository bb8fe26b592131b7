"""Checkpoints to resume from, exactly."""

import time
from typing import Any

import keras

from keras_transformer.checks import require
from keras_transformer.training.checkpoint_files import (
    Position,
    load_checkpoint,
    read_position,
    save_checkpoint,
)
from keras_transformer.training.optimizers import batches_done, batches_per_update
from keras_transformer.training.run import Run


class Checkpoint(keras.callbacks.Callback):
    """Saves all that training goes on from at the end of every epoch, and on demand within one.

    A run that was interrupted and resumed ends with the same weights, bit for bit, as one that
    was not, if its data come in the same order:

        checkpoint = Checkpoint(run)
        start = checkpoint.restore(model)  # Position(0, 0, 0, 0.0) if there is no checkpoint
        try:
            for epoch in range(start.epoch, epochs):
                done = start.batches if epoch == start.epoch else 0
                model.fit(data(epoch).skip(done), initial_epoch=epoch, epochs=epoch + 1, ...)
        except KeyboardInterrupt:
            checkpoint.save()

    The data must say how many batches they have (`tf.data.experimental.assert_cardinality`):
    Keras finds the end of others by a training step that fails, but not before it has counted
    an update and moved the random seeds on. And `fit` is called once an epoch since Keras gives
    all epochs of one `fit` the length of the first, which is short after a resume.

    A checkpoint from within an epoch is kept only until the next one, so that it never enters
    the average. Under PyTorch, dropout after a resume differs: Keras draws it from torch's
    global generator there.

    Args:
        run: The `Run` to write to.
        keep: How many checkpoints to keep, the newest ones.

    Raises:
        ValueError: If `keep` is below 1, or the data given to `fit` do not know their length.

    Example:

    >>> import tempfile
    >>> import numpy as np
    >>> run = Run.create(tempfile.mkdtemp(), {})
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> data = np.ones((8, 2)), np.ones((8, 1))
    >>> _ = model.fit(*data, batch_size=4, epochs=3, verbose=0, callbacks=[Checkpoint(run, keep=2)])
    >>> [path.name for path in run.checkpoints()]
    ['update-0000000004.npz', 'update-0000000006.npz']
    """

    def __init__(self, run: Run, keep: int = 10) -> None:
        super().__init__()
        require(keep >= 1, "keep to be at least 1", keep=keep)
        self.run = run
        self.keep = keep
        self._last, self._last_batches = Position(), 0
        self._seconds = 0.0
        self._epoch: int | None = None  # until one has begun

    def restore(self, model: keras.Model) -> Position:
        """Loads the newest checkpoint of the run into `model` and returns its `Position`."""
        if checkpoints := self.run.checkpoints():
            self._last = load_checkpoint(checkpoints[-1], model)
            self._last_batches = batches_done(model.optimizer)
            self._seconds = self._last.seconds
        return self._last

    def on_train_begin(self, logs: Any = None) -> None:
        require(
            self.params["steps"],
            "data with a known number of batches, at least 1, as of "
            "tf.data.experimental.assert_cardinality",
            steps=self.params["steps"],
        )
        self._began = time.monotonic() - self._seconds

    def on_train_end(self, logs: Any = None) -> None:
        self._seconds = time.monotonic() - self._began

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        # Batches are counted by the optimiser: an interrupt can fall between an update and
        # the end of its batch, where a counter of our own would be one behind.
        self._epoch, self._began_at = epoch, batches_done(self.model.optimizer)
        resumed = self._began_at == self._last_batches
        self._batches_before = self._last.batches if resumed else 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.save()

    def save(self) -> Position:
        """Saves the present state, also within an epoch, and returns its `Position`.

        Nothing is written where there was no batch since the last checkpoint.
        """
        position = self.position()
        if position != self._last:
            optimizer = self.model.optimizer
            batches = batches_done(optimizer)
            towards_next = batches % batches_per_update(optimizer)
            name = f"update-{position.updates:010d}" + f"_{towards_next:06d}" * bool(towards_next)
            path = self.run.checkpoints_folder / f"{name}.npz"
            save_checkpoint(path, self.model, position)
            self._remove_old(newest=path)
            self._last, self._last_batches = position, batches
        return self._last

    def position(self) -> Position:
        """The present `Position`."""
        if self._epoch is None:
            return self._last
        done = batches_done(self.model.optimizer)
        if done == self._last_batches:
            return self._last
        batches = done - self._began_at
        whole = batches == self.params["steps"]
        return Position(
            epoch=self._epoch + whole,
            batches=0 if whole else self._batches_before + batches,
            updates=int(self.model.optimizer.iterations),
            seconds=time.monotonic() - self._began,
        )

    def _remove_old(self, newest):
        whole = []
        for path in self.run.checkpoints():
            if read_position(path).batches and path != newest:
                path.unlink()
            else:
                whole.append(path)
        for path in whole[: -self.keep]:
            path.unlink()
