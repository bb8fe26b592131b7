"""Lines to their labels, or to numbers."""

import json
from collections.abc import Sequence

import keras
import numpy as np

from keras_transformer.checks import require
from keras_transformer.tasks.task import Answers, Lines, Task, progress_bar
from keras_transformer.text import Tokenizer
from keras_transformer.zoo.checkpoint import CONFIG, ZooError, read_json
from keras_transformer.zoo.settings import labels_of


class TextClassifier(Task):
    """Names the class of texts, or gives them a number.

    Args:
        model: Encoder whose output is logits `(B, C)`, such as `models.sequence_classifier`. One
            logit is a number, of regression.
        tokenizer: Its `Tokenizer`.
        labels: Names of the C classes. Default `None`: `"LABEL_0"` and so on, and none for one
            logit.
        max_length: The most tokens of a line, special ones included. Default `None`: as many as the
            model reads.

    Call arguments:
        lines: A str, or a list of str.
        truncate: Whether of a line that is too long the beginning is classified. Default `False`:
            it is refused.
        progress: Whether to show on a terminal how far it is.

    Returns:
        The likeliest label and its probability, `(str, float)`, or a list of these in the order of
        the lines; without labels floats.

    Raises:
        ValueError: for labels that are not C different ones; for a line that is too long, by its
            number from 1.

    Example:

    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["a charming film", "a dull one"])
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=tokenizer.vocabulary_size, num_layers=1, num_heads=2, hidden_dim=8,
    ...     intermediate_dim=16, max_sequence_length=20)
    >>> model = kt.models.sequence_classifier(config, num_classes=2)
    >>> classify = TextClassifier(model, tokenizer, labels=["bad", "good"])
    >>> label, probability = classify("a charming film")
    >>> label in ("bad", "good"), probability >= 0.5
    (True, True)
    >>> classify.probabilities(["a film", "a dull film"]).shape
    (2, 2)
    """

    recipes = ("text_classification",)
    kinds = ("classifier",)

    def __init__(
        self,
        model: keras.Model,
        tokenizer: Tokenizer,
        labels: Sequence[str] | None = None,
        max_length: int | None = None,
    ) -> None:
        super().__init__(model, tokenizer, max_length)
        count = model.output_shape[-1]
        if labels is None and count > 1:
            labels = [f"LABEL_{i}" for i in range(count)]
        require(
            labels is None or len({*labels}) == len(labels) == count,
            f"{count} different labels",
            labels=labels,
        )
        self.labels = labels and list(labels)

    @classmethod
    def _settings_of_run(cls, run):
        config = run.config
        return {
            "labels": json.loads((run.folder / "classes.json").read_text(encoding="utf-8")),
            # A pretrained model may read fewer than were asked for.
            "max_length": min(run.settings["max_length"], config.max_sequence_length),
        }

    @classmethod
    def _settings_of_published(cls, folder):
        settings = read_json(folder / CONFIG)
        kind = settings.get("problem_type")
        require(
            kind != "multi_label_classification",
            "classes of which a text has one",
            where=str(folder),
            error=ZooError,
            problem_type=kind,
        )
        labels = labels_of(settings)
        return {"labels": labels if len(labels) > 1 else None}

    def __call__(self, lines: Lines, *, truncate: bool = False, progress: bool = False) -> Answers:
        if isinstance(lines, str):
            return self([lines], truncate=truncate)[0]
        logits = self._logits(lines, truncate, progress)
        if self.labels is None:
            return logits[:, 0].tolist()
        shares = _softmax(logits)
        best = shares.argmax(axis=-1)  # (B,)
        return [
            (self.labels[i], float(row[i])) for i, row in zip(best.tolist(), shares, strict=True)
        ]

    def probabilities(
        self, lines: Lines, *, truncate: bool = False, progress: bool = False
    ) -> np.ndarray:
        """The probability of each label.

        Returns:
            `(B, C)`, or `(C,)` of a str, float64 NumPy, in the order of `labels`.

        Raises:
            ValueError: as a call, and without labels.
        """
        require(self.labels is not None, "a model with labels for probabilities", labels=None)
        if isinstance(lines, str):
            return self.probabilities([lines], truncate=truncate)[0]
        return _softmax(self._logits(lines, truncate, progress))

    def _logits(self, lines, truncate, progress):
        """`(B, C)`."""
        rows = self._checked_rows(lines, truncate)
        found = np.zeros((len(rows), self.model.output_shape[-1]))
        with progress_bar(len(rows), progress) as advance:
            for places, batch in self._batches(rows, advance):
                found[places] = self._predict(batch)[: len(places)]
        return found


def _softmax(logits):
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True, initial=-np.inf))
    return shares / shares.sum(axis=-1, keepdims=True)
