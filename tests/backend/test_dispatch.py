"""An operation has a plain form, and each backend's own gives the same."""

import keras
import numpy as np
import pytest
from keras import ops
from tiny import numpy, random_array

from keras_transformer.backend.dispatch import Operation
from keras_transformer.backend.gelu import gelu, gelu_tanh
from keras_transformer.backend.layer_norm import layer_norm
from keras_transformer.backend.times_transposed import times_transposed

X = random_array(2, 3, 8)


def test_a_backend_s_own_form_is_called_and_no_other_s():
    @Operation
    def form():
        return "plain"

    assert form() == "plain"
    form.on("none")(lambda: "another's")
    assert form() == "plain"
    form.on(keras.config.backend())(lambda: "its own")
    assert (form(), form.plain()) == ("its own", "plain")


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        (gelu, (X,)),
        (gelu_tanh, (X,)),
        (layer_norm, (X, random_array(8, seed=1), random_array(8, seed=2), 1e-3)),
        (times_transposed, (X, random_array(2, 5, 8, seed=1))),
        (times_transposed, (X, random_array(5, 8, seed=1))),
    ],
)
def test_both_forms_compute_the_same(op, arguments):
    arguments = [ops.convert_to_tensor(x) if isinstance(x, np.ndarray) else x for x in arguments]
    found, expected = numpy(op(*arguments)), numpy(op.plain(*arguments))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
