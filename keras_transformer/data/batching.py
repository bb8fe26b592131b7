"""Batches by token budget, in a bounded set of shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transformer.checks import require
from keras_transformer.data.epochs import EpochBatches
from keras_transformer.data.rows import Rows
from keras_transformer.data.shapes import plan_cells, round_rows, round_up
from keras_transformer.types import Ids

if TYPE_CHECKING:
    from keras_transformer.text import Tokenizer


class PairBatches(EpochBatches):
    """Batches of source and target sentences for an encoder-decoder, by token budget.

    A batch is `({"source_ids": (B,S), "target_ids": (B,T)}, labels (B,T))`, int32: the source with
    `end_id` after it, the target with `start_id` before it, and what to predict at each target
    position, the target with `end_id` after it. All are padded with `pad_id`. Neither `B * S` nor
    `B * T` exceeds `batch_tokens`. The shapes (B, S, T) are at most `max_shapes`, the same in every
    epoch; to keep them so, a batch may hold a few rows of padding only. Each pair comes exactly
    once an epoch, and the order of an epoch depends on `seed` and the epoch's number alone.

    Args:
        source: Sequence of sequences of ids, without special tokens.
        target: The same, of the same length.
        batch_tokens: Most source and most target positions of a batch, padding included.
        start_id, end_id, pad_id: The special tokens' ids.
        max_length: Most positions of a source or a target, the added token included; pairs longer
            than that, or than `batch_tokens`, are left out. Default `None`: `batch_tokens` alone.
        shuffle: Default `True`. `False`, for validation, keeps one order, shortest first.
        seed: Non-negative int.
        max_shapes: Most batch shapes.

    Attributes:
        num_pairs: Pairs in an epoch.
        dropped_long, dropped_empty: Pairs left out: too long; nothing on one of the sides.
        num_batches: Batches in an epoch.
        target_tokens: Real target positions in an epoch, end tokens included.
        padding_fraction: Share of an epoch's positions (source and target) that are padding.
        shapes: List of (B, S, T).

    Raises:
        ValueError: `source` and `target` differ in length, or no pair is left.

    Example:

    >>> batches = PairBatches([[5], [6, 7]], [[8, 9], [8]], batch_tokens=6, start_id=2, end_id=3)
    >>> inputs, labels = next(batches.epoch(0))
    >>> inputs["source_ids"].shape, inputs["target_ids"].shape, labels.shape
    ((2, 3), (2, 3), (2, 3))
    >>> print(batches.describe())
    2 pairs (dropped: 0 too long, 0 empty), 5 target tokens in 1 batches of 1 shapes, 16.7 % padding
    """

    def __init__(
        self,
        source: Sequence[Ids],
        target: Sequence[Ids],
        *,
        batch_tokens: int,
        start_id: int,
        end_id: int,
        pad_id: int = 0,
        max_length: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        max_shapes: int = 32,
    ):
        require(
            len(source) == len(target),
            "source and target to have the same number of sentences",
            f"len(source)={len(source)}, len(target)={len(target)}",
        )
        limit = min(max_length or batch_tokens, batch_tokens)
        self.pad_id, self.shuffle, self.seed = pad_id, shuffle, seed
        sizes = np.array([(len(s), len(t)) for s, t in zip(source, target, strict=True)])
        sizes = sizes.reshape(-1, 2)
        empty, long = (sizes == 0).any(axis=1), (sizes >= limit).any(axis=1)
        kept = np.flatnonzero(~empty & ~long)
        self.dropped_empty, self.dropped_long = int(empty.sum()), int((long & ~empty).sum())
        self.num_pairs = len(kept)
        require(
            self.num_pairs,
            f"pairs of 1 to {limit - 1} tokens a side",
            f"{len(source)} pairs, of which {self.dropped_long} too long and "
            f"{self.dropped_empty} empty",
        )
        source, target = ([side[i] for i in kept.tolist()] for side in (source, target))
        self._source_ids = Rows(source, after=end_id)
        self._target_ids = Rows(target, before=start_id)
        self._labels = Rows(target, after=end_id)
        lengths = sizes[kept] + 1
        self._cells = plan_cells(lengths, batch_tokens, max_shapes, min_batches=2 if shuffle else 1)
        self.shapes = [(cell.batch_size, *cell.widths) for cell in self._cells]
        self.num_batches = sum(cell.num_batches for cell in self._cells)
        self.target_tokens = int(lengths[:, 1].sum())
        positions = sum(c.num_batches * c.batch_size * sum(c.widths) for c in self._cells)
        self.padding_fraction = 1 - float(lengths.sum()) / positions

    @classmethod
    def of_text(
        cls, tokenizer: Tokenizer, source: list[str], target: list[str], **kwargs: Any
    ) -> PairBatches:
        """Makes the batches of sentences, with the tokens that a tokenizer's model wants.

        Args:
            tokenizer: `Tokenizer` of both languages.
            source, target: Lists of as many str.
            **kwargs: The other arguments of the class.

        Example:

        >>> from keras_transformer.text import train_tokenizer
        >>> tokenizer = train_tokenizer("whitespace", ["a dog"])
        >>> batches = PairBatches.of_text(tokenizer, ["a"], ["dog"], batch_tokens=6)
        >>> next(batches.epoch(0))[1].tolist()
        [[5, 3]]
        """
        # On both sides BART's sentences have a start, others begin with nothing.
        prefix = np.array(tokenizer.prefix_ids, "int32")
        sides = tokenizer.encode(source), tokenizer.encode_target(target)
        return cls(
            *([np.append(prefix, row) if len(row) else row for row in ids] for ids in sides),
            start_id=tokenizer.decoder_start_id,
            end_id=tokenizer.end_id,
            pad_id=tokenizer.pad_id,
            **kwargs,
        )

    def describe(self) -> str:
        """Returns one line of text: pairs, dropped pairs, batches, shapes and padding."""
        return (
            f"{self.num_pairs:,} pairs (dropped: {self.dropped_long:,} too long, "
            f"{self.dropped_empty:,} empty), {self.target_tokens:,} target tokens in "
            f"{self.num_batches:,} batches of {len(self.shapes)} shapes, "
            f"{100 * self.padding_fraction:.1f} % padding"
        )

    def arrays(self) -> Iterator[np.ndarray]:
        for rows in (self._source_ids, self._labels):
            yield from (rows.ids, rows.lengths)

    def epoch(self, number: int) -> Iterator[tuple]:
        """Yields the batches of one epoch as NumPy arrays; see the class for their form.

        Args:
            number: Which epoch, from 0.

        Example:

        >>> batches = PairBatches([[5]], [[8, 9]], batch_tokens=6, start_id=2, end_id=3)
        >>> for inputs, labels in batches.epoch(0):
        ...     print(inputs["source_ids"], inputs["target_ids"], labels)
        [[5 3]] [[2 8 9]] [[8 9 3]]
        """
        rng = np.random.default_rng((self.seed, number)) if self.shuffle else None
        batches = [(c.widths, rows) for c in self._cells for rows in c.cut(rng)]
        for i in range(len(batches)) if rng is None else rng.permutation(len(batches)):
            (source_width, target_width), rows = batches[i]
            inputs = {
                "source_ids": self._source_ids.padded(rows, source_width, self.pad_id),  # (B, S)
                "target_ids": self._target_ids.padded(rows, target_width, self.pad_id),  # (B, T)
            }
            yield inputs, self._labels.padded(rows, target_width, self.pad_id)  # (B, T)


def length_batches(
    ids: Sequence[Ids],
    *,
    batch_tokens: int,
    end_id: int | None = None,
    pad_id: int = 0,
    max_length: int | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields batches of similar lengths, to generate or predict from, and where their rows belong.

    Shapes are few whatever the lengths are: widths are multiples of a half of the power of two
    below, from 16 on, and batches of a width are as large as fits or of 1, 4, 8, 16 ... rows. To
    keep to them a batch may end in rows of padding only.

    Args:
        ids: Sequence of sequences of ids; any may be empty.
        batch_tokens: Most positions of a batch, padding included (a longer row comes alone).
        end_id: Added to every row, as `PairBatches` adds it to a source. Default `None`: nothing.
        pad_id: The padding token's id.
        max_length: Most tokens that the model reads: no batch is wider for its padding.

    Yields:
        `(rows, batch)`: where the batch's first `len(rows)` rows stand in `ids`, and the padded
        ids, int32 `(B, S)`. Short rows come first.

    Example:

    >>> batches = length_batches([[5, 6, 7], [8], [9]], batch_tokens=64, end_id=3, max_length=4)
    >>> for rows, batch in batches:
    ...     print(rows, batch.tolist())
    [1 2 0] [[8, 3, 0, 0], [9, 3, 0, 0], [5, 6, 7, 3], [0, 0, 0, 0]]
    """
    padded = Rows(ids, after=end_id).padded
    lengths = [len(row) + (end_id is not None) for row in ids]
    limit = max_length or np.inf
    widths = [int(max(n, min(round_up(n, least=16, steps=2), limit))) for n in lengths]
    order = np.argsort(lengths, kind="stable")
    for width in sorted(set(widths)):
        rows = order[np.array(widths)[order] == width]
        most = max(1, batch_tokens // width)
        for start in range(0, len(rows), most):
            some = rows[start : start + most]
            fill = min(most, round_rows(len(some))) - len(some)
            yield some, padded(np.append(some, np.full(fill, -1)), width, pad_id)
