"""Prompts to what follows them."""

import copy
import dataclasses
import itertools

import numpy as np

from keras_transformer.checks import require
from keras_transformer.data import round_up
from keras_transformer.generation import (
    BeamSearch,
    ForbiddenTokens,
    Generator,
    MinLength,
    MinP,
    NoRepeatNgrams,
    RandomSampler,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    get_sampler,
)
from keras_transformer.generation.samplers import Sampler
from keras_transformer.tasks.task import Task, progress_bar
from keras_transformer.zoo.generation import generation_settings

# By the settings that they are made of, in the order in which they apply: these and others shape
# what may be said, and those of `_SAMPLING` then choose among it.
_SHAPING = {
    "repetition_penalty": RepetitionPenalty,
    "no_repeat_ngrams": NoRepeatNgrams,
    "min_length": MinLength,
}
_SAMPLING = {"temperature": Temperature, "top_k": TopK, "top_p": TopP, "min_p": MinP}
_TAIL = 4  # tokens of a prompt that are decoded with what follows


@dataclasses.dataclass(frozen=True)
class Writing:
    """How a text goes on, in values that a command line or a request can hold.

    Example:

    >>> Writing(temperature=0.8, stop=(".",)).max_new_tokens
    64
    """

    max_new_tokens: int | None = 64  # most tokens to add; none for as many as the model reads
    temperature: float | None = None  # what logits are divided by; 0 takes the likeliest token
    top_k: int | None = None  # choose among the k likeliest tokens
    top_p: float | None = None  # among the likeliest that hold this probability together
    min_p: float | None = None  # among those at least so probable, relative to the likeliest
    repetition_penalty: float | None = None  # above 1 avoids what was said
    no_repeat_ngrams: int | None = None  # never say so many tokens in a row twice
    min_length: int | None = None  # tokens before the end may come
    forbid: tuple[str, ...] = ()  # words, of one token each, never to be said
    stop: tuple[str, ...] = ()  # end before the first of these strings
    samples: int = 1  # texts of each prompt, of which the most probable is best
    seed: int | None = None  # gives the same text again


