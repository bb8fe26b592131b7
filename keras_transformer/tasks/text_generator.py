"""Prompts to what follows them."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_transformer.checks import require
from keras_transformer.data import round_up
from keras_transformer.generation.samplers import Sampler
from keras_transformer.layers import PackedLines
from keras_transformer.tasks.generators import Generators
from keras_transformer.tasks.task import Answers, Lines, Task, progress_bar
from keras_transformer.tasks.writing import WritingSettings, settings_of_published
from keras_transformer.text import Tokenizer

TAIL = 4  # tokens of a prompt that are decoded with what follows


class TextGenerator(Task):
    """Continues texts, with any decoder-only model.

    It is greedy unless `temperature`, `top_k`, `top_p`, `min_p` or a `sampler` is given. Beyond
    what the model reads at once it goes on as `Generator.stream` does. What a published folder says
    of generation, its sampling included, holds wherever the caller says nothing:
    `load(path, temperature=0)` is greedy in any case.

    Args:
        model: Decoder-only model, as `Generator` takes it.
        tokenizer: Its `Tokenizer`.
        max_new_tokens: The most tokens to add; `None` for as many as the model reads.
        temperature: What logits are divided by before a token is drawn; 0 takes the most probable.
        top_k: Only the k most probable tokens are drawn from.
        top_p: Only the most probable ones that hold this probability together.
        min_p: Only those at least so probable, relative to the most probable one.
        repetition_penalty: Above 1 it avoids what was said.
        no_repeat_ngrams: So many tokens in a row are never said twice.
        min_length: Tokens before the end may come.
        forbid: Words, of one token each, that are never said.
        stop: Strings; the text ends before the first of them.
        samples: Texts of each prompt, of which a call gives the most probable one.
        seed: Gives the same text at every call of the same lines. Default `None`: others each time.
        sampler: A name or an object, as of `Generator`, in place of greedy search; a beam search
            ends where a `temperature` or one of the three after it is given.
        batch_size: The most prompts that are read at once.
        max_length: The most tokens of a prompt, and of what is read at once. Default `None`: as
            many as the model reads.
        **generation: Other arguments of `Generator`; `rules` come after those of `min_length` and
            before that of `temperature`.

    Call arguments:
        lines: A str, or a list of str.
        truncate: Whether of a line that is too long the end is continued. Default `False`: it is
            refused.
        progress: Whether to show on a terminal how far it is.
        **settings: `max_new_tokens`, `temperature` and so on to `sampler`, and `rules`, for this
            call.

    Returns:
        What follows, without the line itself: a str, or a list of str in the order of the lines.

    Raises:
        ValueError: as `Generator`; by its number from 1, for a line that is too long, for one that
            has characters unknown in training, and for an empty one, unless the model's texts
            begin with a token of their own.

    Example:

    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("character", ["a dog runs", "a cat"])
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=tokenizer.vocabulary_size, num_layers=1, num_heads=2, hidden_dim=8,
    ...     intermediate_dim=16, max_sequence_length=20, pad_id=None)
    >>> write = TextGenerator(kt.models.decoder_only(config), tokenizer, max_new_tokens=5)
    >>> "".join(write.stream("a c")) == write("a c")
    True
    >>> len(write(["a dog", "cats"], temperature=0.8, top_p=0.9, seed=1))
    2
    >>> [(best, score), (second, lower)] = write.n_best("a dog", n=2, temperature=0.8)
    >>> score >= lower
    True
    """

    recipes = ("causal_lm",)
    kinds = ("decoder",)

    def __init__(
        self,
        model: keras.Model,
        tokenizer: Tokenizer,
        max_new_tokens: int | None = 64,
        *,
        batch_size: int = 8,
        max_length: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(model, tokenizer, max_length)
        require(batch_size > 0, "batch_size to be positive", batch_size=batch_size)
        self.batch_size = batch_size
        self.cuts_left = True
        self.generation = {
            "end_id": tokenizer.end_id,
            "start_id": self.before[0] if self.before else None,
            "pad_id": tokenizer.pad_id or 0,
            "context": self.max_length,
        }
        for name in self.generation.keys() & settings.keys():
            self.generation[name] = settings.pop(name)
        ends = self.generation["end_id"]
        self.end_ids = {*np.atleast_1d([] if ends is None else ends).tolist()}
        self.settings = WritingSettings(max_new_tokens, **settings)
        special = [i for i in tokenizer.special_ids if i not in self.end_ids]
        shape = model.output_shape
        shape = shape["logits"] if isinstance(shape, dict) else shape
        special += range(tokenizer.vocabulary_size, shape[-1])  # what only fills up a table
        self.generators = Generators(model, tokenizer, special, **self.generation)
        self.generators(self.settings)  # so that what is wrong is said here

    @classmethod
    def _settings_of_published(cls, folder):
        return settings_of_published(folder)

    def __call__(
        self, lines: Lines, *, truncate: bool = False, progress: bool = False, **settings: Any
    ) -> Answers:
        if isinstance(lines, str):
            return self([lines], truncate=truncate, **settings)[0]
        asked = dataclasses.replace(self.settings, **settings)
        found = self._write(lines, asked, truncate, progress)
        return [texts[0][0] for texts in found]

    def n_best(
        self,
        lines: Lines,
        n: int = 3,
        *,
        truncate: bool = False,
        progress: bool = False,
        **settings: Any,
    ) -> Answers:
        """Several texts after each line, best first: samples, or hypotheses of a beam search.

        Returns:
            A list of `n` `(text, log-probability)` of a str, or a list of these of a list. A beam
            search divides its log-probabilities by its length penalty.
        """
        if isinstance(lines, str):
            return self.n_best([lines], n, truncate=truncate, **settings)[0]
        asked = dataclasses.replace(self.settings, **settings, samples=n)
        return self._write(lines, asked, truncate, progress)

    def stream(self, line: str, *, truncate: bool = False, **settings: Any) -> Iterator[str]:
        """The text of a call, of one sample, in pieces as they come.

        Args:
            line: A str.
            truncate: As of a call.
            **settings: As of a call.

        Returns:
            An iterator of str.

        Raises:
            ValueError: as a call; for a beam search, which changes its mind.
        """
        require(isinstance(line, str), "a str to stream from", line=line)
        asked = dataclasses.replace(self.settings, **{**settings, "samples": 1})
        generator = self.generators(asked)
        rows = self._checked_rows([line], truncate)
        return (piece for [piece] in generator.stream(rows, self._decode, asked.stop))

    def _around(self):
        packed = [x for x in self.model._flatten_layers() if isinstance(x, PackedLines)]
        return ([packed[0].start_id] if packed else list(self.tokenizer.prefix_ids)), []

    def _problem(self, line, row):
        if not row:
            return "an empty prompt"
        if self.tokenizer.unknown_id in row:
            unknown = self.tokenizer.unknown(line)
            shown = ", ".join(map(repr, unknown))
            return f"{shown} {'was' if len(unknown) == 1 else 'were'} never seen in training"
        return super()._problem(line, row)

    def _write(self, lines, settings, truncate, progress):
        """`(text, score)` of each sample of each line, best first."""
        rows = self._checked_rows(lines, truncate)
        found = [None] * len(rows)
        with progress_bar(len(rows), progress) as advance:
            for places in self._groups(rows, settings):
                texts, scores = self._texts([rows[i] for i in places], settings, places[0])
                for i, row, row_scores in zip(places, texts, scores, strict=True):
                    found[i] = [*zip(row, row_scores, strict=True)][: settings.samples]
                advance(len(places))
        return found

    def _groups(self, rows, settings):
        """Yields the places of prompts that are read at once, of similar lengths.

        What fills the context has its very length: others would change where it is read again.
        """

        def width(i):
            length = len(rows[i])
            return length if self._is_full(length, settings) else round_up(length)

        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for _, group in itertools.groupby(order, width):
            while places := [*itertools.islice(group, self.batch_size)]:
                yield places

    def _is_full(self, length, settings):
        """Whether a prompt and the most that may follow are more than is read at once."""
        new, most = settings.max_new_tokens, self.generation["context"]
        return new is None or (bool(most) and length + new - 1 > most)

    def _texts(self, rows, settings, place):
        """The texts and scores of a batch, two lists of lists."""
        generator = self.generators(settings, place)
        if isinstance(generator.sampler, Sampler):
            return generator.write(rows, self._decode, settings.stop)
        if self._is_full(len(rows[-1]), settings):
            generator = self.generators(dataclasses.replace(settings, max_new_tokens=None))
        sequences, scores = generator.n_best(rows)
        texts = [
            [self._after(row, own, settings.stop) for own in hypotheses[:, len(row) :].tolist()]
            for row, hypotheses in zip(rows, sequences, strict=True)
        ]
        return texts, scores.tolist()

    def _after(self, row, new, stop):
        """The text of new tokens after a prompt, before the first stop string."""
        ends = [i for i, token in enumerate(row, 1) if token in self.end_ids]
        tail = row[max(ends, default=0) :][-TAIL:]  # what a token says may depend on those before
        before, after = self._decode([tail, tail + new])
        text = after[len(before) :]
        return text[: min((text.index(end) for end in stop if end in text), default=None)]

    def _decode(self, rows):
        """As of the tokenizer, up to any of the ends."""
        ends = self.end_ids
        return self.tokenizer.decode(
            [[*itertools.takewhile(lambda token: token not in ends, row)] for row in rows]
        )
