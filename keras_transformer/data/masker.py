"""Which tokens of a batch to hide, for masked language modelling.

KerasHub's `MaskedLMMaskGenerator` and tensorflow-text's `mask_language_model` behind it are not
used, for what they do not have: masks that depend on a seed and the epoch alone, so that a run
can be repeated or resumed to the bit; replacement tokens that are never special; and, in
KerasHub's, whole words.
"""

from collections.abc import Iterable

import numpy as np

from keras_transformer.checks import require

MASK_RATE = 0.15  # BERT's


def check_rate(mask_rate: float) -> None:
    """Refuses what is no share of the tokens.

    >>> check_rate(2.0)
    Traceback (most recent call last):
    ValueError: Expected mask_rate to be above 0 and at most 1. Received: mask_rate=2.0
    """
    require(0 < mask_rate <= 1, "mask_rate to be above 0 and at most 1", mask_rate=mask_rate)


class Masker:
    """Hides tokens of a batch, other ones at every call.

    A share of each row's ordinary tokens is chosen, exactly `mask_rate` on average. Of these, most
    become the mask token, some a random ordinary token, and the rest stay: the model cannot know
    which of the tokens it sees are the true ones.

    Args:
        vocabulary_size: int, V.
        mask_id: int, the mask token.
        special_ids: ids that are never chosen and never put in: padding, start, end, mask.
        num_predictions: int, P, most tokens chosen in a row.
        mask_rate: float, share of the ordinary tokens that is chosen.
        mask_token_rate: float, share of these that becomes the mask token.
        random_rate: float, share of these that becomes a random ordinary token.
        pad_id: int, the label of unused places.
        rate: float, an older name of `mask_rate`. With it, `mask_rate` is one of `mask_token_rate`.

    Raises:
        ValueError: for a `mask_rate` of 0, and for shares outside `[0, 1]`.

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
        vocabulary_size: int,
        mask_id: int,
        special_ids: Iterable[int],
        num_predictions: int,
        mask_rate: float = MASK_RATE,
        mask_token_rate: float = 0.8,
        random_rate: float = 0.1,
        pad_id: int = 0,
        *,
        rate: float | None = None,
    ):
        if rate is not None:
            if mask_rate != MASK_RATE:
                mask_token_rate = mask_rate
            mask_rate = rate
        check_rate(mask_rate)
        shares = {"mask_token_rate": mask_token_rate, "random_rate": random_rate}
        is_whole = min(shares.values()) >= 0 and sum(shares.values()) <= 1
        require(is_whole, f"{' and '.join(shares)} to be shares of one whole", **shares)
        self.mask_id = mask_id
        self.num_predictions = num_predictions
        self.mask_rate = mask_rate
        self.mask_token_rate = mask_token_rate
        self.random_rate = random_rate
        self.pad_id = pad_id
        self._special = np.isin(np.arange(vocabulary_size), list(special_ids))
        self._ordinary = np.flatnonzero(~self._special).astype("int32")

    def __call__(
        self,
        rng: np.random.Generator,
        token_ids: np.ndarray,
        word_starts: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
        masked = np.where(draw < self.mask_token_rate, np.int32(self.mask_id), truth)
        swapped = (draw >= self.mask_token_rate) & (draw < self.mask_token_rate + self.random_rate)
        masked = np.where(swapped, rng.choice(self._ordinary, truth.shape), masked)
        token_ids = token_ids.copy()
        rows = np.broadcast_to(np.arange(len(token_ids))[:, None], truth.shape)
        token_ids[rows[used], positions[used]] = masked[used]
        return token_ids, positions, np.where(used, truth, np.int32(self.pad_id))

    def can_choose(self, token_ids: np.ndarray) -> np.ndarray:
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
        share = self.mask_rate * ordinary.sum(axis=1, keepdims=True)  # (B, 1)
        luck = np.take_along_axis(rng.random((batch, length)), first, axis=1)
        taken = (first + luck * (end - first) < share) & (end <= self.num_predictions) & (key < 2)
        chosen = np.where(taken, order, -1)[:, : self.num_predictions]
        return np.pad(
            chosen, ((0, 0), (0, self.num_predictions - chosen.shape[1])), constant_values=-1
        )
