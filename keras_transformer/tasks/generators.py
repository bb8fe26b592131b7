"""The generators of a task, of settings that change from call to call."""

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import keras

from keras_transformer.checks import require
from keras_transformer.generation import BeamSearch, ForbiddenTokens, Generator, get_sampler
from keras_transformer.tasks.writing import SAMPLING, SHAPING, WritingSettings
from keras_transformer.text import Tokenizer


class Generators:
    """Makes generators of `WritingSettings`; what is compiled is kept, and knows no seed.

    Args:
        model: As `Generator` takes it.
        tokenizer: Its `Tokenizer`.
        never: Ids of tokens that are no text.
        **generation: The arguments of `Generator` that stay.

    Call arguments:
        settings: `WritingSettings`.
        place: With a seed, other numbers are drawn for each batch, by the place of its first line.

    Attributes:
        kept: The generators by their settings.
    """

    def __init__(
        self, model: keras.Model, tokenizer: Tokenizer, never: Sequence[int], **generation: Any
    ) -> None:
        self.model, self.tokenizer, self.generation = model, tokenizer, generation
        self.never = ForbiddenTokens(never)
        self.kept: dict[WritingSettings, Generator] = {}

    def __call__(self, settings: WritingSettings, place: int = 0) -> Generator:
        key = dataclasses.replace(settings, seed=None, stop=())
        if key not in self.kept:
            self.kept[key] = self._make(settings)
        generator = copy.copy(self.kept[key])
        sampler = generator.sampler = copy.copy(generator.sampler)
        seed = getattr(sampler, "seed", None) if settings.seed is None else settings.seed
        if seed is not None:
            sampler.seed = seed + place
        return generator

    def _make(self, settings):
        return Generator(
            self.model,
            max_new_tokens=settings.max_new_tokens,
            sampler=several(get_sampler(settings.search()), settings.samples),
            rules=[
                self.never,
                *self._forbidden(settings.forbid),
                *settings.made(SHAPING),
                *settings.rules,
                *settings.made(SAMPLING),
            ],
            **self.generation,
        )

    def _forbidden(self, words):
        """The rule against words, with and without a space before them."""
        found = []
        for word in words:
            spellings = self.tokenizer.encode([word, f" {word}"])
            tokens = [int(ids[0]) for ids in spellings if len(ids) == 1]
            received = f"{word!r}, which is {len(spellings[0])}"
            require(tokens, "words to forbid of one token", received)
            found += tokens
        return [ForbiddenTokens(found)] if found else []


def several(sampler: Any, count: int) -> Any:
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