@dataclasses.dataclass(frozen=True)
class Settings(Writing):
    """The settings of a `TextGenerator`, whose docstring says what each of them means."""

    sampler: object = None
    rules: tuple = ()

    def __post_init__(self):
        for name in ("forbid", "stop", "rules"):
            value = getattr(self, name)
            value = (value,) if isinstance(value, str) else tuple(value)
            object.__setattr__(self, name, value)
        if isinstance(self.sampler, dict):  # a config, which no dictionary can have as a key
            object.__setattr__(self, "sampler", get_sampler(self.sampler))
        require(all(self.stop), "stop strings with text", stop=self.stop)
        require(self.samples > 0, "samples to be positive", samples=self.samples)

    def made(self, rules):
        """The rules, by setting, that are asked for."""
        values = {name: getattr(self, name) for name in rules}
        if not self.temperature:  # of 0 the most probable is taken
            values.pop("temperature", None)
        return [rules[name](value) for name, value in values.items() if value is not None]

    def search(self):
        """What chooses the tokens."""
        if self.temperature == 0:
            return "greedy"
        is_random = any(getattr(self, name) is not None for name in _SAMPLING)
        if is_random and (self.sampler in (None, "beam") or isinstance(self.sampler, BeamSearch)):
            return RandomSampler()
        return self.sampler or "greedy"


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
        self, model, tokenizer, max_new_tokens=64, *, batch_size=8, max_length=None, **settings
    ):
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
        self.settings = Settings(max_new_tokens, **settings)
        special = [i for i in tokenizer.special_ids if i not in self.end_ids]
        shape = model.output_shape
        shape = shape["logits"] if isinstance(shape, dict) else shape
        special += range(tokenizer.vocabulary_size, shape[-1])  # what only fills up a table
        self.never = ForbiddenTokens(special)
        self.generators = {}
        self._generator(self.settings)  # so that what is wrong is said here

    @classmethod
    def _settings_of_published(cls, folder):
        found = generation_settings(folder)
        found["max_length"] = found.pop("context")
        if found["end_id"] is None:
            del found["end_id"]
        sampler = found.pop("sampler")
        if isinstance(sampler, BeamSearch):
            found |= {"sampler": sampler, "samples": sampler.n_best}
        if isinstance(sampler, RandomSampler):
            found |= {"temperature": 1.0, "samples": sampler.samples}
        names = {rule: name for name, rule in (_SHAPING | _SAMPLING).items()}
        own = [rule for rule in found["rules"] if type(rule) in names]
        found["rules"] = [rule for rule in found["rules"] if rule not in own]
        for rule in own:  # each of one number
            [found[names[type(rule)]]] = vars(rule).values()
        return found

    def __call__(self, lines, *, truncate=False, progress=False, **settings):
        if isinstance(lines, str):
            return self([lines], truncate=truncate, **settings)[0]
        settings = dataclasses.replace(self.settings, **settings)
        found = self._write(lines, settings, truncate, progress)
        return [texts[0][0] for texts in found]

    def n_best(self, lines, n=3, *, truncate=False, progress=False, **settings):
        """Several texts after each line, best first: samples, or hypotheses of a beam search.

        Returns:
            A list of `n` `(text, log-probability)` of a str, or a list of these of a list. A beam
            search divides its log-probabilities by its length penalty.
        """
        if isinstance(lines, str):
            return self.n_best([lines], n, truncate=truncate, **settings)[0]
        settings = dataclasses.replace(self.settings, **settings, samples=n)
        return self._write(lines, settings, truncate, progress)

    def stream(self, line, *, truncate=False, **settings):
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
        settings = dataclasses.replace(self.settings, **{**settings, "samples": 1})
        generator = self._generator(settings)
        rows = self._checked_rows([line], truncate)
        return (piece for [piece] in generator.stream(rows, self._decode, settings.stop))

    def _around(self):
        start = self.config.line_start_id if self.config else None
        return (list(self.tokenizer.prefix_ids) if start is None else [start]), []

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
        generator = self._generator(settings, place)
        if isinstance(generator.sampler, Sampler):
            return generator.write(rows, self._decode, settings.stop)
        if self._is_full(len(rows[-1]), settings):
            generator = self._generator(dataclasses.replace(settings, max_new_tokens=None))
        sequences, scores = generator.n_best(rows)
        texts = [
            [self._after(row, own, settings.stop) for own in hypotheses[:, len(row) :].tolist()]
            for row, hypotheses in zip(rows, sequences, strict=True)
        ]
        return texts, scores.tolist()

    def _after(self, row, new, stop):
        """The text of new tokens after a prompt, before the first stop string."""
        ends = [i for i, token in enumerate(row, 1) if token in self.end_ids]
        tail = row[max(ends, default=0) :][-_TAIL:]  # what a token says may depend on those before
        before, after = self._decode([tail, tail + new])
        text = after[len(before) :]
        return text[: min((text.index(end) for end in stop if end in text), default=None)]

    def _decode(self, rows):
        """As of the tokenizer, up to any of the ends."""
        ends = self.end_ids
        return self.tokenizer.decode(
            [[*itertools.takewhile(lambda token: token not in ends, row)] for row in rows]
        )

    def _generator(self, settings, place=0):
        """A generator of these settings; what is compiled is kept, and knows no seed.

        With a seed it draws other numbers for each batch, by the place of its first line.
        """
        key = dataclasses.replace(settings, seed=None, stop=())
        if key not in self.generators:
            generator = Generator(
                self.model,
                max_new_tokens=settings.max_new_tokens,
                sampler=_several(get_sampler(settings.search()), settings.samples),
                rules=[
                    self.never,
                    *self._forbidden(settings.forbid),
                    *settings.made(_SHAPING),
                    *settings.rules,
                    *settings.made(_SAMPLING),
                ],
                **self.generation,
            )
            self.generators[key] = generator
        generator = copy.copy(self.generators[key])
        sampler = generator.sampler = copy.copy(generator.sampler)
        seed = getattr(sampler, "seed", None) if settings.seed is None else settings.seed
        if seed is not None:
            sampler.seed = seed + place
        return generator

    def _forbidden(self, words):
        """The rule against words, with and without a space before them."""
        found = []
        for word in words:
            spellings = self.tokenizer.encode([word, f" {word}"])
            tokens = [int(ids[0]) for ids in spellings if len(ids) == 1]
            if not tokens:
                raise ValueError(
                    f"Expected words to forbid of one token. Received: {word!r}, "
                    f"which is {len(spellings[0])}"
                )
            found += tokens
        return [ForbiddenTokens(found)] if found else []


def _several(sampler, count):
    """A sampler like this one that gives so many texts of a prompt."""
    if isinstance(sampler, BeamSearch):
        names = "length_penalty", "penalty", "early_stopping"
        others = {name: getattr(sampler, name) for name in names}
        return BeamSearch(max(count, sampler.beams), n_best=count, **others)
    sampler = copy.copy(sampler)
    if hasattr(sampler, "seed"):
        sampler.samples = max(count, sampler.samples)
    require(
        sampler.samples >= count,
        "a temperature, or a sampler other than 'greedy', for texts that differ",
        samples=count,
    )
    return sampler
