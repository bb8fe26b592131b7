"""Batches by token budget, in a bounded set of shapes.

Every new shape costs a trace under TensorFlow and a compilation under XLA, and every padding
position costs a real one's time. `plan_cells` balances the two once, from the lengths alone: the
plane of lengths is cut into rectangular cells, each cell has one batch shape for good, and an
epoch only decides which rows of a cell share a batch and in which order the batches come.
"""

import itertools
from typing import NamedTuple

import numpy as np

# What one more batch costs beside its positions, as a share of the token budget: keeps the plan
# from buying a little less padding with many small batches.
BATCH_OVERHEAD = 0.1


class Cell(NamedTuple):
    """Rows of similar lengths, to be cut into `num_batches` batches of `batch_size` rows."""

    rows: np.ndarray
    num_batches: int
    batch_size: int
    widths: tuple


def plan_cells(lengths, batch_tokens, max_shapes, min_batches=1):
    """Groups rows by length so that little is padded, in at most `max_shapes` batch shapes.

    Starts from one cell of everything and keeps making the cut that saves most, as a k-d tree
    does: a threshold on one of the lengths.

    Args:
        lengths: int array `(rows, columns)`: the row's length in each of the padded arrays.
        batch_tokens: Most positions of one batch in any one column, padding included.
        max_shapes: Most cells.
        min_batches: Fewest batches in a cell that results from a cut. With 1, a cell may always
            give the same batch; with 2, rows meet others in every epoch.

    Returns:
        A list of `Cell`; of a single column, the shortest rows first.

    Example:

    >>> [(cell.rows.tolist(), cell.widths) for cell in plan_cells([[3], [9], [9], [2]], 18, 8)]
    [([0, 3], (3,)), ([1, 2], (9,))]
    """
    kinds, kind_of_row, counts = np.unique(
        np.asarray(lengths), axis=0, return_inverse=True, return_counts=True
    )  # cuts are tried on the few distinct lengths, not on the many rows

    def shape(cell):
        widths = np.maximum(kinds[cell].max(axis=0), 1)
        rows = counts[cell].sum()
        num_batches = -(-rows // max(1, batch_tokens // widths.max()))
        return num_batches, -(-rows // num_batches), widths

    def cost(cell):
        num_batches, batch_size, widths = shape(cell)
        return num_batches * (batch_size * widths.sum() + BATCH_OVERHEAD * batch_tokens)

    def best_cut(cell):
        best = (0, None)
        for column in kinds[cell].T:
            for threshold in np.unique(column)[:-1]:
                halves = cell[column <= threshold], cell[column > threshold]
                saving = cost(cell) - sum(map(cost, halves))
                if saving > best[0] and min(shape(half)[0] for half in halves) >= min_batches:
                    best = (saving, halves)
        return best

    cells = [np.arange(len(kinds))]
    cuts = [best_cut(cells[0])]
    while len(cells) < max_shapes:
        best = max(range(len(cells)), key=lambda i: cuts[i][0])
        saving, halves = cuts[best]
        if not saving:
            break
        cells[best : best + 1] = halves
        cuts[best : best + 1] = map(best_cut, halves)
    cell_of_kind = np.empty(len(kinds), int)
    for number, cell in enumerate(cells):
        cell_of_kind[cell] = number
    cell_of_row = cell_of_kind[kind_of_row.ravel()]
    return [
        Cell(np.flatnonzero(cell_of_row == number), int(n), int(b), tuple(map(int, widths)))
        for number, (n, b, widths) in enumerate(map(shape, cells))
    ]


class EpochBatches:
    """Batches that depend on a seed and the epoch's number alone, as a dataset.

    A subclass has `epoch(number)`, which yields `(inputs, labels)` as NumPy arrays, `num_batches`
    and `shuffle`.
    """

    def dataset(self, initial_epoch=0, skip_batches=0):
        """Returns the batches as a prefetching `tf.data.Dataset`, from any place in training on.

        With `shuffle=True` the dataset is endless, one epoch after the other, each in its own
        order: pass `steps_per_epoch=batches.num_batches` to `fit`. (Keras takes the length of the
        first pass over a finite dataset for that of all, and on some backends reads a batch before
        training: with an endless one, an interrupted run can go on in the middle of an epoch, and
        what is read depends on the place alone.) With `shuffle=False` it is one pass, with a
        known number of batches, for `validation_data` and `evaluate`.

        Args:
            initial_epoch: The epoch to begin in. Default 0.
            skip_batches: How many of that epoch's batches have been seen already. Default 0.

        Example:

        >>> batches = PairBatches([[5]], [[8, 9]], batch_tokens=6, start_id=2, end_id=3)
        >>> inputs, labels = next(iter(batches.dataset(initial_epoch=3)))
        >>> labels.numpy().tolist()
        [[8, 9, 3]]
        """
        import tensorflow as tf

        def stream():
            epochs = itertools.count(initial_epoch) if self.shuffle else [initial_epoch]
            every = itertools.chain.from_iterable(map(self.epoch, epochs))
            return itertools.islice(every, skip_batches, None)

        first = next(iter(self.epoch(0)))
        signature = tf.nest.map_structure(
            lambda array: tf.TensorSpec([None] * array.ndim, array.dtype), first
        )
        dataset = tf.data.Dataset.from_generator(stream, output_signature=signature)
        left = tf.data.INFINITE_CARDINALITY if self.shuffle else self.num_batches - skip_batches
        return dataset.apply(tf.data.experimental.assert_cardinality(left)).prefetch(
            tf.data.AUTOTUNE
        )


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
        source,
        target,
        *,
        batch_tokens,
        start_id,
        end_id,
        pad_id=0,
        max_length=None,
        shuffle=True,
        seed=0,
        max_shapes=32,
    ):
        if len(source) != len(target):
            raise ValueError(
                "Expected source and target to have the same number of sentences. "
                f"Received: len(source)={len(source)}, len(target)={len(target)}"
            )
        limit = min(max_length or batch_tokens, batch_tokens)
        self.pad_id, self.shuffle, self.seed = pad_id, shuffle, seed
        sizes = np.array([(len(s), len(t)) for s, t in zip(source, target, strict=True)])
        sizes = sizes.reshape(-1, 2)
        empty, long = (sizes == 0).any(axis=1), (sizes >= limit).any(axis=1)
        kept = np.flatnonzero(~empty & ~long)
        self.dropped_empty, self.dropped_long = int(empty.sum()), int((long & ~empty).sum())
        self.num_pairs = len(kept)
        if not self.num_pairs:
            raise ValueError(
                f"Expected pairs of 1 to {limit - 1} tokens a side. Received: {len(source)} pairs, "
                f"of which {self.dropped_long} too long and {self.dropped_empty} empty"
            )
        source, target = [source[i] for i in kept], [target[i] for i in kept]
        self._source_ids = _Rows(source, after=end_id)
        self._target_ids = _Rows(target, before=start_id)
        self._labels = _Rows(target, after=end_id)
        lengths = sizes[kept] + 1
        self._cells = plan_cells(lengths, batch_tokens, max_shapes, min_batches=2 if shuffle else 1)
        self.shapes = [(cell.batch_size, *cell.widths) for cell in self._cells]
        self.num_batches = sum(cell.num_batches for cell in self._cells)
        self.target_tokens = int(lengths[:, 1].sum())
        positions = sum(c.num_batches * c.batch_size * sum(c.widths) for c in self._cells)
        self.padding_fraction = 1 - float(lengths.sum()) / positions

    @classmethod
    def of_text(cls, tokenizer, source, target, **kwargs):
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

    def describe(self):
        """Returns one line of text: pairs, dropped pairs, batches, shapes and padding."""
        return (
            f"{self.num_pairs:,} pairs (dropped: {self.dropped_long:,} too long, "
            f"{self.dropped_empty:,} empty), {self.target_tokens:,} target tokens in "
            f"{self.num_batches:,} batches of {len(self.shapes)} shapes, "
            f"{100 * self.padding_fraction:.1f} % padding"
        )

    def epoch(self, number):
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
        batches = [(c.widths, rows) for c in self._cells for rows in _cut(c, rng)]
        for i in rng.permutation(len(batches)) if self.shuffle else range(len(batches)):
            (source_width, target_width), rows = batches[i]
            inputs = {
                "source_ids": self._source_ids.padded(rows, source_width, self.pad_id),  # (B, S)
                "target_ids": self._target_ids.padded(rows, target_width, self.pad_id),  # (B, T)
            }
            yield inputs, self._labels.padded(rows, target_width, self.pad_id)  # (B, T)


def round_up(n, least=32, steps=1):
    """The smallest length that is not below `n` of few: `least`, its double, and so on.

    What computes one shape of input is compiled once, and kept. `steps` is how many lengths there
    are from one to its double.

    Example:

    >>> [round_up(n) for n in (1, 32, 33, 65)], [round_up(n, steps=2) for n in (33, 49, 65)]
    ([32, 32, 64, 128], [48, 64, 96])
    """
    octave = least << max(0, ((n - 1) // least).bit_length() - 1)
    step = octave // steps if n > least else least
    return -(-max(n, 1) // step) * step


def round_rows(n):
    """As `round_up`, of the rows of a batch: 1, 4, 8, 16 and so on.

    >>> [round_rows(n) for n in (0, 1, 2, 5, 9)]
    [1, 1, 4, 8, 16]
    """
    return round_up(n, least=4) if n > 1 else 1


def length_batches(ids, *, batch_tokens, end_id=None, pad_id=0, max_length=None):
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
    padded = _Rows(ids, after=end_id).padded
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


def check_at_least(least, **arguments):
    """Raises a `ValueError` that names an argument below `least`.

    Example:

    >>> check_at_least(1, batch_size=0)
    Traceback (most recent call last):
    ValueError: Expected batch_size to be at least 1. Received: batch_size=0
    """
    for name, value in arguments.items():
        if value < least:
            raise ValueError(f"Expected {name} to be at least {least}. Received: {name}={value}")


def _cut(cell, rng=None):
    """Returns the cell's rows as (batches, batch size), the last batch filled up with -1."""
    rows = np.full(cell.num_batches * cell.batch_size, -1)
    rows[: len(cell.rows)] = cell.rows if rng is None else rng.permutation(cell.rows)
    return rows.reshape(cell.num_batches, cell.batch_size)


class _Rows:
    """Rows of ids, end to end in one array, so that a batch is one indexing operation."""

    def __init__(self, rows, before=None, after=None):
        nothing = np.array([], "int32")  # an empty list would turn ids into floats
        before, after = (nothing if token is None else [token] for token in (before, after))
        rows = [*(np.concatenate([before, row, after]) for row in rows), nothing]  # row -1: empty
        self.lengths = np.array([len(row) for row in rows])
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.ids = np.concatenate([*rows, [0]]).astype("int32")  # 0: something to take if all empty

    def padded(self, rows, width, pad_id):
        columns = np.arange(width)
        places = self.starts[rows][:, None] + columns  # (B, width)
        real = columns < self.lengths[rows][:, None]
        return np.where(real, self.ids.take(places, mode="clip"), np.int32(pad_id))
