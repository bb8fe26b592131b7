"""What a classifier mistakes for what: figures, a picture, and both in TensorBoard."""

import pathlib

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def answers(model, batches):
    """The right class, or number, of every text, and the one that a classifier gives it.

    Args:
        model: Keras model with logits `(B, C)`; of regression with one output, a number.
        batches: `data.LabelledBatches`, made with `shuffle=False`.

    Returns:
        `(truth, predicted)`, two arrays `(texts,)`: int classes, or float numbers.
    """
    found = []
    for inputs, labels in batches.epoch(0):
        logits = model.predict_on_batch(inputs)  # (B, C)
        is_number = logits.shape[-1] == 1
        found.append((labels, logits[:, 0] if is_number else np.argmax(logits, axis=-1)))
    return tuple(map(np.concatenate, zip(*found, strict=True)))


def regression_report(truth, predicted):
    """The mean squared error of numbers, and the mean absolute one.

    Args:
        truth: float array `(texts,)`, the right numbers.
        predicted: float array `(texts,)`, the model's.

    Raises:
        ValueError: If the model's are not finite.

    Example:

    >>> regression_report([1.0, 2.0], [1.0, 4.0])
    {'mse': 2.0, 'mae': 1.0}
    """
    if not np.isfinite(predicted).all():
        raise ValueError(
            "Expected finite numbers of the model. Received: others, for training diverged; "
            "a lower peak learning rate may help"
        )
    difference = np.subtract(predicted, truth, dtype="float64")
    return {"mse": float(np.mean(difference**2)), "mae": float(np.mean(np.abs(difference)))}


def confusion_matrix(truth, predicted, num_classes):
    """Counts the texts of each class, by the class they were given.

    Args:
        truth: int array `(texts,)`, the right classes.
        predicted: int array `(texts,)`, the model's.
        num_classes: int, C.

    Returns:
        int array `(C, C)`: a row is a right class, a column one that was given.

    Raises:
        ValueError: no texts, not as many of both, or a class outside `0 .. C - 1`.

    Example:

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], num_classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    both = np.array([truth, predicted]) if len(truth) == len(predicted) else np.zeros(0)
    if not both.size or both.min() < 0 or both.max() >= num_classes:
        raise ValueError(
            f"Expected as many predictions as texts, at least one, and classes below {num_classes}."
            f" Received: len(truth)={len(truth)}, len(predicted)={len(predicted)}"
        )
    matrix = np.zeros((num_classes, num_classes), int)
    np.add.at(matrix, tuple(both), 1)
    return matrix


def classification_report(truth, predicted, class_names):
    """The usual figures of a classifier.

    Args:
        truth: int array `(texts,)`, the right classes.
        predicted: int array `(texts,)`, the model's.
        class_names: List of str.

    Returns:
        A dictionary with `accuracy`; `macro_f1`, the plain mean of F1 over the classes that occur
        in `truth` or `predicted`; and `per_class`, for each name a dictionary with `precision`,
        `recall`, `f1` (0 where they have no value) and `support`, the texts of the class.

    Raises:
        ValueError: as `confusion_matrix`.

    Reference:
        Van Rijsbergen 1979, "Information Retrieval", chapter 7, for F1.

    Example:

    >>> report = classification_report([0, 0, 1, 1], [0, 1, 1, 1], ["no", "yes"])
    >>> report["accuracy"], round(report["macro_f1"], 3)
    (0.75, 0.733)
    >>> report["per_class"]["no"]["recall"], report["per_class"]["no"]["support"]
    (0.5, 2)
    """
    matrix = confusion_matrix(truth, predicted, len(class_names))
    right, support, given = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    figures = {
        "precision": right / np.maximum(given, 1),
        "recall": right / np.maximum(support, 1),
        "f1": 2 * right / np.maximum(support + given, 1),
        "support": support,
    }
    rows = zip(*(values.tolist() for values in figures.values()), strict=True)
    return {
        "accuracy": float(right.sum() / matrix.sum()),
        "macro_f1": float(figures["f1"][support + given > 0].mean()),
        "per_class": {
            name: dict(zip(figures, row, strict=True))
            for name, row in zip(class_names, rows, strict=True)
        },
    }


def report(model, batches, classes=None):
    """The figures of a classifier on labelled batches, or without classes those of its numbers.

    Args:
        model: As of `answers`.
        batches: As of `answers`.
        classes: Names of the classes.

    Returns:
        A dict, as of `classification_report` or `regression_report`.
    """
    truth, predicted = answers(model, batches)
    if classes is None:
        return regression_report(truth, predicted)
    return classification_report(truth, predicted, classes)


def show_confusion(model, batches, classes, path):
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


def plot_confusion(matrix, class_names):
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

    def __init__(self, log_dir, class_names, answers):
        super().__init__()
        self.folder = pathlib.Path(log_dir) / "samples"
        self.class_names = list(class_names)
        self.answers = answers
        self._writer = None

    def on_epoch_end(self, epoch, logs=None):
        truth, predicted = self.answers()
        logs["val_macro_f1"] = classification_report(truth, predicted, self.class_names)["macro_f1"]
        matrix = confusion_matrix(truth, predicted, len(self.class_names))
        self._writer = self._writer or tf.summary.create_file_writer(str(self.folder))
        with self._writer.as_default(int(self.model.optimizer.iterations)):
            tf.summary.image("confusion_matrix", plot_confusion(matrix, self.class_names)[None])
        self._writer.flush()
