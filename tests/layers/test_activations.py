"""Both GELUs, whose gradients are written out, beside Keras' own."""

import functools

import keras
import numpy as np
import pytest
from tiny import BACKEND, numpy

from keras_transformer.layers.activations import activation_function

X = np.linspace(-6, 6, 101, dtype="float32")
both_formulas = pytest.mark.parametrize(
    ("name", "approximate"), [("gelu", False), ("gelu_tanh", True)]
)


@both_formulas
def test_the_values_are_those_of_keras(name, approximate):
    y = numpy(activation_function(name)(keras.ops.convert_to_tensor(X)))
    expected = numpy(keras.ops.gelu(X, approximate=approximate))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere it is Keras' own function")
@both_formulas
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_gradient_is_that_of_keras(name, approximate, dtype):
    import tensorflow as tf

    x, upstream = tf.constant(X, dtype), tf.constant(np.cos(X), dtype)
    found = []
    keras_own = functools.partial(keras.ops.gelu, approximate=approximate)
    for function in (activation_function(name), keras_own):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        found.append(tf.cast(tape.gradient(y, x, upstream), "float32"))
    digits = 1e-5 if dtype == "float32" else 3e-2
    np.testing.assert_allclose(*found, rtol=digits, atol=digits)


def test_a_known_name_and_a_function_are_those_of_keras():
    assert activation_function("relu") is keras.activations.relu
    assert activation_function(keras.ops.tanh) is keras.ops.tanh
