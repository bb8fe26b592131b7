"""Batches of labelled texts, for a classifier."""

from collections.abc import Iterator, Sequence

import numpy as np

from keras_transformer.checks import check_at_least, require
from keras_transformer.data.epochs import EpochBatches
from keras_transformer.data.rows import Rows
from keras_transformer.data.shapes import plan_cells
from keras_transformer.types import Ids


class LabelledBatches(EpochBatches):
    """Batches of texts and their labels: rows of similar length, in a bounded set of shapes.

    A batch is `({"token_ids": (B,T)}, labels (B,))`, int32 but for labels that are
    numbers, float32: each row is `start_id`, the text's tokens and `end_id`, padded with `pad_id`.
    With `segments` there is also `segment_ids (B,T)`, all 0. All batches have `batch_size` rows but
    the one with what is left, which is as large in every epoch. Each text comes exactly once an
    epoch, and what an epoch looks like depends on `seed` and its number alone.

    Args:
        texts: Sequence of sequences of ids, without special tokens; any may be empty.
        labels: Sequence of int, the class of each text, or of float, the number to learn.
        batch_size: Rows of a batch, B.
        max_length: Most tokens of a row, special ones included; the rest of a text is cut off.
        start_id, end_id, pad_id: The special tokens' ids.
        segments: Whether the model has BERT's second input.
        shuffle: Default `True`. `False`, for validation, keeps one order, shortest first.
        seed: Non-negative int.
        max_shapes: Most batch shapes, at least 2.

    Attributes:
        num_texts: Texts in an epoch.
        num_cut: Texts that were longer than a row.
        num_batches: Batches in an epoch.
        tokens: Real positions in an epoch, special tokens included.
        padding_fraction: Share of an epoch's positions that are padding.
        shapes: List of (B, T).

    Raises:
        ValueError: no texts, not as many labels, or no room for a token in a row.

    Example:

    >>> batches = LabelledBatches(
    ...     [[5, 6, 7, 8], [9]], [1, 0], batch_size=2, max_length=5, start_id=2, end_id=3)
    >>> for inputs, labels in batches.epoch(0):
    ...     print(sorted(zip(labels.tolist(), inputs["token_ids"].tolist())))
    [(0, [2, 9, 3, 0, 0]), (1, [2, 5, 6, 7, 3])]
    >>> print(batches.describe())
    2 texts (1 cut to 5 tokens), 8 tokens in 1 batches of 1 shapes, 20.0 % padding
    """

    def __init__(
        self,
        texts: Sequence[Ids],
        labels: Sequence[float],
        *,
        batch_size: int,
        max_length: int,
        start_id: int,
        end_id: int,
        pad_id: int = 0,
        segments: bool = False,
        shuffle: bool = True,
        seed: int = 0,
        max_shapes: int = 8,
    ):
        require(
            0 < len(texts) == len(labels),
            "texts and as many labels",
            f"len(texts)={len(texts)}, len(labels)={len(labels)}",
        )
        check_at_least(3, max_length=max_length)
        check_at_least(1, batch_size=batch_size)
        self.max_length, self.pad_id = max_length, pad_id
        self.segments, self.shuffle, self.seed = segments, shuffle, seed
        room = max_length - 2
        self.num_texts = len(texts)
        self.num_cut = sum(len(text) > room for text in texts)
        self._rows = Rows([text[:room] for text in texts], before=start_id, after=end_id)
        values = np.array(labels)
        self._labels = values.astype("float32" if values.dtype.kind == "f" else "int32")
        lengths = self._rows.lengths[:-1]  # the last row is the empty one
        # Of the plan only the widths are used: a batch has so many rows, not so many tokens.
        # One shape less, for the batch with what is left.
        cells = plan_cells(lengths[:, None], batch_size * lengths.max(), max_shapes - 1)
        widths = np.array([cell.widths[0] for cell in cells])
        self._width_of_row = widths[np.searchsorted(widths, lengths)]
        # Cut in the order of their widths, batches have the same widths whatever the epoch.
        self._cuts = np.arange(0, self.num_texts, batch_size)
        ends = np.append(self._cuts[1:], self.num_texts)
        self._batch_widths = np.sort(self._width_of_row)[ends - 1]
        sizes = zip((ends - self._cuts).tolist(), self._batch_widths.tolist(), strict=True)
        self.shapes = sorted(set(sizes))
        self.num_batches = len(ends)
        self.tokens = int(lengths.sum())
        positions = int(((ends - self._cuts) * self._batch_widths).sum())
        self.padding_fraction = 1 - self.tokens / positions

    def describe(self) -> str:
        """Returns one line of text: texts, tokens, batches, shapes and padding."""
        return (
            f"{self.num_texts:,} texts ({self.num_cut:,} cut to {self.max_length:,} tokens), "
            f"{self.tokens:,} tokens in {self.num_batches:,} batches of {len(self.shapes)} shapes, "
            f"{100 * self.padding_fraction:.1f} % padding"
        )

    def epoch(self, number: int) -> Iterator[tuple]:
        """Yields the batches of one epoch as NumPy arrays; see the class for their form.

        Args:
            number: Which epoch, from 0.
        """
        rng = np.random.default_rng((self.seed, number))
        order = rng.permutation(self.num_texts) if self.shuffle else np.arange(self.num_texts)
        order = order[np.argsort(self._width_of_row[order], kind="stable")]
        batches = np.split(order, self._cuts[1:])
        for i in rng.permutation(len(batches)) if self.shuffle else range(len(batches)):
            rows = batches[i]
            token_ids = self._rows.padded(rows, self._batch_widths[i], self.pad_id)  # (B, T)
            inputs = {"token_ids": token_ids}
            if self.segments:
                inputs["segment_ids"] = np.zeros_like(token_ids)
            yield inputs, self._labels[rows]  # (B,)
