"""Learning rates by update: the papers' formulas, written out."""

import keras
import numpy as np
import pytest

from keras_transformer.training import InverseSquareRoot, LinearDecay, Noam, cosine_decay


def rates(schedule, updates):
    return [float(schedule(update - 1)) for update in updates]  # Keras counts from 0


def test_noam_is_the_formula_of_the_paper():
    updates = [1, 10, 3999, 4000, 4001, 100_000]
    expected = [512**-0.5 * min(n**-0.5, n * 4000**-1.5) for n in updates]
    np.testing.assert_allclose(rates(Noam(512, 4000), updates), expected, rtol=1e-6)
    doubled = rates(Noam(512, 4000, scale=2.0), updates)
    np.testing.assert_allclose(doubled, 2 * np.array(expected), rtol=1e-6)


def test_inverse_square_root_rises_linearly_and_then_falls():
    updates = np.arange(1, 1001)
    expected = np.where(updates < 100, 0.3 * updates / 100, 0.3 * np.sqrt(100 / updates))
    np.testing.assert_allclose(rates(InverseSquareRoot(0.3, 100), updates), expected, rtol=1e-6)


def test_linear_decay_rises_and_falls_on_two_lines():
    updates = np.arange(1, 1101)
    expected = np.interp(updates, [0, 100, 1001], [0, 0.3, 0])
    found = rates(LinearDecay(0.3, 100, 1000), updates)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)
    assert found[99] == max(found) and found[999] > 0
    assert found[1000:] == [0.0] * 100  # and never below


@pytest.mark.parametrize("total", [1, 5])
def test_a_warm_up_longer_than_the_training_is_cut(total):
    found = rates(LinearDecay(0.5, 100, total), range(1, total + 3))
    np.testing.assert_allclose(found[:total], 0.5 * np.arange(1, total + 1) / total, rtol=1e-6)
    assert found[total:] == [0.0, 0.0]


def test_cosine_decay_rises_on_a_line_and_falls_to_a_tenth():
    rate = cosine_decay(0.3, 100, 1100)
    steps = np.arange(0, 1101)
    found = np.array([float(rate(step)) for step in steps])
    np.testing.assert_allclose(found[:101], np.linspace(0.003, 0.3, 101), rtol=1e-5)
    half = 0.5 + 0.5 * np.cos(np.pi * (steps[100:] - 100) / 1000)
    np.testing.assert_allclose(found[100:], 0.3 * (0.1 + 0.9 * half), rtol=1e-4)
    assert found.max() == found[100] and found[1100] == pytest.approx(0.03)


@pytest.mark.parametrize("total", [1, 5])
def test_the_warm_up_of_a_cosine_is_cut_too(total):
    assert float(cosine_decay(0.5, 100, total)(total)) == pytest.approx(0.5)


def test_the_optimiser_uses_the_first_update_of_the_schedule_first():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.layers[0].set_weights([np.zeros((1, 1))])
    model.compile(keras.optimizers.SGD(InverseSquareRoot(0.5, 5)), "mse")
    model.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))  # gradient -2
    assert model.layers[0].get_weights()[0].item() == pytest.approx(2 * 0.5 / 5)


@pytest.mark.parametrize(
    "schedule", [InverseSquareRoot(0.3, 7), Noam(64, 7, 2.0), LinearDecay(0.3, 7, 50)]
)
def test_is_serialisable_alone_and_in_an_optimiser(schedule):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert type(copy) is type(schedule)
    assert copy.get_config() == schedule.get_config()
    adam = keras.optimizers.Adam.from_config(keras.optimizers.Adam(schedule).get_config())
    assert float(adam.learning_rate) == pytest.approx(float(schedule(0)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 10), "Received: peak=0"), ((0.1, 0), "Received: warmup_updates=0")],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        InverseSquareRoot(*arguments)


def test_noam_names_bad_arguments_too():
    with pytest.raises(ValueError, match="Received: warmup_updates=0"):
        Noam(512, 0)
    with pytest.raises(ValueError, match="Received: hidden_dim=0"):
        Noam(0, 10)


@pytest.mark.parametrize("schedule", [LinearDecay, cosine_decay])
@pytest.mark.parametrize("name", ["peak", "warmup_updates", "total_updates"])
def test_those_of_a_length_name_bad_arguments_too(schedule, name):
    with pytest.raises(ValueError, match=f"Received: {name}=0"):
        schedule(**{"peak": 0.1, "warmup_updates": 3, "total_updates": 9, name: 0})


@pytest.mark.parametrize(
    "schedule", [InverseSquareRoot(0.3, 7), Noam(64, 7, 2.0), LinearDecay(0.3, 7, 50)]
)
def test_files_with_the_names_of_before_are_read(schedule):
    stored = keras.saving.serialize_keras_object(schedule)
    stored["config"] = {
        name.replace("_updates", "_steps"): value for name, value in stored["config"].items()
    }
    assert "warmup_steps" in stored["config"]
    found = keras.saving.deserialize_keras_object(stored)
    assert found.get_config() == schedule.get_config()


def test_callers_with_the_names_of_before():
    rate = cosine_decay(0.3, warmup_steps=10, total_steps=20)
    assert float(rate(10)) == pytest.approx(0.3)
