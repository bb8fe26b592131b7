"""Where events of TensorBoard are written."""

import pathlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import tensorflow as tf

from keras_transformer.checks import reason_of


def write_scalars(values: Mapping[str, float]) -> None:
    """Writes numbers as points of curves, by their names.

    Example:

    >>> import tempfile
    >>> Writer(tempfile.mkdtemp()).write(1, write_scalars, {"loss": 0.5})
    """
    for name, value in values.items():
        tf.summary.scalar(name, value)


class Writer:
    """Writes events to a folder, which is made once there is something to write.

    All writers of one folder write to one file: of two that are written in turn, TensorBoard reads
    the later one only. And few folders are enough: of more than 40 it shows none at first. If a
    folder cannot be written, one warning says so for all that are beside it.

    Args:
        folder: A run of TensorBoard's.

    Example:

    >>> import tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp()) / "train"
    >>> Writer(folder).write(1, tf.summary.scalar, "loss", 0.5)
    >>> Writer(folder).write(1, tf.summary.scalar, "accuracy", 0.5)
    >>> len(list(folder.iterdir()))
    1
    """

    _open: ClassVar[dict[pathlib.Path, tuple[pathlib.Path, Any]]] = {}  # files and their writers
    _warned: ClassVar[set[pathlib.Path]] = set()

    def __init__(self, folder: str | pathlib.Path) -> None:
        self.folder = pathlib.Path(folder).absolute()
        self._is_off = False

    def write(self, step: int, summary: Callable[..., Any], *args: Any) -> None:
        """Calls `summary(*args)` where the functions of `tf.summary` write to the folder."""
        if self._is_off:
            return
        try:
            writer = self._writer()
            with writer.as_default(step):
                summary(*args)
            writer.flush()
        except (OSError, tf.errors.OpError) as error:
            self._is_off = True
            if self.folder.parent not in self._warned:
                self._warned.add(self.folder.parent)
                said = f"{self.folder.parent} cannot be written: {reason_of(error)}"
                warnings.warn(f"{said}. TensorBoard will lack it, training goes on.", stacklevel=2)

    def _writer(self):
        file, writer = self._open.get(self.folder, (None, None))
        if file is None or not file.exists():  # or removed, as by a run that replaces another
            self.folder.mkdir(parents=True, exist_ok=True)
            before = set(self.folder.glob("events*"))
            writer = tf.summary.create_file_writer(str(self.folder))
            writer.flush()
            [file] = set(self.folder.glob("events*")) - before
            self._open[self.folder] = file, writer
        return writer
