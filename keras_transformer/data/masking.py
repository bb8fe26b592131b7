"""Masked language modelling: which tokens to hide, and batches of packed rows with them hidden.

KerasHub's `MaskedLMMaskGenerator` and tensorflow-text's `mask_language_model` behind it are not
used, for what they do not have: masks that depend on a seed and the epoch alone, so that a run
can be repeated or resumed to the bit; replacement tokens that are never special; and, in
KerasHub's, whole words.
"""

import math

import numpy as np

from keras_transformer.data.batching import EpochBatches, check_at_least
from keras_transformer.data.packing import pack_pieces

NOT_A_PAIR = -1  # the label of a row that only fills a batch


class Masker:
    """Hides tokens of a batch, other ones at every call.

    A share of each row's ordinary tokens is chosen, exactly `rate` on average. Of these, most
    become the mask token, some a random ordinary token, and the rest stay: the model cannot know
    which of the tokens it sees are the true ones.

    Args:
        vocabulary_size: int, V.
        mask_id: int, the mask token.
        special_ids: ids that are never chosen and never put in: padding, start, end, mask.
        num_predictions: int, P, most tokens chosen in a row.
        rate: float, share of the ordinary tokens that is chosen.
        mask_rate: float, share of these that becomes the mask token.
        random_rate: float, share of these that becomes a random ordinary token.
        pad_id: int, the label of unused places.

    Raises:
        ValueError: for a `rate` of 0, and for shares outside `[0, 1]`.

    Reference:
        Devlin et al. 2019, "BERT", section 3.1 and appendix A.1; whole words: the release notes of
        May 2019 in the code of that paper.

    Example:

    >>> masker = Masker(vocabulary_size=99, mask_id=4, special_ids=range(5), num_predictions=2)
    >>> row = np.array([[2, 10, 11, 12, 13, 14, 15, 16, 17, 3, 0]])
    >>> token_ids, positions, labels = masker(np.random.default_rng(0), row)
    >>> token_ids.shape, positions.shape, labels.shape
    ((1, 11), (1, 2), (1, 2))
    >>> all(row[0, p] == label for p, label in zip(positions[0], labels[0]) if label)
    True
    """

    def __init__(
        self,
        vocabulary_size,
        mask_id,
        special_ids,
        num_predictions,
        rate=0.15,
        mask_rate=0.8,
        random_rate=0.1,
        pad_id=0,
    ):
        if not 0 < rate <= 1:
            raise ValueError(f"Expected rate to be above 0 and at most 1. Received: {rate=}")
        if min(mask_rate, random_rate) < 0 or mask_rate + random_rate > 1:
            raise ValueError(
                "Expected mask_rate and random_rate to be shares of one whole. "
                f"Received: {mask_rate=}, {random_rate=}"
            )
        self.mask_id = mask_id
        self.num_predictions = num_predictions
        self.rate = rate
        self.mask_rate = mask_rate
        self.random_rate = random_rate
        self.pad_id = pad_id
        self._special = np.isin(np.arange(vocabulary_size), list(special_ids))
        self._ordinary = np.flatnonzero(~self._special).astype("int32")

    def __call__(self, rng, token_ids, word_starts=None):
        """Masks a batch.

        Args:
            rng: `numpy.random.Generator`: its state alone decides the masks.
            token_ids: int32 array `(B, T)`.
            word_starts: bool array `(B, T)`, where words begin, to choose whole words. None
                chooses single tokens.

        Returns:
            `(token_ids (B, T), masked_positions (B, P), labels (B, P))`, int32. Unused places
            have position 0 and label `pad_id`.
        """
        chosen = self._choose(rng, token_ids, word_starts)  # (B, P), -1 where unused
        used = chosen >= 0
        positions = np.where(used, chosen, 0).astype("int32")
        truth = np.take_along_axis(token_ids, positions, axis=1)  # (B, P)
        draw = rng.random(truth.shape)
        masked = np.where(draw < self.mask_rate, np.int32(self.mask_id), truth)
        swapped = (draw >= self.mask_rate) & (draw < self.mask_rate + self.random_rate)
        masked = np.where(swapped, rng.choice(self._ordinary, truth.shape), masked)
        token_ids = token_ids.copy()
        rows = np.broadcast_to(np.arange(len(token_ids))[:, None], truth.shape)
        token_ids[rows[used], positions[used]] = masked[used]
        return token_ids, positions, np.where(used, truth, np.int32(self.pad_id))

    def can_choose(self, token_ids):
        """Which tokens may be hidden: `token_ids (B, T) -> (B, T)` bool."""
        return ~self._special[token_ids]

    def _choose(self, rng, token_ids, word_starts):
        """Positions `(B, P)`, -1 where unused.

        The words of a row are put in random order and taken until the row's share is full. The
        last one is taken with the probability that makes the share right on average.
        """
        batch, length = token_ids.shape
        ordinary = self.can_choose(token_ids)  # (B, T)
        key = rng.random((batch, length))
        if word_starts is not None:  # all tokens of a word have the key of its first one
            first = np.maximum.accumulate(np.where(word_starts, np.arange(length), 0), axis=1)
            key = np.take_along_axis(key, first, axis=1)
        key = np.where(ordinary, key, 2.0)  # behind all words
        order = np.argsort(key, axis=1, kind="stable")  # (B, T)
        key = np.take_along_axis(key, order, axis=1)
        place = np.arange(length)
        new = np.diff(key, axis=1, prepend=-1.0) > 0  # (B, T), where a word begins in that order
        first = np.maximum.accumulate(np.where(new, place, 0), axis=1)
        ends = np.where(np.roll(new, -1, axis=1), place + 1, length)
        ends[:, -1] = length
        end = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
        share = self.rate * ordinary.sum(axis=1, keepdims=True)  # (B, 1)
        luck = np.take_along_axis(rng.random((batch, length)), first, axis=1)
        taken = (first + luck * (end - first) < share) & (end <= self.num_predictions) & (key < 2)
        chosen = np.where(taken, order, -1)[:, : self.num_predictions]
        return np.pad(
            chosen, ((0, 0), (0, self.num_predictions - chosen.shape[1])), constant_values=-1
        )


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
        rate: Share of the ordinary tokens that is masked.
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

    def __init__(
        self,
        lines,
        tokenizer,
        *,
        batch_size,
        row_length,
        rate=0.15,
        whole_words=False,
        next_sentence=False,
        segments=False,
        shuffle=True,
        seed=0,
    ):
        if tokenizer.mask_id is None:
            raise ValueError(
                "Expected a tokenizer with a mask token, as train_tokenizer(..., mask=True) makes. "
                f"Received: kind={tokenizer.kind!r}"
            )
        check_at_least(1, batch_size=batch_size)
        check_at_least(6, row_length=row_length)
        self.batch_size, self.row_length = batch_size, row_length
        self.whole_words, self.next_sentence = whole_words, next_sentence
        self.segments = segments
        self.shuffle, self.seed = shuffle, seed
        self.tokenizer = tokenizer
        self.num_predictions = math.ceil(rate * row_length)
        self.mask = Masker(
            tokenizer.vocabulary_size,
            tokenizer.mask_id,
            tokenizer.special_ids,
            self.num_predictions,
            rate,
            pad_id=tokenizer.pad_id,
        )
        self.num_lines = sum(len(line) > 0 for line in lines)
        if not self.num_lines:
            raise ValueError(f"Expected lines with tokens. Received: {len(lines)} lines")
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
        if not self.mask.can_choose(token_ids).any():
            raise ValueError(
                "Expected lines with tokens to guess, neither special nor unknown. "
                f"Received: {self.num_lines:,} lines without"
            )
        self.tokens = int((token_ids != tokenizer.pad_id).sum())
        self.padding_fraction = 1 - self.tokens / (self.num_batches * batch_size * row_length)

    def describe(self):
        """Returns one line of text: lines, rows, tokens, batches and padding."""
        how = "paired in" if self.next_sentence else "packed into"
        return (
            f"{self.num_lines:,} lines ({self.num_cut:,} longer than a row) {how} "
            f"{self.num_rows:,} rows of {self.row_length}, {self.tokens:,} tokens in "
            f"{self.num_batches:,} batches, {100 * self.padding_fraction:.1f} % padding"
        )

    def epoch(self, number):
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
                labels = labels, self._fill(is_random[rows], NOT_A_PAIR)
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


