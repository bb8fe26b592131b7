"""Gradients of looked-up tables are as those of other weights."""

import keras
import numpy as np
import pytest
import tiny

from keras_transformer.backend.gradients import dense_gradient, sum_of_squares


def test_the_sum_of_squares():
    x = tiny.random_array(3, 4)
    assert float(sum_of_squares(keras.ops.convert_to_tensor(x))) == pytest.approx(np.sum(x**2))


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="others have dense ones alone")
def test_a_token_twice_has_the_sum_of_its_gradients():
    import tensorflow as tf

    gradient = tf.IndexedSlices(tf.ones((2, 3)), tf.constant([1, 1]), tf.constant([4, 3]))
    np.testing.assert_array_equal(dense_gradient(gradient)[:, 0], [0, 2, 0, 0])
    np.testing.assert_array_equal(dense_gradient(tf.ones(2)), [1, 1])
