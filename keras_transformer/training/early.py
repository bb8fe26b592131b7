"""Weights of early updates, at doubling distances, to look at how a model began to learn."""

import io
import re
import warnings
from pathlib import Path
from typing import Any

import keras

from keras_transformer.backend.training_state import take_back_state
from keras_transformer.checks import reason_of
from keras_transformer.files import write_whole
from keras_transformer.training.finite import all_finite
from keras_transformer.training.optimizers import batches_done, batches_per_update

FOLDER = "early"  # in that of a run
_NAME = re.compile(r"update_(\d{8,})\.weights\.h5")


class EarlyCheckpoints(keras.callbacks.Callback):
    """Saves a model's weights after updates 0 (before training), 1, 2, 4, 8, 16, and so on.

    They are to look at, by `early_checkpoints`: training goes on from none of them, and no average
    has them in it. Twelve files are those of a thousand updates. `model.load_weights` reads each.

    Updates are counted as the optimiser counts them: of several batches that accumulate, one. Where
    a power of two is jumped over, as by `steps_per_execution`, or its weights are not finite, the
    next chance before the double of it is taken, and the file has the number that is true.

    A file that is there is left as it is, so that a training that was interrupted, or killed, and
    resumed ends with the files of one that was not; another training needs another folder. If the
    files cannot be written, one warning says so, and training goes on without.

    Args:
        folder: Path of the run's folder, or of any other; the files are in `early` inside it.

    Example:

    >>> import tempfile
    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> x, y = np.ones((12, 2)), np.ones((12, 1))
    >>> early = EarlyCheckpoints(tempfile.mkdtemp())
    >>> _ = model.fit(x, y, batch_size=1, verbose=0, callbacks=[early])
    >>> [path.name for path in sorted(early.folder.iterdir())][:2]
    ['update_00000000.weights.h5', 'update_00000001.weights.h5']
    >>> [updates for updates, _ in early_checkpoints(early.folder.parent)]
    [0, 1, 2, 4, 8]
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder = Path(folder) / FOLDER
        self._is_off = False

    def on_train_begin(self, logs: Any = None) -> None:
        saved = early_checkpoints(self.folder.parent)
        # From a power of two to the next, updates have one number of bits.
        self._saved = {updates.bit_length() for updates, _ in saved}

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._batches = batches_done(self.model.optimizer)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        # And not at a batch's end, for which Keras would wait, each time.
        self._look((self._batches + batch) // batches_per_update(self.model.optimizer))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._look(int(self.model.optimizer.iterations))

    def _look(self, updates):
        if self._is_off or updates.bit_length() in self._saved or not self.model.built:
            return
        take_back_state(self.model)
        if not all_finite(self.model.variables):
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"update_{updates:08d}.weights.h5"
            write_whole(path, _weights_file(self.model))
            self._saved.add(updates.bit_length())
        except OSError as error:
            self._is_off = True
            said = f"{self.folder} cannot be written: {reason_of(error)}"
            warnings.warn(f"{said}. It will lack weights, training goes on.", stacklevel=2)


class _Memory(io.BytesIO):
    """A file in memory, under a name that Keras takes for one of weights."""

    def __str__(self):
        return "memory.weights.h5"


def _weights_file(model):
    """What `save_weights` writes, as bytes, and without the optimiser.

    HDF5 would leave a file open that a full disk has cut, and complain of it later once more.
    """
    memory = _Memory()
    keras.saving.save_weights(model, memory, objects_to_skip=[model.optimizer])
    return memory.getvalue()


def early_checkpoints(run_folder: str | Path) -> list[tuple[int, Path]]:
    """The weights that `EarlyCheckpoints` has saved, or a run with `--keep-checkpoints early`.

    Args:
        run_folder: Path of the run's folder.

    Returns:
        A list of `(updates, path)`: after how many updates, and the file, which
        `model.load_weights(path)` reads. The first comes first; the list is empty where there are
        none.

    Example:

    >>> import tempfile
    >>> early_checkpoints(tempfile.mkdtemp())
    []
    """
    paths = (Path(run_folder) / FOLDER).glob("update_*.weights.h5")
    found = ((_NAME.fullmatch(path.name), path) for path in paths)
    return sorted((int(match[1]), path) for match, path in found if match)
