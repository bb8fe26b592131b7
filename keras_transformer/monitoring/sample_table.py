"""Tables to read in TensorBoard."""

import html
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf


class SampleTable(keras.callbacks.Callback):
    """Writes a table to read after an epoch, under the TensorBoard tab Text, in the run `samples`.

    Args:
        log_dir: Folder of the run's logs.
        titles: List of str, the columns.
        rows: Function without arguments to the rows, each a sequence of str.

    Example:

    >>> import tempfile
    >>> log_dir = tempfile.mkdtemp()
    >>> samples = SampleTable(log_dir, ["word", "guess"], lambda: [("cat", "dog")])
    >>> samples.set_model(keras.Sequential())
    >>> samples.model.compile("sgd")
    >>> samples.on_epoch_end(0, {})
    >>> [path.name for path in pathlib.Path(log_dir).iterdir()]
    ['samples']
    """

    def __init__(
        self,
        log_dir: str | pathlib.Path,
        titles: Sequence[str],
        rows: Callable[[], Iterable[Sequence[str]]],
    ) -> None:
        super().__init__()
        self.folder = pathlib.Path(log_dir) / "samples"
        self.titles = titles
        self.rows = rows
        self._writer: Any = None  # until there is something to write

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._writer = self._writer or tf.summary.create_file_writer(str(self.folder))
        with self._writer.as_default(int(self.model.optimizer.iterations)):
            tf.summary.text("samples", table(self.titles, self.rows()))
        self._writer.flush()


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table that shows any text as it is.

    Example:

    >>> print(table(["source", "output"], [["a | b", "<unk>"]]))
    | source | output |
    | --- | --- |
    | a &#124; b | &lt;unk&gt; |
    """
    lines = [titles, ["---"] * len(titles), *([*map(_plain, row)] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text):
    text = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"&#{ord(c)};" if c in r"|\`*_[]" else c for c in text)
