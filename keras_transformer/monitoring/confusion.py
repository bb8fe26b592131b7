"""What a classifier mistakes for what: a picture, printed or in TensorBoard."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from keras_transformer.monitoring.reports import (
    Numbers,
    answers,
    classification_report,
    confusion_matrix,
)
from keras_transformer.monitoring.writer import Writer


def show_confusion(
    model: keras.Model, batches: Any, classes: Sequence[str], path: str | pathlib.Path
) -> None:
    """Prints a classifier's figures on labelled batches and what it mistakes for what.

    Args:
        model: As of `answers`.
        batches: As of `answers`.
        classes: Names of the classes; of more than 20 only the picture shows the counts.
        path: Where `plot_confusion` is saved, as PNG.
    """
    truth, predicted = answers(model, batches)
    matrix = confusion_matrix(truth, predicted, len(classes))
    names = list(map(escape, classes))
    table = Table("class", "precision", "recall", "f1", "support", title="Test text")
    figures = classification_report(truth, predicted, classes)["per_class"].values()
    for name, row in zip(names, figures, strict=True):
        *shares, support = row.values()
        table.add_row(name, *(f"{100 * share:.1f}" for share in shares), f"{support:,}")
    Console().print(table)
    if len(names) <= 20:
        table = Table("truth \\ model", *names, title="Confusion matrix")
        for name, counts in zip(names, matrix, strict=True):
            table.add_row(name, *(f"{count:,}" for count in counts))
        Console().print(table)
    keras.utils.save_img(path, plot_confusion(matrix, classes), scale=False)


def plot_confusion(matrix: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """Draws a confusion matrix: counts, and shares of their row, which also give the shade.

    Args:
        matrix: int array `(C, C)`, as from `confusion_matrix`.
        class_names: List of C str.

    Returns:
        uint8 array `(H, W, 3)`. Cells have text up to 20 classes and are shades alone beyond.

    Example:

    >>> plot_confusion(np.array([[8, 2], [1, 9]]), ["no", "yes"]).shape[2]
    3
    """
    # Without pyplot, whose figures stay until they are closed and whose backend is the user's.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    matrix = np.asarray(matrix)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    count = len(class_names)
    side = max(2.0, 0.6 * min(count, 20))  # inches of the cells
    figure = Figure(figsize=(side + 2, side + 2), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [_short(name) for name in class_names]
    # parse_math: a class may be called "$5".
    axes.set_xticks(range(count), names, rotation=0 if count < 4 else 90, parse_math=False)
    axes.set_yticks(range(count), names, parse_math=False)
    axes.set_xlabel("model")
    axes.set_ylabel("truth")
    for (row, column), number in np.ndenumerate(matrix if count <= 20 else np.zeros((0, 0))):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{number:,}\n{100 * share:.0f} %" if number else "0",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if share > 0.5 else "black",
        )
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _short(name, most=16):
    name = " ".join(str(name).split())
    return name if len(name) <= most else name[: most - 1] + "…"


class ConfusionMatrix(keras.callbacks.Callback):
    """Draws the confusion matrix after an epoch, under the TensorBoard tab Images.

    Adds `val_macro_f1` to the logs, so callbacks that come after have it. The picture is written
    to the run `samples`.

    Args:
        log_dir: Folder of the run's logs.
        class_names: List of str.
        answers: Function without arguments to `(truth, predicted)`, int arrays `(texts,)`: the
            classes of the validation texts, and those that the model gives them now.

    Example:

    >>> import tempfile
    >>> log_dir, logs = tempfile.mkdtemp(), {}
    >>> confusion = ConfusionMatrix(log_dir, ["no", "yes"], lambda: ([0, 1], [0, 1]))
    >>> confusion.set_model(keras.Sequential())
    >>> confusion.model.compile("sgd")
    >>> confusion.on_epoch_end(0, logs)
    >>> logs, [path.name for path in pathlib.Path(log_dir).iterdir()]
    ({'val_macro_f1': 1.0}, ['samples'])
    """

    def __init__(
        self,
        log_dir: str | pathlib.Path,
        class_names: Sequence[str],
        answers: Callable[[], tuple[Numbers, Numbers]],
    ) -> None:
        super().__init__()
        self.writer = Writer(pathlib.Path(log_dir) / "samples")
        self.class_names = list(class_names)
        self.answers = answers

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        truth, predicted = self.answers()
        logs["val_macro_f1"] = classification_report(truth, predicted, self.class_names)["macro_f1"]
        matrix = confusion_matrix(truth, predicted, len(self.class_names))
        picture = plot_confusion(matrix, self.class_names)[None]
        updates = int(self.model.optimizer.iterations)
        self.writer.write(updates, tf.summary.image, "confusion_matrix", picture)
