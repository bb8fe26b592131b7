"""Tokens to text as they come: whole characters, and nothing of a stop string."""

from collections.abc import Callable, Sequence

import numpy as np

from keras_transformer.checks import require

INCOMPLETE = "\ufffd"  # what a decoder writes for bytes that are no character yet
CONTEXT = 4  # tokens of the prompt that are decoded with the first new ones

Decode = Callable[[list[list[int]]], Sequence[str]]  # sequences of ids to their texts


class TextStream:
    """The text of rows of tokens that grow.

    A few tokens are decoded again with each new one, since what a token says may depend on its
    neighbours: a word's piece begins with a space unless it is the first, and a character may have
    several tokens.

    Args:
        decode: function from a list of sequences of ids to the list of their texts.
        prompts: list of lists of ids, what stands before each row.
        stop: list of str that end a row.

    Attributes:
        over: bool array `(B,)`, which rows have ended.

    Raises:
        ValueError: for an empty stop string.

    Example:

    >>> stream = TextStream(lambda rows: [bytes(r).decode(errors="replace") for r in rows], [[104]])
    >>> stream.push([195], [False]), stream.push([169], [False])  # two bytes of one character
    ([''], ['é'])
    """

    def __init__(self, decode: Decode, prompts: Sequence[Sequence[int]], stop: Sequence[str] = ()):
        require(all(stop), "stop strings with text", stop=stop)
        self.decode = decode
        self.stop = tuple(stop)
        self.ids = [list(prompt[-CONTEXT:]) for prompt in prompts]
        self.shown = [len(ids) for ids in self.ids]  # how many of these ids are text already
        self.held = [""] * len(self.ids)  # text that may become a stop string
        self.over = np.zeros(len(self.ids), bool)

    def push(
        self, tokens: Sequence[int] | np.ndarray, ended: Sequence[bool] | np.ndarray
    ) -> list[str]:
        """The new text of each row.

        Args:
            tokens: B ints, the newest token of each row, of which those that are over are ignored.
            ended: B bools, whether the row ends with this token.
        """
        rows = np.flatnonzero(~self.over).tolist()
        for row in rows:
            self.ids[row].append(int(tokens[row]))
        before = self.decode([self.ids[row][: self.shown[row]] for row in rows])
        after = self.decode([self.ids[row] for row in rows])
        pieces = [""] * len(self.ids)
        for row, old, new in zip(rows, before, after, strict=True):
            text = ""
            if ended[row] or not new.endswith(INCOMPLETE):
                text = new[len(old) :]
                # The tokens just shown are context enough for the next ones.
                self.ids[row] = self.ids[row][self.shown[row] :]
                self.shown[row] = len(self.ids[row])
            pieces[row] = self._until_stop(row, text, ended[row])
        return pieces

    def _until_stop(self, row, text, ended):
        """What can be shown of the text held back and the new one."""
        text = self.held[row] + text
        found = [text.index(stop) for stop in self.stop if stop in text]
        self.over[row] = bool(ended or found)
        if found:
            return text[: min(found)]
        may_grow = [n for stop in self.stop for n in range(1, len(stop)) if text.endswith(stop[:n])]
        keep = 0 if ended else max(may_grow, default=0)
        self.held[row] = text[len(text) - keep :]
        return text[: len(text) - keep]
