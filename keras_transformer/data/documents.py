"""Batches of packed documents, for a causal language model."""

from collections.abc import Iterator, Sequence

import numpy as np

from keras_transformer.checks import check_at_least, require
from keras_transformer.data.epochs import EpochBatches
from keras_transformer.data.packing import pack_pieces
from keras_transformer.data.rows import Rows
from keras_transformer.data.shapes import Cell
from keras_transformer.types import Ids


class DocumentBatches(EpochBatches):
    """Batches of documents, several in a row, each with its tokens one further on as labels.

    A batch is `(token_ids (B,T), labels (B,T))`, int32. A document's inputs are `start_id`
    and its tokens, its labels its tokens and `end_id`. Rows are padded with `pad_id`. A
    model with `line_start_id=start_id` keeps attention inside each document. One that is longer
    than a row is cut into pieces, which begin with `start_id` too; the last label of a piece is the
    document's next token, which therefore is none again, but padding, where the next piece begins.
    So every token and every `end_id` is a label exactly once an epoch. All batches have one shape;
    the last one is filled with rows of padding. What an epoch looks like depends on `seed` and its
    number alone.

    Args:
        documents: Sequence of sequences of ids, without special tokens; empty ones are left out.
        batch_size: Rows of a batch, B.
        row_length: Tokens of a row, T.
        start_id, end_id, pad_id: The special tokens' ids.
        label_pad_id: The label that stands for none. Default `None`: `pad_id`, which then must not
            be `end_id`.
        shuffle: Default `True`. `False`, for validation, keeps one order.
        seed: Non-negative int.

    Attributes:
        num_documents, num_rows, num_batches: Documents that are not empty, rows, batches of an
            epoch.
        num_cut: Documents that were longer than a row.
        tokens: Labels in an epoch that are not padding.
        padding_fraction: Share of an epoch's labels that are padding.

    Raises:
        ValueError: `row_length` has no room for a token, `batch_size` is below 1, or there is no
            document with tokens.

    Example:

    >>> batches = DocumentBatches(
    ...     [[5, 6], [7], [8, 9, 10, 11, 12]], batch_size=3, row_length=5, start_id=2, end_id=3,
    ...     shuffle=False)
    >>> token_ids, labels = next(batches.epoch(0))
    >>> print(token_ids)
    [[ 2  8  9 10 11]
     [ 2  5  6  2  7]
     [ 2 12  0  0  0]]
    >>> print(labels)
    [[ 8  9 10 11 12]
     [ 5  6  3  7  3]
     [ 0  3  0  0  0]]
    >>> print(batches.describe())
    3 documents (1 longer than a row) packed into 3 rows of 5, 11 labels in 1 batches,
    26.7 % padding
    """

    def __init__(
        self,
        documents: Sequence[Ids],
        *,
        batch_size: int,
        row_length: int,
        start_id: int,
        end_id: int,
        pad_id: int = 0,
        label_pad_id: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
    ):
        check_at_least(1, batch_size=batch_size)
        check_at_least(2, row_length=row_length)
        self.num_documents = sum(len(document) > 0 for document in documents)
        require(self.num_documents, "documents with tokens", f"{len(documents)} documents")
        self.batch_size, self.row_length = batch_size, row_length
        self.shuffle, self.seed = shuffle, seed
        label_pad_id = pad_id if label_pad_id is None else label_pad_id
        self._pads = pad_id, label_pad_id
        room = row_length - 1
        self.num_cut = sum(len(document) > room for document in documents)
        rows = pack_pieces(documents, row_length, num_special=1)

        def token_ids(number, begin):
            return np.concatenate([[start_id], documents[number][begin : begin + room]])

        def labels(number, begin):
            labels = np.concatenate([documents[number][begin : begin + row_length], [end_id]])
            if begin:
                labels[0] = label_pad_id  # the token was the last label of the piece before
            return labels[:row_length]

        self._token_ids, self._labels = (
            Rows([np.concatenate([part(*piece) for piece in row]) for row in rows])
            for part in (token_ids, labels)
        )
        self.num_rows = len(rows)
        self.num_batches = -(-self.num_rows // batch_size)
        self._cell = Cell(np.arange(self.num_rows), self.num_batches, batch_size, (row_length,))
        self.tokens = sum(len(document) + 1 for document in documents if len(document))
        self.padding_fraction = 1 - self.tokens / (self.num_batches * batch_size * row_length)

    def describe(self) -> str:
        """Returns one line of text: documents, rows, labels, batches and padding."""
        return (
            f"{self.num_documents:,} documents ({self.num_cut:,} longer than a row) packed into "
            f"{self.num_rows:,} rows of {self.row_length}, {self.tokens:,} labels in "
            f"{self.num_batches:,} batches, {100 * self.padding_fraction:.1f} % padding"
        )

    def epoch(self, number: int) -> Iterator[tuple]:
        """Yields the batches of one epoch as NumPy arrays; see the class for their form.

        Args:
            number: Which epoch, from 0.
        """
        rng = np.random.default_rng((self.seed, number)) if self.shuffle else None
        for rows in self._cell.cut(rng):
            yield tuple(
                part.padded(rows, self.row_length, pad)  # (B, T)
                for part, pad in zip((self._token_ids, self._labels), self._pads, strict=True)
            )
