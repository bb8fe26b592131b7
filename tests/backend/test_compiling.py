"""A function of a model, compiled: few programs, weights as they are, numbers as they are given."""

import keras
import numpy as np
import pytest
import tiny
from keras import ops

from keras_transformer.backend.compiling import compile_for, compiles


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])


def test_each_shape_and_each_number_is_a_program_and_no_value_is(model):
    traced = []

    def function(x, count, n):
        traced.append((tuple(x.shape), n))
        assert type(n) is int  # it may be a length
        return model(x) * ops.ones((n,)) + ops.cast(count, "float32")

    run = compile_for(model, function, static=["n"])
    calls = [(3, 1), (3, 1), (3, 2), (4, 2), (3, 2)]
    for count, (rows, n) in enumerate(calls):
        found = tiny.numpy(run(np.ones((rows, 2), "float32"), np.int32(count), n=n))
        np.testing.assert_allclose(found, np.full((rows, n), 2.0 + count))
    shapes = [((rows, 2), n) for rows, n in calls]
    assert len(traced) == (len(set(shapes)) if compiles() else len(shapes))
    assert set(traced) == set(shapes)


def test_weights_are_those_of_the_time_of_the_call(model):
    run, x = compile_for(model, lambda x: model(x)), np.ones((1, 2), "float32")
    assert float(run(x)[0, 0]) == 2
    model.layers[0].kernel.assign([[2.0], [3.0]])
    assert float(run(x)[0, 0]) == 5


def test_what_there_is_none_of_may_be_none(model):
    run = compile_for(model, lambda pair: pair[0] if pair[1] is None else None)
    assert float(run((np.float32(3), None))) == 3
