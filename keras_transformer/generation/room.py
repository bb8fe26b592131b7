"""How many tokens there is room for, and the few shapes that batches are filled up to."""

import sys

from keras_transformer.backend.compiling import compiles
from keras_transformer.checks import require
from keras_transformer.data import round_rows, round_up
from keras_transformer.generation.anatomy import Anatomy


class Room:
    """The lengths that a model reads and writes, as numbers.

    A program is compiled for each new shape and never freed: of these there are to be few.

    Args:
        anatomy: the model's.
        max_new_tokens: int, or None for as many as fill the context.
        context: int, the most tokens that the decoder reads at once, or None.
        hides_padding: bool, whether more padding surely changes nothing of what comes out.

    Attributes:
        context: int, no more than the decoder's learned position table has, or None for no limit.

    Raises:
        ValueError: for numbers that are not positive, and where nothing limits new tokens.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        max_new_tokens: int | None,
        context: int | None,
        hides_padding: bool,
    ):
        require(
            max_new_tokens is None or max_new_tokens > 0,
            "max_new_tokens to be positive or None",
            max_new_tokens=max_new_tokens,
        )
        require(context is None or context > 0, "context to be positive or None", context=context)
        lengths = [length for length in (context, anatomy.learned_length) if length]
        self.context = min(lengths, default=None)
        require(max_new_tokens or self.context, "max_new_tokens or a context", context=context)
        self.max_new_tokens = max_new_tokens
        self.reads_prompts = anatomy.encoder is None
        self.rounds_rows = compiles()
        self.rounds_length = self.rounds_rows and hides_padding
        self._limit = self.context or sys.maxsize
        longest = self.context if self.reads_prompts else anatomy.source_length
        self._longest = longest or sys.maxsize

    def new_tokens(self, length: int) -> int:
        """The most new tokens after prompts of `length`, or from sources."""
        return self.max_new_tokens or max(1, self._limit - self._read(length))

    def until_full(self, length: int) -> int:
        """New tokens after prompts of `length` until the context is full; the last is not read."""
        return self._limit - self._read(length)

    def check(self, length: int, new_tokens: int) -> None:
        """Refuses what does not fit the context."""
        require(
            new_tokens <= self.until_full(length),
            f"prompt and new tokens to fit the context of {self.context}",
            tokens=self._read(length) + new_tokens,
        )

    def shape(self, batch: int, length: int) -> tuple[int, int, int]:
        """`(rows, length, new tokens)` of the program for a batch of rows of `length`."""
        rows = round_rows(batch) if self.rounds_rows else batch
        shortest = length  # of the prompts that share the program
        if self.rounds_length:
            length = max(length, min(round_up(length), self._longest))
            shortest = length // 2 + 1 if length > round_up(1) else 1
        return rows, length, min(self.new_tokens(shortest), self.until_full(shortest))

    def _read(self, length):
        """Tokens that the decoder reads before the first new one is asked for."""
        return length - 1 if self.reads_prompts else 0
