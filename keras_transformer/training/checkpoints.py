"""Checkpoints to resume from, exactly."""

import dataclasses
import re
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras

from keras_transformer.checks import refusal, require
from keras_transformer.training.checkpoint_files import (
    History,
    Position,
    load_checkpoint,
    newest_checkpoint,
    read_history,
    read_position,
    state_of,
    write_checkpoint,
)
from keras_transformer.training.finite import all_finite, is_sound
from keras_transformer.training.optimizers import batches_done, batches_per_update
from keras_transformer.training.run import Run

TO_FALL_BACK = 2  # newest checkpoints that are kept, wherever they are


class Checkpoint(keras.callbacks.Callback):
    """Saves all that training goes on from, at the end of every epoch and within it.

    A run that was interrupted, or killed, and resumed ends with the same weights, bit for bit, as
    one that was not, if its data come in the same order:

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

    The state is copied, and written while training goes on. Checkpoints of the ends of epochs are
    kept for the average, and the newest two of all: one that is damaged is named in a warning, and
    the one before it is used. Weights that are not finite are never saved, and no state within an
    epoch whose last update was left out. Under PyTorch, dropout after a resume differs: Keras draws
    it from torch's global generator there.

    Args:
        run: The `Run` to write to.
        keep: How many checkpoints of ends of epochs to keep, the newest ones.
        every: When to save within an epoch: `"10m"` is ten minutes, `"500"` are 500 updates, since
            the last checkpoint.

    Attributes:
        history: A dict of str to list, the logs of all epochs, those before a resume included.

    Raises:
        ValueError: If `keep` is below 1 or `every` is something else, or the data given to `fit`
            do not know their length.
        OSError: A checkpoint could not be written; those before are as they were.

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

    def __init__(self, run: Run, keep: int = 10, every: str = "10m") -> None:
        super().__init__()
        require(keep >= 1, "keep to be at least 1", keep=keep)
        self.run = run
        self.keep = keep
        self.every = every
        self.history: History = {}
        self._seconds_between, self._updates_between = read_interval(every)
        self._last, self._last_batches = Position(), 0
        self._seconds = 0.0
        self._epoch: int | None = None  # until one has begun
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future | None = None

    def restore(self, model: keras.Model) -> Position:
        """Loads the newest whole checkpoint of the run into `model` and returns its `Position`."""
        if path := newest_checkpoint(self.run):
            self._last = load_checkpoint(path, model)
            first = self.run.begun.get("first_epoch", 0)
            if self._last.epoch < first:  # it is of other data
                self._last = dataclasses.replace(self._last, epoch=first, batches=0)
            self.history = read_history(path)
            self._last_batches = batches_done(model.optimizer)
            self._seconds = self._last.seconds
        return self._last

    def describe(self, model: keras.Model) -> str:
        """Says when the model's checkpoints are written, how many are kept, and their size."""
        size = sum(array.nbytes for array in state_of(model).values()) / 1e6
        most = self.keep + TO_FALL_BACK
        free = shutil.disk_usage(self.run.folder).free / 1e6
        when = self.every.rstrip("m") + (" minutes" if self._seconds_between else " updates")
        return (
            f"checkpoints: every {when} and at the end of every epoch; up to {most} are kept, "
            f"{size:,.1f} MB each, {most * size:,.0f} MB in all"
            + (f", and only {free:,.0f} MB are free" if free < most * size else "")
        )

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
        self.wait()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        # Batches are counted by the optimiser: an interrupt can fall between an update and
        # the end of its batch, where a counter of our own would be one behind.
        self._epoch, self._began_at = epoch, batches_done(self.model.optimizer)
        resumed = self._began_at == self._last_batches
        self._batches_before = self._last.batches if resumed else 0
        self._saved_at, self._next_batch = time.monotonic(), self._batches_between()

    def _batches_between(self):
        return self._updates_between * batches_per_update(self.model.optimizer)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._seconds_between:
            is_due = time.monotonic() - self._saved_at >= self._seconds_between
        else:
            is_due = batch + 1 >= self._next_batch
        if is_due and batch + 1 < self.params["steps"] and is_sound(self.model):
            self._begin_to_save(self.position())
            self._saved_at = time.monotonic()
            self._next_batch = batch + 1 + self._batches_between()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        self._begin_to_save(self.position())

    def save(self) -> Position:
        """Saves the present state, also within an epoch, and returns the last saved `Position`.

        Nothing is written where there was no batch since the last checkpoint, and none after the
        last batch of an epoch, which is over only with its validation.
        """
        self.wait()
        position = self.position()
        if position.epoch == (self._epoch or 0):
            self._begin_to_save(position)
            self.wait()
        return self._last

    def wait(self) -> None:
        """Waits until what is being saved is on the disk, and raises what came in between."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def _begin_to_save(self, position):
        self.wait()
        if position != self._last and all_finite(self.model.variables):
            batches = batches_done(self.model.optimizer)
            towards_next = batches % batches_per_update(self.model.optimizer)
            name = f"update-{position.updates:010d}" + f"_{towards_next:06d}" * bool(towards_next)
            path = self.run.checkpoints_folder / f"{name}.npz"
            history = {name: list(values) for name, values in self.history.items()}
            self._writing = self._writer.submit(
                self._write, path, state_of(self.model), position, history
            )
            self._last, self._last_batches = position, batches

    def _write(self, path, state, position, history):
        write_checkpoint(path, state, position, history)
        remove_old(self.run, path, self.keep)

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


def read_interval(every: str) -> tuple[float, int]:
    """Reads `"10m"` or `"500"`: `(seconds, updates)`, one of which is 0.

    Raises:
        ValueError: For something else.

    Example:

    >>> read_interval("10m"), read_interval("500")
    ((600.0, 0), (0.0, 500))
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)m|(\d+)", str(every))
    minutes, updates = (float(part or 0) for part in found.groups()) if found else (0, 0)
    if not minutes and not updates:
        raise refusal("checkpoints every 10m, which is minutes, or 500, which is updates", every)
    return 60 * minutes, int(updates)


def remove_old(run: Run, newest: Path, keep: int) -> None:
    """Removes checkpoints before the newest, but for those that are kept; see `Checkpoint`."""
    paths = [path for path in run.checkpoints() if path <= newest]
    positions = {path: position for path in paths if (position := _position_of(path))}
    ends = [path for path, position in positions.items() if not position.batches]
    kept = {*ends[-keep:], *list(positions)[-TO_FALL_BACK:]}
    for path in paths:
        if path not in kept:
            path.unlink()


def _position_of(path):
    """A checkpoint's position, or None where it is damaged."""
    try:
        return read_position(path)
    except Exception:  # there is no end to what cut and flipped bits raise
        return None