class SentencePairs:
    """Sentences with the one that follows, and with one that does not.

    Args:
        lines: Sequence of sequences of ids; an empty one ends a document.

    Raises:
        ValueError: no line is followed by another, or there is one document only.

    Reference:
        Devlin et al. 2019, "BERT", section 3.1, task 2, with single sentences.

    Example:

    >>> pairs = SentencePairs([[5, 6], [7], [], [8], [9]])
    >>> [(list(a), list(b), c) for a, b, c in pairs.draw(np.random.default_rng(0), 9)]
    [([5, 6], [9], 1), ([8], [9], 0)]
    """

    def __init__(self, lines):
        self.lines = [line for line in lines if len(line)]
        ends = np.array([len(line) == 0 for line in lines])
        self.document = np.cumsum(ends)[~ends]
        self.follows = np.flatnonzero(np.diff(self.document) == 0)
        if not len(self.follows) or self.document[-1] == self.document[0]:
            raise ValueError(
                "Expected documents of at least two lines with an empty line between them, for "
                f"next-sentence pairs. Received: {len(self.follows):,} lines with one that "
                f"follows in {len(np.unique(self.document)):,} documents"
            )

    def draw(self, rng, room):
        """Yields `(first, second, is_random)` for every line that another follows.

        Args:
            rng: `numpy.random.Generator`.
            room: int, most tokens of both together; the longer one loses its last ones.
        """
        random = rng.random(len(self.follows)) >= 0.5
        for i, is_random in zip(self.follows.tolist(), random.tolist(), strict=True):
            j = i + 1
            while is_random and self.document[j] == self.document[i]:
                j = int(rng.integers(len(self.lines)))
            first, second = self.lines[i], self.lines[j]
            kept = max(room - len(second), room // 2) if len(first) + len(second) > room else None
            first = first[:kept]
            yield first, second[: room - len(first)], int(is_random)
