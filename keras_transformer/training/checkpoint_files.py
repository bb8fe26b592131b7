"""Checkpoint files: written whole, read to go on from, and averaged."""

import dataclasses
import json
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_transformer.checks import refusal, require
from keras_transformer.files import written_whole
from keras_transformer.training.json_files import RunError
from keras_transformer.training.optimizers import LATER
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


History = dict[str, list[float]]


def state_of(model: keras.Model) -> dict[str, np.ndarray]:
    """A copy of everything that training goes on from: weights, random seeds and optimiser."""
    arrays = {name: keras.ops.convert_to_numpy(v) for name, v in _named_variables(model).items()}
    for name, array in arrays.items():
        if array.dtype.kind == "V":  # bfloat16, which npz would store as bytes without a type
            arrays[name] = array.astype("float32")
    return arrays


def write_checkpoint(
    path: Path, state: dict[str, np.ndarray], position: Position, history: History
) -> None:
    """Writes one `.npz` file, whole or not at all.

    Args:
        path: Where to write; an existing file is replaced once the new one is complete.
        state: Of `state_of`.
        position: `Position` to store with it.
        history: The logs of all epochs so far.
    """
    arrays = {
        "position": np.array(json.dumps(dataclasses.asdict(position))),
        "history": np.array(json.dumps(history)),
        **state,
    }
    with written_whole(path) as unfinished:
        np.savez(unfinished, allow_pickle=False, **arrays)


def save_checkpoint(path: Path, model: keras.Model, position: Position) -> None:
    """As `write_checkpoint`, of the state of a built and compiled Keras model.

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
    write_checkpoint(path, state_of(model), position, {})


def load_checkpoint(path: Path, model: keras.Model) -> Position:
    """Restores what `save_checkpoint` wrote into a built, compiled model of the same shape.

    Returns:
        The stored `Position`.

    Raises:
        RunError: If a variable of the model is not in the file or has another shape there.
    """
    with np.load(path) as file:
        for name, variable in _named_variables(model).items():
            if name not in file and variable.name in LATER:
                continue  # of a run that was begun with an earlier version
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


def read_history(path: Path) -> History:
    """The logs of all epochs before a checkpoint, which those of before do not have."""
    with np.load(path) as file:
        return json.loads(str(file["history"])) if "history" in file else {}


def is_whole(path: Path) -> bool:
    """Whether every part of a checkpoint has the checksum that it was written with.

    Example:

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "update-0000000007.npz"
    >>> write_checkpoint(path, {}, Position(), {})
    >>> is_whole(path)
    True
    >>> _ = path.write_bytes(path.read_bytes()[:-9])
    >>> is_whole(path)
    False
    """
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None and "position.npy" in file.namelist()
    except FileNotFoundError:
        raise
    except Exception:  # there is no end to what cut and flipped bits raise
        return False


def newest_checkpoint(run: Run) -> Path | None:
    """The newest whole checkpoint of a run, or None where there is no checkpoint at all.

    Names newer ones that are damaged in a warning.

    Raises:
        RunError: If all are damaged.
    """
    paths = run.checkpoints()
    for path in reversed(paths):
        if is_whole(path):
            return path
        warnings.warn(f"{path} is damaged: the checkpoint before it is used.", stacklevel=2)
    if paths:
        raise RunError(
            f"{run.folder}: all of its checkpoints are damaged; begin again with --overwrite in "
            "place of --resume."
        )
    return None


def average_checkpoints(
    run_or_paths: Run | Sequence[Path], model: keras.Model, last: int = 10
) -> list[Path]:
    """Sets the model's weights to the mean of its last checkpoints, summed in float64.

    Of a run, these are the ends of epochs, and the newest one; those that are damaged are named in
    a warning and left out. One weight is read at a time: the memory needed beside the model is that
    of its largest one. Vaswani et al. 2017, section 6.1, average the last 5 (base) and 20 (big)
    checkpoints.

    Args:
        run_or_paths: A `Run`, or a list of checkpoint paths, oldest first.
        model: Built Keras model of the shape that was trained.
        last: How many to average; fewer when there are fewer.

    Returns:
        The list of paths averaged.

    Raises:
        RunError: If there is no checkpoint, or one does not fit the model.
    """
    paths = _ends_of_epochs(run_or_paths) if isinstance(run_or_paths, Run) else [*run_or_paths]
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


def _ends_of_epochs(run):
    """The checkpoints to average, oldest first: whole ones, and the newest wherever it is."""
    paths = []
    newest = newest_checkpoint(run)
    for path in run.checkpoints():
        if newest is None or path > newest:
            break  # it is damaged, and named
        if not is_whole(path):
            warnings.warn(f"{path} is damaged: it is left out of the average.", stacklevel=3)
        elif path == newest or not read_position(path).batches:
            paths.append(path)
    return paths
