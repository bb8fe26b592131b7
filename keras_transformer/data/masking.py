"""Batches of packed rows with tokens hidden, for a masked language model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_transformer.checks import check_at_least, refusal, require
from keras_transformer.data.epochs import EpochBatches
from keras_transformer.data.masker import MASK_RATE, Masker, check_rate
from keras_transformer.data.packing import pack_pieces
from keras_transformer.data.sentence_pairs import SentencePairs
from keras_transformer.renamed import renamed
from keras_transformer.types import Ids

if TYPE_CHECKING:
    from keras_transformer.text import Tokenizer

NOT_A_PAIR = -1  # the label of a row that only fills a batch


class MaskedBatches(EpochBatches):
    """Batches for a masked language model: full rows of packed lines, with new masks every epoch.

    A batch is `({"token_ids": (B,T), "masked_positions": (B,P)}, labels (B,P))`, int32. A line is
    `start_id`, its tokens and `end_id`; one that is longer than a row goes on in another row. With
    `next_sentence` a row is `start_id`, a sentence, `end_id`, another sentence, `end_id`, and there
    is also `segment_ids (B,T)`, 1 on the second; labels are then `(labels, is_random (B,))`, with
    `NOT_A_PAIR` for rows of padding. In half of the rows the second sentence is the one that
    follows the first in its document (0, as BERT has it), in the others a random one of another
    document (1). All batches have one shape; the last one is filled with rows of padding. What an
    epoch looks like depends on `seed` and its number alone.

    Args:
        lines: Sequence of sequences of ids, without special tokens. With `next_sentence` an empty
            one ends a document.
        tokenizer: What made them: its special ids and, for whole words, `word_starts`.
        batch_size: Rows of a batch, B.
        row_length: Tokens of a row, T.
        mask_rate: Share of the ordinary tokens that is masked.
        whole_words: Whether all tokens of a word are masked together.
        next_sentence: Whether rows are pairs of sentences.
        segments: Whether the model has BERT's second input, also where rows are no pairs: there it
            is all 0.
        shuffle: Default `True`. `False`, for validation, keeps the order and the masks.
        seed: Non-negative int.

    Attributes:
        num_lines, num_rows, num_batches: Lines that are not empty, rows, batches of an epoch.
        num_cut: Lines that were longer than a row.
        tokens: Real positions in an epoch, special tokens included (of pairs, in the first one).
        num_predictions: P.
        padding_fraction: Share of an epoch's positions that are padding.

    Raises:
        ValueError: `row_length` has no room for text, the tokenizer has no mask token, there is no
            line with tokens that are neither special nor unknown, or, with `next_sentence`, no two
            lines that follow each other or no second document.

    Example:

    >>> from keras_transformer.text import train_tokenizer
    >>> lines = ["a b c d e f", "g h", "i j k"]
    >>> tokenizer = train_tokenizer("whitespace", lines, mask=True)
    >>> batches = MaskedBatches(tokenizer.encode(lines), tokenizer, batch_size=2, row_length=9)
    >>> inputs, labels = next(batches.epoch(0))
    >>> inputs["token_ids"].shape, inputs["masked_positions"].shape, labels.shape
    ((2, 9), (2, 2), (2, 2))
    >>> print(batches.describe())
    3 lines (0 longer than a row) packed into 2 rows of 9, 17 tokens in 1 batches, 5.6 % padding
    """

    @renamed(rate="mask_rate")
    def __init__(
        self,
        lines: Sequence[Ids],
        tokenizer: Tokenizer,
        *,
        batch_size: int,
        row_length: int,
        mask_rate: float = MASK_RATE,
        whole_words: bool = False,
        next_sentence: bool = False,
        segments: bool = False,
        shuffle: bool = True,
        seed: int = 0,
    ):
        mask_id = tokenizer.mask_id
        if mask_id is None:
            expectation = "a tokenizer with a mask token, as train_tokenizer(..., mask=True) makes"
            raise refusal(expectation, kind=tokenizer.kind)
        check_at_least(1, batch_size=batch_size)
        check_at_least(6, row_length=row_length)
        check_rate(mask_rate)
        self.batch_size, self.row_length = batch_size, row_length
        self.whole_words, self.next_sentence = whole_words, next_sentence
        self.segments = segments
        self.shuffle, self.seed = shuffle, seed
        self.tokenizer = tokenizer
        self.num_predictions = math.ceil(mask_rate * row_length)
        self.mask = Masker(
            tokenizer.vocabulary_size,
            mask_id,
            tokenizer.special_ids,
            self.num_predictions,
            mask_rate,
            pad_id=tokenizer.pad_id,
        )
        self.num_lines = sum(len(line) > 0 for line in lines)
        require(self.num_lines, "lines with tokens", f"{len(lines)} lines")
        room = row_length - 2
        self.num_cut = sum(len(line) > room for line in lines)
        if next_sentence:
            self._pairs = SentencePairs(lines)
            self.num_rows = len(self._pairs.follows)
        else:
            packed = pack_pieces(lines, row_length, num_special=2)
            self.num_rows = len(packed)
            self._packed = self._table([[lines[n][i : i + room] for n, i in row] for row in packed])
        self.num_batches = -(-self.num_rows // batch_size)
        token_ids = self._rows(0)[0]
        require(
            self.mask.can_choose(token_ids).any(),
            "lines with tokens to guess, neither special nor unknown",
            f"{self.num_lines:,} lines without",
        )
        self.tokens = int((token_ids != tokenizer.pad_id).sum())
        self.padding_fraction = 1 - self.tokens / (self.num_batches * batch_size * row_length)

    def describe(self) -> str:
        """Returns one line of text: lines, rows, tokens, batches and padding."""
        how = "paired in" if self.next_sentence else "packed into"
        return (
            f"{self.num_lines:,} lines ({self.num_cut:,} longer than a row) {how} "
            f"{self.num_rows:,} rows of {self.row_length}, {self.tokens:,} tokens in "
            f"{self.num_batches:,} batches, {100 * self.padding_fraction:.1f} % padding"
        )

    def arrays(self) -> Iterator[np.ndarray]:
        if self.next_sentence:
            yield from self._pairs.arrays()
        else:
            yield from self._packed

    def epoch(self, number: int) -> Iterator[tuple]:
        """Yields the batches of one epoch as NumPy arrays; see the class for their form.

        Args:
            number: Which epoch, from 0.
        """
        number = number if self.shuffle else 0
        rng = np.random.default_rng((self.seed, number))
        token_ids, word_starts, *pairs = self._rows(number)
        order = rng.permutation(self.num_rows) if self.shuffle else np.arange(self.num_rows)
        for begin in range(0, self.num_rows, self.batch_size):
            rows = order[begin : begin + self.batch_size]
            ids, positions, labels = self.mask(
                rng,
                self._fill(token_ids[rows], self.tokenizer.pad_id),
                self._fill(word_starts[rows], True),
            )
            inputs = {"token_ids": ids, "masked_positions": positions}
            if self.segments:
                inputs["segment_ids"] = np.zeros_like(ids)
            if self.next_sentence:
                segment_ids, is_random = pairs
                inputs["segment_ids"] = self._fill(segment_ids[rows])
                yield inputs, (labels, self._fill(is_random[rows], NOT_A_PAIR))
            else:
                yield inputs, labels

    def _rows(self, number):
        """All rows of an epoch: `(token_ids, word_starts[, segment_ids, is_random])`."""
        if not self.next_sentence:
            return self._packed
        rng = np.random.default_rng((self.seed, number, 1))
        pairs = list(self._pairs.draw(rng, self.row_length - 3))
        token_ids, word_starts = self._table([pair[:2] for pair in pairs], joined=True)
        ends = np.array([len(pair[0]) + 2 for pair in pairs])[:, None]
        segment_ids = (np.arange(self.row_length) >= ends) & (token_ids != self.tokenizer.pad_id)
        is_random = np.array([pair[2] for pair in pairs], "int32")
        return token_ids, word_starts, segment_ids.astype("int32"), is_random

    def _table(self, rows, joined=False):
        """Rows of lines as arrays `(rows, T)`: ids, and where words begin."""
        start, end = [self.tokenizer.start_id], [self.tokenizer.end_id]
        token_ids = np.full((len(rows), self.row_length), self.tokenizer.pad_id, "int32")
        word_starts = np.ones(token_ids.shape, bool)
        for row, lines in enumerate(rows):
            place = 0
            for number, line in enumerate(lines):
                framed = np.concatenate([[] if joined and number else start, line, end])
                token_ids[row, place : place + len(framed)] = framed
                if self.whole_words:
                    text = place + len(framed) - 1 - len(line)
                    word_starts[row, text : text + len(line)] = self.tokenizer.word_starts(line)
                place += len(framed)
        return token_ids, word_starts

    def _fill(self, rows, value=0):
        """The last batch with rows of padding, to the one shape of all."""
        missing = self.batch_size - len(rows)
        widths = [(0, missing)] + [(0, 0)] * (rows.ndim - 1)
        return np.pad(rows, widths, constant_values=value) if missing else rows
