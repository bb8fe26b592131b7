"""What is asked for: configs, command lines, settings of runs, samplers and rules."""

import contextlib
import dataclasses
import functools
import importlib
import json
import os
from pathlib import Path

import keras
from hypothesis import strategies as st

import keras_transformer as kt
from fuzzing import mutation
from fuzzing.judging import Target
from keras_transformer.generation import get_sampler
from keras_transformer.recipes.flags import flag_of, of_json
from keras_transformer.training.settings import check_recipe, read_settings

RECIPES = "translation", "masked_lm", "causal_lm", "text_classification"
CONFIGS = [
    kt.TransformerConfig(vocabulary_size=9),
    kt.TransformerConfig.preset("gpt_nano").modernized(),
    kt.TransformerConfig.preset(
        "bert_tiny",
        use_bias=["query_key_value", "output"],
        rotary_scaling={"rope_type": "linear", "factor": 2.0},
        position="rotary",
    ),
    kt.TransformerConfig.preset(
        "gpt_nano",
        rotary_scaling={
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    ),
]
NAMES = [field.name for field in dataclasses.fields(kt.TransformerConfig)]


def check_config(config):
    """A config that was accepted has a head size, and comes back from its JSON."""
    again = kt.TransformerConfig.from_json(config.to_json())
    assert again == config and again.to_json() == config.to_json()
    assert config.head_dim > 0
    with contextlib.suppress(ValueError):  # of a head size that is odd
        config.modernized()


def configs(folder):
    values = [json.loads(config.to_json()) for config in CONFIGS]

    def source(rng):
        return mutation.broken_json(rng, rng.choice(values))

    def check(data):
        check_config(kt.TransformerConfig.from_json(data.decode("utf-8", "replace")))

    return source, check


def fields(folder):
    """Configs of single wrong values, by name."""
    value = st.one_of(
        st.sampled_from(mutation.VALUES),
        st.integers(-5, 5),
        st.floats(),
        st.text(max_size=5),
        st.lists(st.text(max_size=5), max_size=3),
        st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
    )
    source = st.dictionaries(st.sampled_from([*NAMES, "unknown"]), value, max_size=3)
    source = source.map(lambda changes: {k: v for k, v in changes.items() if k != "unknown"})
    return source, lambda x: check_config(kt.TransformerConfig(**{"vocabulary_size": 9, **x}))


def recipe_settings(name):
    return importlib.import_module(f"keras_transformer.recipes.{name}").Settings


def settings_of(recipe):
    """What runs of a recipe store, without what looks for a model on the network."""
    cls = recipe_settings(recipe)
    values = [{**vars(cls(**changes)), "recipe": recipe} for changes in ({}, {"epochs": 3})]
    return [{k: v for k, v in value.items() if k != "from_zoo"} for value in values]


def stored(recipe, folder):
    """Settings of a run, as settings.json holds them."""
    cls, values = recipe_settings(recipe), settings_of(recipe)
    path = folder / "settings.json"
    os.chdir(folder)

    def source(rng):
        return mutation.broken_json(rng, rng.choice(values))

    def check(data):
        path.write_bytes(data)
        found = read_settings(path)
        check_recipe(path, found, recipe)
        cls(**{**of_json(path, cls, found), "name": "x"}).check()

    return source, check


def command_lines(recipe, folder):
    """Words as a shell gives them, those that are no UTF-8 included."""
    cls = recipe_settings(recipe)
    os.chdir(folder)
    (folder / "settings.json").write_text(json.dumps({"recipe": recipe, "epochs": 3}))
    (folder / "runs" / "old").mkdir(parents=True, exist_ok=True)
    (folder / "runs" / "old" / "settings.json").write_text(json.dumps({"recipe": recipe}))
    # Not what looks for a model on the network.
    names = [field.name for field in dataclasses.fields(cls) if field.name != "from_zoo"]
    known = [flag_of(name) for name in names] + [flag_of(f"no_{name}") for name in names]
    free = st.text(st.characters(exclude_characters="\0"), max_size=8)
    flag = st.one_of(
        st.sampled_from(known),
        st.sampled_from(known).map(lambda word: word[:-1]),
        st.sampled_from(names).map(lambda name: f"--{name}"),
        st.sampled_from(["--", "-", "-h", "--help", "-x", "---epochs", "--=", "--Epochs"]),
        free.map(lambda word: f"--{word}"),
    )
    value = st.one_of(
        st.sampled_from("1 0 -1 3 1e3 0.5 nan inf -inf 1e999 None none True yes [] {} ()".split()),
        st.sampled_from(["", " ", "1" * 5000, "old", "../x", "/", ".", "settings.json", "\udcff"]),
        st.sampled_from(["1_000", "0x10", "１", "1,2", "a b", "mixed_bfloat16", "bpe", "@f", "%s"]),
        st.integers().map(str),
        st.floats().map(repr),
        free,
    )
    part = st.one_of(
        flag.map(lambda word: [word]),
        st.tuples(flag, value).map(list),
        st.tuples(flag, value).map(lambda pair: ["=".join(pair)]),
        value.map(lambda word: [word]),
    )
    source = st.lists(part, max_size=4).map(lambda parts: [word for part in parts for word in part])

    def check(words):
        quiet = open(os.devnull, "w", errors="replace")  # noqa: SIM115
        with quiet, contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            chosen = cls.parse(words, "About.")
        assert Path("runs") in chosen.folder.parents
        assert isinstance(chosen, cls) and isinstance(chosen.epochs, int)
        chosen.is_built_in()

    return source, check


def old_settings(recipe, folder):
    """A command line that repeats or resumes a run whose settings.json is broken."""
    cls, values = recipe_settings(recipe), settings_of(recipe)
    os.chdir(folder)
    runs = folder / "runs" / "old"
    runs.mkdir(parents=True, exist_ok=True)
    paths = {"--settings": folder / "settings.json", "--resume": runs / "settings.json"}

    def source(rng):
        return rng.choice(list(paths)), mutation.broken_json(rng, rng.choice(values))

    def check(example):
        how, data = example
        paths[how].write_bytes(data)
        words = [how, str(paths[how])] if how == "--settings" else [how, "--name", "old"]
        cls.parse(words, "About.")

    return source, check


def parts(folder):
    """Samplers and rules, of configs."""
    generation = kt.generation
    valid = [
        generation.GreedySampler(),
        generation.RandomSampler(seed=1),
        generation.TopKSampler(3),
        generation.TopPSampler(0.5),
        generation.BeamSearch(2),
        generation.Temperature(0.5),
        generation.TopK(3),
        generation.TopP(0.5),
        generation.MinP(0.5),
        generation.RepetitionPenalty(1.5),
        generation.Renormalize(),
        generation.MinLength(3),
        generation.NoRepeatNgrams(2),
        generation.ForbiddenTokens([1, 2]),
        generation.ForbiddenSequence([1, 2]),
        generation.ForcedTokens([1], at=0),
    ]

    def source(rng):
        part = rng.choice(valid)
        if hasattr(part, "generate") and rng.random() < 0.3:
            config = keras.saving.serialize_keras_object(part)
            return None, mutation.changed(rng, config)
        return type(part), mutation.changed(rng, part.get_config())

    def check(example):
        kind, config = example
        part = get_sampler(config) if kind is None else kind.from_config(config)
        assert repr(part)
        again = type(part).from_config(part.get_config())
        assert repr(again) == repr(part)

    return source, check


TARGETS = {
    "configs": Target(150_000, configs),
    "configs, fields": Target(15_000, fields),
    **{f"{name}, stored": Target(40_000, functools.partial(stored, name)) for name in RECIPES},
    **{
        f"{name}, command lines": Target(1_500, functools.partial(command_lines, name))
        for name in RECIPES
    },
    **{
        f"{name}, old settings": Target(1_500, functools.partial(old_settings, name))
        for name in RECIPES
    },
    "samplers and rules": Target(60_000, parts),
}
