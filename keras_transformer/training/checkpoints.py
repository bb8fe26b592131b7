"""Checkpoints to resume from, exactly, and to average."""

import dataclasses
import json
import os
import time

import keras
import numpy as np

from keras_transformer.training.json_files import RunError
from keras_transformer.training.optimizers import (
    ACCUMULATED_WEIGHT,
    batches_done,
    batches_per_update,
)
from keras_transformer.training.run import Run


@dataclasses.dataclass(frozen=True)
class Position:
    """How far training has come.

    Attributes:
        epoch: Number of whole epochs done, the `initial_epoch` for `fit`.
        batches: Batches of the epoch after those that are done too; 0 at an epoch's end.
        updates: Optimiser updates done.
        seconds: Wall-clock seconds spent in `fit`, validation and callbacks included.

    Example:

    >>> Position(epoch=2, updates=400).batches
    0
    """

    epoch: int = 0
    batches: int = 0
    updates: int = 0
    seconds: float = 0.0


def _named_variables(model):
    # `save_weights` leaves out the states of the random seeds, without which dropout after a
    # resume would not be what it would have been. Names are numbers because paths repeat.
    variables = {f"model/{n}": v for n, v in enumerate(model.variables)}
    if getattr(model, "optimizer", None) is not None:
        model.optimizer.build(model.trainable_variables)
        variables |= {f"optimizer/{n}": v for n, v in enumerate(model.optimizer.variables)}
    return variables


def _read(file, name, variable, path):
    if name not in file or file[name].shape != tuple(variable.shape):
        found = file[name].shape if name in file else "nothing"
        raise RunError(
            f"{path} does not fit this model: expected shape {tuple(variable.shape)} for "
            f"{variable.path}, found {found}."
        )
    return file[name]


def save_checkpoint(path, model, position):
    """Writes everything that training goes on from to one `.npz` file, atomically.

    Args:
        path: Where to write; an existing file is replaced once the new one is complete.
        model: Built and compiled Keras model. Its weights, random seeds and optimiser are saved.
        position: `Position` to store with them.

    Example:

    >>> import pathlib, tempfile
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "update-0000007.npz"
    >>> save_checkpoint(path, model, Position(epoch=1, updates=7))
    >>> load_checkpoint(path, model)
    Position(epoch=1, batches=0, updates=7, seconds=0.0)
    >>> read_position(path).updates
    7
    """
    arrays = {name: keras.ops.convert_to_numpy(v) for name, v in _named_variables(model).items()}
    for name, array in arrays.items():
        if array.dtype.kind == "V":  # bfloat16, which npz would store as bytes without a type
            arrays[name] = array.astype("float32")
    unfinished = path.with_name(path.name + ".unfinished")
    with open(unfinished, "wb") as file:
        np.savez(file, position=json.dumps(dataclasses.asdict(position)), **arrays)
    os.replace(unfinished, path)


def load_checkpoint(path, model):
    """Restores what `save_checkpoint` wrote into a built, compiled model of the same shape.

    Returns:
        The stored `Position`.

    Raises:
        RunError: If a variable of the model is not in the file or has another shape there.
    """
    with np.load(path) as file:
        for name, variable in _named_variables(model).items():
            if name not in file and variable.name == ACCUMULATED_WEIGHT:
                continue  # of a run that accumulated before batches had weights
            variable.assign(_read(file, name, variable, path))
    return read_position(path)


def read_position(path):
    """The `Position` that a checkpoint was written at.

    Args:
        path: The file; no more than this is read of it.

    Example: see `save_checkpoint`.
    """
    with np.load(path) as file:
        return Position(**json.loads(str(file["position"])))


def average_checkpoints(run_or_paths, model, last=10):
    """Sets the model's weights to the mean of its last checkpoints, summed in float64.

    One weight is read at a time: the memory needed beside the model is that of its largest one.
    Vaswani et al. 2017, section 6.1, average the last 5 (base) and 20 (big) checkpoints.

    Args:
        run_or_paths: A `Run`, or a list of checkpoint paths, oldest first.
        model: Built Keras model of the shape that was trained.
        last: How many to average; fewer when there are fewer.

    Returns:
        The list of paths averaged.

    Raises:
        RunError: If there is no checkpoint, or one does not fit the model.
    """
    paths = run_or_paths.checkpoints() if isinstance(run_or_paths, Run) else list(run_or_paths)
    paths = paths[-last:]
    if not paths:
        raise RunError(f"There is no checkpoint to average. Received: run_or_paths={run_or_paths}")
    files = [np.load(path) for path in paths]
    for number, variable in enumerate(model.variables):
        if keras.backend.is_float_dtype(variable.dtype):  # and not the state of a random seed
            total = 0.0
            for path, file in zip(paths, files, strict=True):
                total = total + _read(file, f"model/{number}", variable, path).astype("float64")
            variable.assign(total / len(files))
    for file in files:
        file.close()
    return paths


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
    >>> run = Run.create(tempfile.mkdtemp(), {})
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> data = np.ones((8, 2)), np.ones((8, 1))
    >>> _ = model.fit(*data, batch_size=4, epochs=3, verbose=0, callbacks=[Checkpoint(run, keep=2)])
    >>> [path.name for path in run.checkpoints()]
    ['update-0000000004.npz', 'update-0000000006.npz']
    """

    def __init__(self, run, keep=10):
        super().__init__()
        if keep < 1:
            raise ValueError(f"Expected `keep` to be at least 1. Received: keep={keep}")
        self.run = run
        self.keep = keep
        self._last, self._last_batches = Position(), 0
        self._seconds = 0.0
        self._epoch = None  # until one has begun

    def restore(self, model):
        """Loads the newest checkpoint of the run into `model` and returns its `Position`."""
        if checkpoints := self.run.checkpoints():
            self._last = load_checkpoint(checkpoints[-1], model)
            self._last_batches = batches_done(model.optimizer)
            self._seconds = self._last.seconds
        return self._last

    def on_train_begin(self, logs=None):
        if not self.params["steps"]:
            raise ValueError(
                "Expected data with a known number of batches, at least 1: apply "
                f"tf.data.experimental.assert_cardinality. Received: steps={self.params['steps']}"
            )
        self._began = time.monotonic() - self._seconds

    def on_train_end(self, logs=None):
        self._seconds = time.monotonic() - self._began

    def on_epoch_begin(self, epoch, logs=None):
        # Batches are counted by the optimiser: an interrupt can fall between an update and
        # the end of its batch, where a counter of our own would be one behind.
        self._epoch, self._began_at = epoch, batches_done(self.model.optimizer)
        resumed = self._began_at == self._last_batches
        self._batches_before = self._last.batches if resumed else 0

    def on_epoch_end(self, epoch, logs=None):
        self.save()

    def save(self):
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

    def position(self):
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
