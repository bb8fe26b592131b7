"""Lines with masked tokens to the likeliest whole lines."""

from typing import Any

import keras
import numpy as np

from keras_transformer.checks import require
from keras_transformer.tasks.task import Answers, Lines, Task, progress_bar
from keras_transformer.text import Tokenizer

MASK = "[MASK]"  # how it is written in a line, whatever the tokenizer calls it


class MaskFiller(Task):
    """Guesses the `[MASK]`s of texts.

    Args:
        model: Masked language model, such as `models.masked_language_model`, whose first output is
            logits at its input `masked_positions`.
        tokenizer: Its `Tokenizer`, with a mask token.
        max_length: The most tokens of a line, special ones included. Default `None`: as many as the
            model reads.

    Call arguments:
        lines: A str, or a list of str, with one or more `[MASK]`s, each in the place of a token.
        n: The most answers to a line.
        truncate: Whether of a line that is too long the beginning is filled. Default `False`: it is
            refused.
        progress: Whether to show on a terminal how far it is.

    Returns:
        A list of `(text, probability)`, best first, or a list of these in the order of the lines.
        Each mask is guessed on its own: the probability is the product of theirs.

    Raises:
        ValueError: for a tokenizer without a mask token; by its number from 1, for a line that is
            too long or has no `[MASK]`.

    Example:

    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("whitespace", ["I must go ."], mask=True)
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=tokenizer.vocabulary_size, num_layers=1, num_heads=2, hidden_dim=8,
    ...     intermediate_dim=16, max_sequence_length=20)
    >>> fill = MaskFiller(kt.models.masked_language_model(config), tokenizer)
    >>> [(best, probability), (second, lower)] = fill("I [MASK] go .", n=2)
    >>> best.startswith("I "), probability >= lower
    (True, True)
    >>> [first, second] = fill.candidates("I [MASK] [MASK] .", n=3)
    >>> len(first), {word for word, probability in first} <= {"I", "must", "go", "."}
    (3, True)
    """

    recipes = ("masked_lm",)
    kinds = ("masked", "pairs")

    def __init__(
        self, model: keras.Model, tokenizer: Tokenizer, max_length: int | None = None
    ) -> None:
        super().__init__(model, tokenizer, max_length)
        require(tokenizer.mask_id is not None, "a tokenizer with a mask token", mask_id=None)

    @classmethod
    def _settings_of_run(cls, run):
        return {"max_length": run.settings["row_length"]}

    def __call__(
        self, lines: Lines, n: int = 5, *, truncate: bool = False, progress: bool = False
    ) -> Answers:
        if isinstance(lines, str):
            return self([lines], n, truncate=truncate)[0]
        rows = self._checked_rows(lines, truncate)
        guesses = self._guesses(rows, n, progress)
        return [self._whole(row, own, n) for row, own in zip(rows, guesses, strict=True)]

    def inputs(self, example: Any) -> list[np.ndarray]:
        """As of `Task`: the ids, and the positions of the masks, or of all tokens without one."""
        ids, *others = super().inputs(example)
        positions = np.flatnonzero(ids == self.tokenizer.mask_id).astype("int32")
        if not len(positions):
            positions = np.arange(len(ids), dtype="int32")
        names = [tensor.name for tensor in self.model.inputs[1:]]
        pairs = zip(names, others, strict=True)
        return [ids, *(positions if name == "masked_positions" else row for name, row in pairs)]

    def candidates(
        self, lines: Lines, n: int = 5, *, truncate: bool = False, progress: bool = False
    ) -> Answers:
        """The likeliest tokens in the place of each mask.

        Returns:
            For a str a list with, for each mask, a list of `n` `(token's text, probability)`, best
            first; a list of these of a list.
        """
        if isinstance(lines, str):
            return self.candidates([lines], n, truncate=truncate)[0]
        found = self._guesses(self._checked_rows(lines, truncate), n, progress)
        return [
            [[(self.tokenizer.decode([[i]])[0], p) for i, p in best] for best in row]
            for row in found
        ]

    def _encode(self, lines):
        if self.tokenizer.kind == "published":  # the space is part of the masked token
            lines = [line.replace(f" {MASK}", MASK) for line in lines]
        parts = [line.split(MASK) for line in lines]
        ids = iter(super()._encode([text for texts in parts for text in texts]))
        rows = []
        for texts in parts:
            row = next(ids)
            for _ in texts[1:]:
                row = [*row, self.tokenizer.mask_id, *next(ids)]
            rows.append(row)
        return rows

    def _problem(self, line, row):
        if self.tokenizer.mask_id not in row:
            return f"no {MASK} in it"
        return super()._problem(line, row)

    def _guesses(self, rows, n, progress):
        """For every row, for each of its masks, the best `(id, probability)`, best first."""
        require(n > 0, "n to be positive", n=n)
        found = [None] * len(rows)
        with progress_bar(len(rows), progress) as advance:
            for places, batch in self._batches(rows, advance):
                masks = [np.flatnonzero(row == self.tokenizer.mask_id) for row in batch]
                most = 2 ** max(len(own) - 1 for own in masks).bit_length()  # few shapes
                positions = np.array([np.resize([*own, *[0] * most], most) for own in masks])
                logits = self._predict(batch, masked_positions=positions.astype("int32"))
                logits[..., self.tokenizer.special_ids] = -np.inf
                logits[..., self.tokenizer.vocabulary_size :] = -np.inf  # only fills up a table
                for i, own, scores in zip(places, masks, logits, strict=False):
                    found[i] = [_best(score, n) for score in scores[: len(own)]]
        return found

    def _whole(self, row, guesses, n):
        """The `n` likeliest `(text, probability)` of a row."""
        combinations = [(1.0, ())]
        for choices in guesses:
            longer = [(p * q, (*chosen, i)) for p, chosen in combinations for i, q in choices]
            combinations = sorted(longer, reverse=True)[:n]
        filled = []
        for _, chosen in combinations:
            chosen = iter(chosen)
            filled.append([next(chosen) if i == self.tokenizer.mask_id else i for i in row])
        probabilities = [probability for probability, _ in combinations]
        return [*zip(self.tokenizer.decode(filled), probabilities, strict=True)]


def _best(logits, n):
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    best = np.argsort(-probabilities)[:n]
    return [(int(i), float(probabilities[i])) for i in best if probabilities[i]]
