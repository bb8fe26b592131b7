"""What is compiled of a model: a batch from its first new token to its last, or part by part."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_transformer.backend.compiling import compile_for
from keras_transformer.generation.anatomy import Anatomy
from keras_transformer.generation.decoding import CachedDecoding
from keras_transformer.generation.room import Room
from keras_transformer.generation.rows import fill_up
from keras_transformer.generation.rules import Rule

TOKENS_AT_ONCE = 16  # between two looks at the new tokens: for one, XLA copies all weights


class Programs:
    """The programs of a model, one for each of few shapes, which batches are filled up to.

    Args:
        model: `keras.Model`.
        anatomy: the model's.
        room: the lengths.
        sampler: with the methods of one.
        rules: functions `(logits (R, V), Past) -> logits`.
        start_id: int, what a decoder with an encoder starts with.
        end_ids: tuple of ints, the tokens that end a sequence; (-1,) for none.
        pad_id: int, stands behind the end.
    """

    def __init__(
        self,
        model: keras.Model,
        anatomy: Anatomy,
        room: Room,
        sampler: Any,
        rules: Sequence[Rule],
        start_id: int | None,
        end_ids: tuple[int, ...],
        pad_id: int,
    ):
        self.anatomy = anatomy
        self.room = room
        self.sampler = sampler
        self.rules = rules
        self.start_id = start_id
        self.end_ids = end_ids
        self.pad_id = pad_id
        self._whole = compile_for(model, self._generate, static=["steps"])
        self._first = compile_for(model, self._begin, static=["steps"])
        self._next = compile_for(model, self._go_on, static=["steps"])

    def generate(
        self, ids: np.ndarray, lengths: np.ndarray, random: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """`(sequences (B, n, count), scores (B, n))`: new tokens after, or from, `ids (B, T)`.

        Args:
            lengths: `(B,)` ints, of the rows without padding.
            random: `(count, B)`, as the sampler draws them.
            count: int, how many new tokens.
        """
        *filled, steps = self._fill_up(ids, lengths, random)
        found = self._whole(*filled, np.int32(count), steps=steps)
        sequences, scores = (ops.convert_to_numpy(x)[: len(ids)] for x in found)
        return sequences[..., :count], scores

    def tokens(
        self,
        ids: np.ndarray,
        lengths: np.ndarray,
        random: np.ndarray,
        count: int,
        said: int,
        over: np.ndarray,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields what `generate` gives token by token: `(tokens (B,), log-probabilities (B,))`.

        They are made one, one, two, four, eight and then 16 at a time.

        Args:
            said: int, how many tokens of the prompts were new ones already.
            over: `(B,)` bool, rows that nobody asks for: looked at again whenever tokens are made.
        """
        batch, known = len(ids), 0
        ids, lengths, random, steps = self._fill_up(ids, lengths, random)
        filled = np.ones(len(ids) - batch, bool)
        memory, carry = self._first(ids, lengths, np.int32(said), steps=steps)
        while known < count:
            i, _, *others = carry
            carry = i, np.append(over, filled), *others
            goal = np.int32(min(max(1, 2 * known), known + TOKENS_AT_ONCE, count))
            carry = self._next(
                ids, lengths, random, np.int32(said), memory, carry, goal, steps=steps
            )
            i, _, *found, _ = carry
            gains, tokens = (ops.convert_to_numpy(x)[:batch] for x in found)
            for place in range(known, int(i)):
                yield tokens[:, place], gains[:, place]
            known = int(i)

    def _fill_up(self, ids, lengths, random):
        """`(ids, lengths, random, steps)` of the shape of a program, which has so many steps."""
        rows, length, steps = self.room.shape(*ids.shape)
        random = np.pad(random, [(0, steps - random.shape[0]), (0, rows - random.shape[1])])
        return *fill_up(ids, lengths, rows, length, self.pad_id), random, steps

    def _generate(self, ids, lengths, random, count, steps):
        memory = self.anatomy.encode(ids)
        decoding = self._decoding(ids, lengths, memory, steps)
        return self.sampler.generate(decoding, random, count)

    def _begin(self, ids, lengths, said, steps):
        memory = self.anatomy.encode(ids)
        return memory, self.sampler.begin(self._decoding(ids, lengths, memory, steps, said))

    def _go_on(self, ids, lengths, random, said, memory, carry, count, steps):
        decoding = self._decoding(ids, lengths, memory, steps, said)
        return self.sampler.go_on(decoding, random, carry, count)

    def _decoding(self, ids, lengths, memory, steps, said=0):
        if self.anatomy.encoder:
            starts, prompt = None, ops.full((ids.shape[0], 1), self.start_id, dtype="int32")
        else:
            length = ids.shape[1]
            starts = length - ops.maximum(lengths, 1)  # (B,)
            shifted = (ops.arange(length)[None] - starts[:, None]) % length
            prompt = ops.take_along_axis(ids, shifted, axis=1)  # padding moved to the left
        return CachedDecoding(
            lambda token_ids: self.anatomy.decode(token_ids, ids, *memory),
            prompt,
            starts,
            steps,
            self.end_ids,
            self.pad_id,
            self.rules,
            self.sampler.width,
            self.anatomy.window,
            said,
            over=lengths < 0,
        )
