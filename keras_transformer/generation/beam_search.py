"""Beam search."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_transformer.backend.softmax import softmax_and_log_total
from keras_transformer.checks import require
from keras_transformer.generation.decoding import CachedDecoding
from keras_transformer.generation.part import Part
from keras_transformer.generation.rules import NEVER, is_end
from keras_transformer.types import Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class BeamSearch(Part):
    """Keeps the `beams` most probable hypotheses and returns the best finished ones.

    Every step extends each open hypothesis by every token and looks at the `2 * beams` best
    extensions, or more if there are several ends: those that end move to the finished ones, the
    best `beams` others stay open. Hypotheses that are open when `max_new_tokens` are reached
    compete as they are.

    Args:
        beams: int, open hypotheses a row, and finished ones that are kept.
        length_penalty: float, alpha. A hypothesis of n tokens (the end token counts) has the score
            `log-probability / penalty(n)`; 0 compares plain log-probabilities.
        n_best: int, hypotheses that `Generator.n_best` returns.
        penalty: `"gnmt"` for `((5 + n) / 6) ** alpha`, `"power"` for `n ** alpha`.
        early_stopping: when a row stops before `max_new_tokens`. `"never"` is as soon as no open
            hypothesis could still win, and loses nothing. False, the default of `transformers`,
            is as soon as no open one would be kept if it ended now: a longer one might have won.
            True is as soon as `beams` have finished, the fastest.

    Raises:
        ValueError: unless beams >= n_best >= 1, length_penalty >= 0, and the penalty and
            early_stopping are known.

    Reference:
        Wu et al. 2016, "Google's Neural Machine Translation System", section 7 (length penalty);
        Freitag and Al-Onaizan 2017 (beam search).

    Example:

    >>> round(float(BeamSearch(5, length_penalty=0.6).penalty_of(7)), 3)
    1.516
    """

    samples = 1

    def __init__(
        self,
        beams: int = 5,
        length_penalty: float = 0.6,
        n_best: int = 1,
        penalty: str = "gnmt",
        early_stopping: bool | str = "never",
    ):
        require(beams >= n_best >= 1, "beams >= n_best >= 1", beams=beams, n_best=n_best)
        require(length_penalty >= 0, "length_penalty >= 0", length_penalty=length_penalty)
        require(penalty in ("gnmt", "power"), "penalty to be 'gnmt' or 'power'", penalty=penalty)
        require(
            early_stopping in ("never", False, True),
            "early_stopping to be 'never', False or True",
            early_stopping=early_stopping,
        )
        self.beams = self.width = beams
        self.length_penalty = length_penalty
        self.n_best = n_best
        self.penalty = penalty
        self.early_stopping = early_stopping

    def penalty_of(self, n: Tensor) -> Tensor:
        """What the log-probability of `n` tokens is divided by."""
        n = ops.cast(n, "float32")
        return ((5.0 + n) / 6.0 if self.penalty == "gnmt" else n) ** self.length_penalty

    def draw(self, max_new_tokens: int, batch: int) -> np.ndarray:
        return np.zeros((max_new_tokens, batch), "float32")  # nothing is drawn

    def generate(
        self, decoding: CachedDecoding, uniform: Tensor, max_new_tokens: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`(sequences (B, n_best, L), scores (B, n_best))`, best first."""
        batch, beams = decoding.prompt.shape[0], self.beams
        first = ops.arange(beams) == 0  # all start equal: only one counts until they differ
        score = ops.zeros((batch, beams)) + ops.where(first, 0.0, NEVER)
        shape = batch, beams, decoding.max_new_tokens
        sequence = ops.full(shape, decoding.pad_id, dtype="int32")
        finished = sequence, ops.full((batch, beams), NEVER)
        going = ops.logical_not(decoding.over)  # rows that may still find something better
        # The slot, among those of its step, of each earlier token of each hypothesis.
        slots = ops.zeros(shape, dtype="int32")

        def unfinished(i, going, *others):
            return ops.logical_and(i < max_new_tokens, ops.any(going))

        def extend(i, going, sequence, score, slots, finished, state):
            own = ops.broadcast_to(ops.arange(beams)[None, :, None], (batch, beams, 1))
            slots = ops.slice_update(slots, [0, 0, i], own)
            visible = ops.one_hot(slots, beams, dtype="bool")
            visible = ops.reshape(visible, (batch, beams, -1))  # (B, beams, slots)
            logits, state = decoding.step(i, sequence, state, visible)
            candidates = self._extend(decoding, logits, score, sequence, i)
            finished = self._collect(finished, candidates, going, i + 1, max_new_tokens)
            sequence, score, parent = self._keep_open(candidates)
            better = self._may_improve(score, finished, i + 1, max_new_tokens)
            going, slots = ops.logical_and(going, better), gather_beams(slots, parent)
            return i + 1, going, sequence, score, slots, finished, state

        i, state = ops.convert_to_tensor(0, "int32"), decoding.read_prompt()
        carry = i, going, sequence, score, slots, finished, state
        *_, (sequence, score), _ = decoding.loop(unfinished, extend, carry)
        return sequence[:, : self.n_best], score[:, : self.n_best]

    def _extend(self, decoding, logits, score, sequence, i):
        """The best extensions of the open hypotheses by token `i`, C of them.

        A tuple of `sequence (B, C, L)`, `score`, `ended` and `parent (B, C)`.
        """
        # Enough for `beams` to stay open, if all the others end. With one beam the only extension
        # to follow is the best one: that is greedy search.
        count = self.beams * (1 + len(decoding.end_ids)) if self.beams > 1 else 1
        each = min(count, logits.shape[-1])  # of a hypothesis
        if decoding.rules:  # which are about log-probabilities here
            logits = decoding.follow_rules(ops.log_softmax(logits), sequence, i)
        # The best of each hypothesis first: normalising all V logits would cost another pass.
        top, token = ops.top_k(logits, each)  # (B, beams, each)
        if not decoding.rules:
            top = top - softmax_and_log_total(logits)[1][:, :, None]
        total = top + score[:, :, None]
        flat = (total.shape[0], self.beams * each)
        score, chosen = ops.top_k(ops.reshape(total, flat), count)  # (B, C)
        parent = chosen // each
        token = ops.take_along_axis(ops.reshape(token, flat), chosen, axis=1)
        sequence = ops.slice_update(
            gather_beams(sequence, parent), [0, 0, i], ops.cast(token, "int32")[:, :, None]
        )
        return sequence, score, is_end(token, decoding.end_ids), parent

    def _collect(self, finished, candidates, going, n, max_new_tokens):
        """The best `beams` of the finished hypotheses and of the candidates that end here."""
        sequence, score, ended, _ = candidates
        ended = ops.logical_or(ended, ops.equal(n, max_new_tokens))
        # An end counts only among the best `beams`, where an open hypothesis would have to be.
        ended = ops.logical_and(ended, ops.arange(score.shape[1]) < self.beams)
        ended = ops.logical_and(ended, going[:, None])
        score = ops.where(ended, score / self.penalty_of(n), NEVER)
        return best(self.beams, [finished[0], sequence], [finished[1], score])

    def _may_improve(self, score, finished, n, max_new_tokens):
        """Which rows go on, `(B,)`, with open hypotheses of `n` tokens and `score (B, beams)`."""
        if self.early_stopping is True:
            return finished[1][:, -1] <= NEVER  # a place is free
        if self.early_stopping is False:
            return score[:, 0] / self.penalty_of(n) > finished[1][:, -1]
        return score[:, 0] / self.penalty_of(max_new_tokens) > finished[1][:, self.n_best - 1]

    def _keep_open(self, candidates):
        """`(sequence, score, parent)` of the best `beams` candidates that have not ended."""
        sequence, score, ended, parent = candidates
        score, chosen = ops.top_k(ops.where(ended, NEVER, score), self.beams)
        return (
            gather_beams(sequence, chosen),
            score,
            ops.take_along_axis(parent, chosen, axis=1),
        )


def best(
    count: int, sequences: Sequence[Tensor], scores: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """The `count` best of several groups of hypotheses."""
    score, chosen = ops.top_k(ops.concatenate(scores, axis=1), count)  # (B, count)
    return gather_beams(ops.concatenate(sequences, axis=1), chosen), score


def gather_beams(x: Tensor, chosen: Tensor) -> Tensor:
    """Rows `chosen (B, n)` of `x (B, beams, L)`: `(B, n, L)`."""
    return ops.take_along_axis(x, ops.cast(chosen, "int32")[:, :, None], axis=1)
