"""Every sampler and rule can be printed, written as JSON, and made again from it."""

import json

import keras
import numpy as np
import pytest
import tiny

import keras_transformer as kt
from keras_transformer.generation import ForbiddenTokens, Past, RandomSampler, TopP

# Every public part, with a value for each argument that is not its default.
PARTS = {
    "BeamSearch": {
        "beams": 3,
        "length_penalty": 2.0,
        "n_best": 2,
        "penalty": "power",
        "early_stopping": False,
    },
    "ForbiddenSequence": {"token_ids": [2, 1]},
    "ForbiddenTokens": {"token_ids": [1, 3], "at": 2},
    "ForcedTokens": {"token_ids": [2], "at": 2},
    "GreedySampler": {},
    "MinLength": {"length": 3},
    "MinP": {"p": 0.3},
    "NoRepeatNgrams": {"n": 2},
    "RandomSampler": {"seed": 1, "samples": 2},
    "Renormalize": {},
    "RepetitionPenalty": {"penalty": 1.5},
    "Temperature": {"temperature": 0.5},
    "TopK": {"k": 2},
    "TopKSampler": {"k": 2, "seed": 1, "samples": 2},
    "TopP": {"p": 0.6},
    "TopPSampler": {"p": 0.6, "seed": 1, "samples": 2},
}
OTHERS = {"Generator", "Past", "get_sampler"}  # no parts
parts = pytest.mark.parametrize("name", sorted(set(kt.generation.__all__) - OTHERS))


def make(name):
    return getattr(kt.generation, name)(**PARTS[name])


def through_json(part):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(part)))
    return keras.saving.deserialize_keras_object(config)


@parts
def test_config(name):
    part = make(name)
    assert part.get_config() == PARTS[name]
    assert type(part).from_config(part.get_config()).get_config() == PARTS[name]
    registered = keras.saving.get_registered_name(type(part))
    assert registered == f"keras_transformer>{name}"
    again = through_json(part)
    assert type(again) is type(part) and again.get_config() == PARTS[name]


@parts
def test_it_prints_as_it_is_made(name):
    part = make(name)
    again = eval(repr(part), vars(kt.generation).copy())
    assert type(again) is type(part) and again.get_config() == PARTS[name]


@pytest.fixture(scope="module")
def model():
    return tiny.make_talkative("decoder_only")


def behaviour(part, model):
    if not hasattr(part, "generate"):  # a rule
        token_ids = tiny.ops.convert_to_tensor(np.array([[2, 0, 1, 2, -1]], "int32"))
        logits = tiny.ops.convert_to_tensor(np.array([[0.1, 2.0, 0.3, 1.5]], "float32"))
        return [part(logits, Past(token_ids, 4, 2, (1,)))]
    with tiny.without_tracing():
        generator = kt.Generator(model, tiny.END, max_new_tokens=5, sampler=part)
        return generator.n_best([[5, 7, 3], [4]])


@parts
def test_what_is_made_again_does_the_same(name, model):
    part = make(name)
    pairs = zip(behaviour(part, model), behaviour(through_json(part), model), strict=True)
    for one, other in pairs:
        np.testing.assert_array_equal(tiny.numpy(one), tiny.numpy(other))


def test_arguments_of_numpy_are_json_too():
    parts = [TopP(np.float64(0.5)), RandomSampler(np.int64(3)), ForbiddenTokens(np.array([1, 2]))]
    assert [through_json(part).get_config() for part in parts] == [
        {"p": 0.5},
        {"seed": 3, "samples": 1},
        {"token_ids": [1, 2], "at": None},
    ]


def test_a_subclass_of_a_users_own():
    @keras.saving.register_keras_serializable("tests")
    class Careful(RandomSampler):
        def __init__(self, risk, seed=None):
            super().__init__(seed)
            self.risk = risk

    again = through_json(Careful(0.5, seed=2))
    assert repr(again) == "Careful(risk=0.5, seed=2)"

    class Silent(RandomSampler):
        def __init__(self, loudness):
            super().__init__(seed=loudness)

    assert repr(Silent(3)) == "Silent()"


@pytest.mark.parametrize(
    "kind, config",
    [
        (TopP, []),
        (TopP, {"p": "0.5"}),
        (TopP, {"q": 0.5}),
        (ForbiddenTokens, {"token_ids": 3}),
        (ForbiddenTokens, {"token_ids": ["b"]}),
        (RandomSampler, {"samples": ["a"]}),
    ],
)
def test_a_config_of_something_else_is_refused(kind, config):
    with pytest.raises(ValueError, match=f"^Expected the config of a {kind.__name__}. Received: "):
        kind.from_config(config)
