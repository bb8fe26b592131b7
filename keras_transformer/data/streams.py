"""Batches of one long text, for a causal language model."""

from collections.abc import Iterator

import numpy as np

from keras_transformer.checks import check_at_least, require
from keras_transformer.data.epochs import EpochBatches
from keras_transformer.types import Ids


class StreamBatches(EpochBatches):
    """Batches of rows cut out of a stream of tokens, each with the tokens one further on as labels.

    A batch is `(token_ids (B,T), labels (B,T))`, int32. With `shuffle` every row is a random
    crop, and an epoch is so many batches of them: some tokens come more than once in it, some not
    at all. Without, the rows follow each other, every token but the first is a label exactly once,
    and the last rows are filled with padding. What an epoch looks like depends on `seed` and its
    number alone.

    Args:
        ids: int array `(N,)`, a memory map for example.
        batch_size: Rows of a batch, B.
        row_length: Tokens of a row, T.
        pad_id: The padding token's id.
        label_pad_id: The label that stands for none. Default `None`: `pad_id`, which then must
            be no token of the stream.
        num_batches: Batches of an epoch of random crops. Default `None`: as many whole ones as the
            stream would fill, but at least one.
        shuffle: Default `True`. `False` is for validation.
        seed: Non-negative int.

    Attributes:
        num_batches: Batches in an epoch.
        tokens: Labels in an epoch that are not padding.
        padding_fraction: Share of an epoch's positions that are padding.

    Raises:
        ValueError: the stream is too short for a row (with `shuffle`) or for a label,
            `num_batches` is given without `shuffle`, or a size is below 1.

    Reference:
        The crops are those of Karpathy's nanoGPT.

    Example:

    >>> batches = StreamBatches(np.arange(5, 12), batch_size=2, row_length=4, shuffle=False)
    >>> token_ids, labels = next(batches.epoch(0))
    >>> print(token_ids)
    [[ 5  6  7  8]
     [ 9 10  0  0]]
    >>> print(labels)
    [[ 6  7  8  9]
     [10 11  0  0]]
    >>> print(batches.describe())
    7 tokens in a row, 6 labels in 1 batches of 2 rows of 4, 25.0 % padding
    """

    def __init__(
        self,
        ids: Ids,
        *,
        batch_size: int,
        row_length: int,
        pad_id: int = 0,
        label_pad_id: int | None = None,
        num_batches: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
    ):
        check_at_least(1, batch_size=batch_size, row_length=row_length)
        least = row_length + 1 if shuffle else 2
        require(len(ids) >= least, f"a stream of at least {least} tokens", str(len(ids)))
        if num_batches is not None:
            check_at_least(1, num_batches=num_batches)
            require(
                shuffle,
                "no num_batches with shuffle=False, where the stream decides",
                num_batches=num_batches,
            )
        self.batch_size, self.row_length = batch_size, row_length
        self.shuffle, self.seed = shuffle, seed
        self._pads = pad_id, pad_id if label_pad_id is None else label_pad_id
        self._ids = np.asarray(ids)
        size, labels = batch_size * row_length, len(ids) - 1
        if shuffle:
            self.num_batches = num_batches or max(1, labels // size)
            self.tokens = self.num_batches * size
        else:
            self.num_batches = -(-labels // size)
            self.tokens = labels
        self.padding_fraction = 1 - self.tokens / (self.num_batches * size)

    def describe(self) -> str:
        """Returns one line of text: tokens, labels, batches and padding."""
        return (
            f"{len(self._ids):,} tokens in a row, {self.tokens:,} labels in "
            f"{self.num_batches:,} batches of {self.batch_size} rows of {self.row_length}, "
            f"{100 * self.padding_fraction:.1f} % padding"
        )

    def arrays(self) -> Iterator[np.ndarray]:
        yield self._ids

    def epoch(self, number: int) -> Iterator[tuple]:
        """Yields the batches of one epoch as NumPy arrays; see the class for their form.

        Args:
            number: Which epoch, from 0.
        """
        rng = np.random.default_rng((self.seed, number))
        for batch in range(self.num_batches):
            if self.shuffle:
                starts = rng.integers(len(self._ids) - self.row_length, size=self.batch_size)
            else:
                starts = (batch * self.batch_size + np.arange(self.batch_size)) * self.row_length
            places = starts[:, None] + np.arange(self.row_length + 1)  # (B, T + 1)
            ids = self._ids.take(places, mode="clip").astype("int32")
            real = places[:, 1:] < len(self._ids)  # (B, T), where there is a label
            yield tuple(
                np.where(real, part, np.int32(pad))
                for part, pad in zip((ids[:, :-1], ids[:, 1:]), self._pads, strict=True)
            )
