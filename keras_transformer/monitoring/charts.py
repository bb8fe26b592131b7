"""Training and validation of one quantity in one chart, under the tab Custom Scalars."""

import pathlib
import re
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from keras_transformer.monitoring.watcher import Watcher
from keras_transformer.monitoring.writer import Writer


class Charts(Watcher):
    """Lays out a chart for each quantity that `fit` measures in training and in validation.

    Args:
        log_dir: Folder of the run's logs, to which `TensorBoard` writes.

    Example:

    >>> import tempfile
    >>> log_dir = pathlib.Path(tempfile.mkdtemp())
    >>> Charts(log_dir).on_epoch_end(0, {"loss": 1.0, "val_loss": 2.0, "learning_rate": 0.1})
    >>> [path.name for path in log_dir.iterdir()]
    ['train']
    """

    def __init__(self, log_dir: str | pathlib.Path) -> None:
        super().__init__(log_dir)
        self.log_dir = log_dir
        self._names: list[str] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        names = [name for name in logs or {} if f"val_{name}" in logs]
        if names != self._names:
            self._names = names
            self.carefully(log_charts, self.log_dir, names)


def log_charts(log_dir: str | pathlib.Path, names: Iterable[str]) -> None:
    """Lays out a chart for each quantity that `TensorBoard` writes for training and validation.

    Args:
        log_dir: Folder of the run's logs; it is written to the run `train` there.
        names: Of the quantities, such as `["loss", "masked_accuracy"]`, in their order.

    Example:

    >>> import tempfile
    >>> log_dir = pathlib.Path(tempfile.mkdtemp())
    >>> log_charts(log_dir, ["loss"])
    >>> [path.name for path in log_dir.iterdir()]
    ['train']
    """
    from tensorboard.plugins.custom_scalar import layout_pb2, summary

    charts = [
        layout_pb2.Chart(
            title=name,
            multiline=layout_pb2.MultilineChartContent(tag=[f"^{re.escape(name)}$"]),
        )
        for name in names
    ]
    category = layout_pb2.Category(title="training and validation", chart=charts)
    layout = summary.pb(layout_pb2.Layout(category=[category])).SerializeToString()
    write = tf.summary.experimental.write_raw_pb
    Writer(pathlib.Path(log_dir) / "train").write(0, write, layout, 0)
