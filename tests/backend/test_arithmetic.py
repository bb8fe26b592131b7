"""What is computed otherwise than written is what is written."""

import numpy as np
import pytest
from keras import ops
from tiny import BACKEND, numpy, random_array

from keras_transformer.backend.softmax import softmax_and_log_total
from keras_transformer.backend.times_transposed import times_transposed

SHAPES = pytest.mark.parametrize(
    ("x", "y"), [((2, 3, 4), (5, 4)), ((3, 4), (5, 4)), ((2, 6, 3, 4), (2, 6, 5, 4))]
)


@SHAPES
def test_it_is_the_product_with_the_transpose(x, y):
    x, y = random_array(*x), random_array(*y)
    expected = np.matmul(x, np.swapaxes(y, -1, -2))
    product = numpy(times_transposed(ops.convert_to_tensor(x), ops.convert_to_tensor(y)))
    np.testing.assert_allclose(product, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere it is a product and a transpose")
@SHAPES
def test_its_gradient_has_no_transpose(x, y):
    import tensorflow as tf

    @tf.function
    def gradient(x, y):
        with tf.GradientTape() as tape:
            tape.watch((x, y))
            z = tf.square(times_transposed(x, y))
        return tape.gradient(z, (x, y))

    x, y = tf.constant(random_array(*x)), tf.constant(random_array(*y))
    for found, matrix in zip(gradient(x, y), (x, y), strict=True):
        assert found.shape == matrix.shape
    used = {op.type for op in gradient.get_concrete_function(x, y).graph.get_operations()}
    assert "Transpose" not in used and used & {"MatMul", "BatchMatMulV2"}


def test_a_softmax_and_the_log_of_its_total():
    logits = np.concatenate([30 * random_array(3, 9), np.full((1, 9), -1e9), [[-200.0] * 8 + [99]]])
    logits = logits.astype("float32")
    found = [numpy(x) for x in softmax_and_log_total(ops.convert_to_tensor(logits))]
    largest = logits.max(axis=-1, keepdims=True)
    powers = np.exp((logits - largest).astype("float64"))
    total = powers.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(found[0], powers / total, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found[1], (np.log(total) + largest)[:, 0], rtol=1e-6)
