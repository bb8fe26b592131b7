"""The two forms of Adam's update agree."""

import keras
import numpy as np
import pytest
import tiny

from keras_transformer.backend.adam import adam_update, adam_update_at_once, is_one_operation


def updated(form, rates=(0.1, 0.05)):
    optimizer = keras.optimizers.Adam(beta_1=0.8, beta_2=0.98, epsilon=1e-5)
    variable = keras.Variable(np.ones((3, 2), "float32"))
    optimizer.build([variable])
    for number, rate in enumerate(rates):
        gradient = keras.ops.convert_to_tensor(tiny.random_array(3, 2).astype("float32") + number)
        form(optimizer, gradient, variable, rate)
        optimizer.iterations.assign(number + 1)
    return [tiny.numpy(v) for v in (variable, *optimizer.variables)]


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="TensorFlow's own operation")
def test_one_operation_updates_as_keras_does():
    for one, other in zip(updated(adam_update_at_once), updated(adam_update.plain), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="TensorFlow's own operation")
def test_what_the_operation_cannot_do_is_done_plainly():
    optimizer = keras.optimizers.Adam()
    number, half = keras.Variable(1.0), keras.Variable(1.0, dtype="bfloat16")
    gradient = keras.ops.ones(())
    assert is_one_operation(optimizer, gradient, number)
    assert not is_one_operation(optimizer, gradient, half)
    assert not is_one_operation(optimizer, keras.ops.cast(gradient, "bfloat16"), number)
    assert not is_one_operation(keras.optimizers.Adam(amsgrad=True), gradient, number)
