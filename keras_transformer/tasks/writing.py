"""How a text goes on: the settings, and what of `generation` is made of them."""

import dataclasses
from pathlib import Path
from typing import Any

from keras_transformer.checks import require
from keras_transformer.generation import (
    BeamSearch,
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
from keras_transformer.generation.rules import Rule
from keras_transformer.zoo.generation import generation_settings

# By the settings that they are made of, in the order in which they apply: these and others shape
# what may be said, and those of `SAMPLING` then choose among it.
SHAPING = {
    "repetition_penalty": RepetitionPenalty,
    "no_repeat_ngrams": NoRepeatNgrams,
    "min_length": MinLength,
}
SAMPLING = {"temperature": Temperature, "top_k": TopK, "top_p": TopP, "min_p": MinP}


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
class WritingSettings(Writing):
    """The settings of a `TextGenerator`, whose docstring says what each of them means."""

    sampler: object = None
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        for name in ("forbid", "stop", "rules"):
            value = getattr(self, name)
            value = (value,) if isinstance(value, str) else tuple(value)
            object.__setattr__(self, name, value)
        if isinstance(self.sampler, dict):  # a config, which no dictionary can have as a key
            object.__setattr__(self, "sampler", get_sampler(self.sampler))
        require(all(self.stop), "stop strings with text", stop=self.stop)
        require(self.samples > 0, "samples to be positive", samples=self.samples)

    def made(self, rules: dict[str, type]) -> list[Rule]:
        """The rules, of `SHAPING` or `SAMPLING`, that are asked for."""
        values = {name: getattr(self, name) for name in rules}
        if not self.temperature:  # of 0 the most probable is taken
            values.pop("temperature", None)
        return [rules[name](value) for name, value in values.items() if value is not None]

    def search(self) -> object:
        """What chooses the tokens."""
        if self.temperature == 0:
            return "greedy"
        is_random = any(getattr(self, name) is not None for name in SAMPLING)
        if is_random and (self.sampler in (None, "beam") or isinstance(self.sampler, BeamSearch)):
            return RandomSampler()
        return self.sampler or "greedy"


def settings_of_published(folder: Path) -> dict[str, Any]:
    """The arguments of a `TextGenerator` that a published folder says."""
    found = generation_settings(folder)
    found["max_length"] = found.pop("context")
    if found["end_id"] is None:
        del found["end_id"]
    sampler = found.pop("sampler")
    if isinstance(sampler, BeamSearch):
        found |= {"sampler": sampler, "samples": sampler.n_best}
    if isinstance(sampler, RandomSampler):
        found |= {"temperature": 1.0, "samples": sampler.samples}
    names = {rule: name for name, rule in (SHAPING | SAMPLING).items()}
    own = [rule for rule in found["rules"] if type(rule) in names]
    found["rules"] = [rule for rule in found["rules"] if rule not in own]
    for rule in own:  # each of one number
        [found[names[type(rule)]]] = vars(rule).values()
    return found
