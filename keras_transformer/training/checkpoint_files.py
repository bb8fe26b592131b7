"""Checkpoint files: written whole, read to go on from, and averaged."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_transformer.checks import refusal, require
from keras_transformer.files import written_whole
from keras_transformer.training.json_files import RunError
from keras_transformer.training.optimizers import ACCUMULATED_WEIGHT
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
    expected, found = tuple(variable.shape), None
    if name in file:
        array = file[name]
        if array.shape == expected:
            return array
        found = array.shape
    sentence = f"a checkpoint of this model, with {variable.path} of shape {expected}"
    raise refusal(sentence, where=str(path), error=RunError, shape=found)


def save_checkpoint(path: Path, model: keras.Model, position: Position) -> None:
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
    with written_whole(path) as unfinished:
        np.savez(unfinished, position=json.dumps(dataclasses.asdict(position)), **arrays)


def load_checkpoint(path: Path, model: keras.Model) -> Position:
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


def read_position(path: Path) -> Position:
    """The `Position` that a checkpoint was written at.

    Args:
        path: The file; no more than this is read of it.

    Example: see `save_checkpoint`.
    """
    with np.load(path) as file:
        return Position(**json.loads(str(file["position"])))


def average_checkpoints(
    run_or_paths: Run | Sequence[Path], model: keras.Model, last: int = 10
) -> list[Path]:
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
    require(paths, "a checkpoint to average", run_or_paths=run_or_paths, error=RunError)
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
