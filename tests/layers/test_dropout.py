"""Dropout: its rate, its scale, and when it does nothing."""

import keras
import numpy as np
import pytest
from tiny import BACKEND, numpy, random_array, reload

from keras_transformer.layers.dropout import Dropout


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
def test_the_rate_and_the_scale(rate):
    size = 100_001  # odd: the random bits come in pairs
    dropped = numpy(Dropout(rate, seed=3)(np.ones(size, "float32"), training=True))
    share = np.mean(dropped == 0)
    assert abs(share - rate) < 5 * (rate * (1 - rate) / size) ** 0.5
    np.testing.assert_allclose(np.unique(dropped), [0, 1 / (1 - rate)], rtol=1e-4)


def test_values_are_dropped_independently_of_each_other():
    dropped = numpy(Dropout(0.5, seed=3)(np.ones((1000, 64), "float32"), training=True)) == 0
    correlations = np.corrcoef(dropped.T) - np.eye(64)
    assert abs(correlations).max() < 5 / 1000**0.5


def test_every_call_drops_other_values_and_a_seed_repeats_them():
    x = np.ones((50, 7), "float32")
    layer, again = Dropout(0.5, seed=3), Dropout(0.5, seed=3)
    first, second = numpy(layer(x, training=True)), numpy(layer(x, training=True))
    assert (first != second).any()
    np.testing.assert_array_equal(first, numpy(again(x, training=True)))


def test_nothing_is_dropped_outside_training_or_at_rate_0_and_all_at_rate_1():
    x = random_array(4, 3)
    np.testing.assert_array_equal(numpy(Dropout(0.5)(x)), x)
    np.testing.assert_array_equal(numpy(Dropout(0.0)(x, training=True)), x)
    assert not numpy(Dropout(1.0)(x, training=True)).any()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere it is Keras' own layer")
def test_the_gradient_passes_where_values_stay():
    import tensorflow as tf

    x = tf.ones((20, 5))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = Dropout(0.5)(x, training=True)
    np.testing.assert_array_equal(numpy(tape.gradient(y, x)), numpy(y))


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_stays(dtype):
    y = Dropout(0.1, dtype=dtype)(np.ones((8, 8), "float32"), training=True)
    assert keras.backend.standardize_dtype(y.dtype) == dtype.removeprefix("mixed_")


def test_it_is_saved_with_a_model(tmp_path):
    x = keras.Input((3,))
    model = reload(keras.Model(x, Dropout(0.25)(x)), tmp_path)
    assert type(model.layers[-1]) is Dropout
    assert model.layers[-1].rate == 0.25
