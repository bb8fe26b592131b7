"""Tables to read in TensorBoard."""

import difflib
import html
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_transformer.monitoring.writer import Writer


class SampleTable(keras.callbacks.Callback):
    """Writes a table to read after an epoch, under the TensorBoard tab Text, in the run `samples`.

    What the last column says otherwise than after the epoch before is in bold.

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
        self.writer = Writer(pathlib.Path(log_dir) / "samples")
        self.titles = titles
        self.rows = rows
        self._before: list[Sequence[str]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        rows = list(self.rows())
        updates, shown = (
            int(self.model.optimizer.iterations),
            table(self.titles, rows, self._before),
        )
        self.writer.write(updates, tf.summary.text, "samples", shown)
        self._before = rows


def table(
    titles: Sequence[str],
    rows: Iterable[Sequence[str]],
    before: Sequence[Sequence[str]] = (),
) -> str:
    """A Markdown table that shows any text as it is.

    Args:
        titles: The columns.
        rows: Their texts.
        before: The rows of an earlier table: what is new in the last column is in bold, and its
            title says how many rows are others.

    Example:

    >>> print(table(["source", "output"], [["a | b", "<unk>"]]))
    | source | output |
    | --- | --- |
    | a &#124; b | &lt;unk&gt; |
    >>> print(table(["source", "output"], [["a", "one cat"]], before=[["a", "one dog"]]))
    | source | output (1 of 1 changed) |
    | --- | --- |
    | a | one **cat** |
    """
    rows, titles = [list(row) for row in rows], list(titles)
    lines = [[_plain(text) for text in row] for row in rows]
    if len(before) == len(rows):
        changed = 0
        for line, row, old in zip(lines, rows, before, strict=True):
            changed += row[-1] != old[-1]
            line[-1] = _with_changes(old[-1].split(), row[-1].split())
        titles[-1] += f" ({changed} of {len(rows)} changed)"
    lines = [titles, ["---"] * len(titles), *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _with_changes(old, new):
    """Words, those that were not there before in bold."""
    shown = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, _, _, first, last in matcher.get_opcodes():
        text = _plain(" ".join(new[first:last]))
        shown.append(text if kind == "equal" or not text else f"**{text}**")
    return " ".join(filter(None, shown))


def _plain(text):
    text = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"&#{ord(c)};" if c in r"|\`*_[]" else c for c in text)
