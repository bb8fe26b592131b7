"""Samplers go by name, by config or as they are."""

import keras
import numpy as np
import pytest
import tiny
from tiny import END

import keras_transformer as kt
from keras_transformer.generation import (
    BeamSearch,
    GreedySampler,
    RandomSampler,
    TopK,
    TopKSampler,
    TopPSampler,
    get_sampler,
)

SAMPLERS = {
    "greedy": GreedySampler,
    "top_k": TopKSampler,
    "top_p": TopPSampler,
    "random": RandomSampler,
    "beam": BeamSearch,
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_name_is_the_object_with_its_defaults(language_model, name, monkeypatch):
    random = np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: random(seed or 5))

    def generate(sampler):
        generator = kt.Generator(language_model, END, max_new_tokens=5, sampler=sampler)
        return generator.n_best([[5, 7, 3], [4]])

    with tiny.without_tracing():
        rows, scores = generate(name)
        for same in (SAMPLERS[name](), keras.saving.serialize_keras_object(SAMPLERS[name]())):
            other_rows, other_scores = generate(same)
            np.testing.assert_array_equal(rows, other_rows)
            np.testing.assert_array_equal(scores, other_scores)


def test_the_names_are_those_of_keras_hub_with_its_defaults():
    keras_hub = pytest.importorskip("keras_hub")
    for name, sampler in SAMPLERS.items():
        assert type(get_sampler(name)) is sampler
        peer = keras_hub.samplers.get(name).get_config()
        own = get_sampler(name).get_config()
        own = {"num_beams" if key == "beams" else key: value for key, value in own.items()}
        shared = {"k", "p", "seed", "num_beams"} & set(own) & set(peer)
        assert {key: own[key] for key in shared} == {key: peer[key] for key in shared}
        assert shared or name == "greedy"


def test_anything_that_generates_is_a_sampler_and_any_function_a_rule(language_model):
    class Own:
        """Not one of ours: it has what the generator asks of a sampler, and no more."""

        samples = width = 1

        def draw(self, max_new_tokens, batch):
            return np.zeros((max_new_tokens, batch), "float32")

        def generate(self, decoding, uniform, count):
            return GreedySampler().generate(decoding, uniform, count)

    def rule(logits, past):
        return logits

    own = Own()
    with tiny.without_tracing():
        generator = kt.Generator(language_model, END, sampler=own, rules=[rule])
        expected = kt.Generator(language_model, END)([[5, 7, 3]])
        np.testing.assert_array_equal(generator([[5, 7, 3]]), expected)
    assert generator.sampler is own


@pytest.mark.parametrize(
    ("unknown", "hint"),
    [
        ("topk", r" \(did you mean 'top_k'\?\)"),
        ("Greedy", r" \(did you mean 'greedy'\?\)"),
        ("contrastive", ""),
        (None, ""),
        (5, ""),
        ({"beams": 3}, ""),
        ({**keras.saving.serialize_keras_object(BeamSearch(2)), "registered_name": "no"}, ""),
        ({**keras.saving.serialize_keras_object(BeamSearch(2)), "config": {"beams": "2"}}, ""),
        (keras.saving.serialize_keras_object(TopK(3)), ""),
    ],
)
def test_unknown_ones_are_refused_with_the_names(unknown, hint):
    names = ", ".join(map(repr, SAMPLERS))
    with pytest.raises(ValueError, match=f"^Expected sampler to be one of {names}{hint}, the con"):
        get_sampler(unknown)
