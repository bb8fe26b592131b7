"""Where events of TensorBoard are written."""

import pathlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import tensorflow as tf

from keras_transformer.checks import one_line


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

    There is one a folder: of two files that are written in turn in one folder, TensorBoard reads
    the later one only. If it cannot be written, one warning says so for all that are beside it.

    Args:
        folder: A run of TensorBoard's.

    Example:

    >>> import tempfile
    >>> writer = Writer(pathlib.Path(tempfile.mkdtemp()) / "train")
    >>> writer.write(1, tf.summary.scalar, "loss", 0.5)
    >>> len(list(writer.folder.iterdir()))
    1
    """

    _warned: ClassVar[set[pathlib.Path]] = set()

    def __init__(self, folder: str | pathlib.Path) -> None:
        self.folder = pathlib.Path(folder)
        self._writer: Any = None
        self._is_off = False

    def write(self, step: int, summary: Callable[..., Any], *args: Any) -> None:
        """Calls `summary(*args)` where the functions of `tf.summary` write to the folder."""
        if self._is_off:
            return
        try:
            if self._writer is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._writer = tf.summary.create_file_writer(str(self.folder))
            with self._writer.as_default(step):
                summary(*args)
            self._writer.flush()
        except (OSError, tf.errors.OpError) as error:
            self._is_off = True
            if self.folder.parent not in self._warned:
                self._warned.add(self.folder.parent)
                said = f"{self.folder.parent} cannot be written: {one_line(error)}"
                warnings.warn(f"{said}. TensorBoard will lack it, training goes on.", stacklevel=2)
