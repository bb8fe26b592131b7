"""How good a classifier is, in figures."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_transformer.checks import refusal, require

Numbers = Sequence[float] | np.ndarray


def answers(model: keras.Model, batches: Any) -> tuple[np.ndarray, np.ndarray]:
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
    truth, predicted = zip(*found, strict=True)
    return np.concatenate(truth), np.concatenate(predicted)


def regression_report(truth: Numbers, predicted: Numbers) -> dict[str, float]:
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
        received = "others, for training diverged; a lower peak learning rate may help"
        raise refusal("finite numbers of the model", received)
    difference = np.subtract(predicted, truth, dtype="float64")
    return {"mse": float(np.mean(difference**2)), "mae": float(np.mean(np.abs(difference)))}


def confusion_matrix(truth: Numbers, predicted: Numbers, num_classes: int) -> np.ndarray:
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
    require(
        both.size and both.min() >= 0 and both.max() < num_classes,
        f"as many predictions as texts, at least one, and classes below {num_classes}",
        f"len(truth)={len(truth)}, len(predicted)={len(predicted)}",
    )
    matrix = np.zeros((num_classes, num_classes), int)
    np.add.at(matrix, tuple(both), 1)
    return matrix


def classification_report(
    truth: Numbers, predicted: Numbers, class_names: Sequence[str]
) -> dict[str, Any]:
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


def report(
    model: keras.Model, batches: Any, classes: Sequence[str] | None = None
) -> dict[str, Any]:
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
