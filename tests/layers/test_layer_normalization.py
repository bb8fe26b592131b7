"""Layer normalisation beside Keras' own."""

import keras
import numpy as np
import pytest
from tiny import BACKEND, numpy, random_array, reload

from keras_transformer.layers.normalization import LayerNormalization

SHAPE = 3, 5, 8


def pair(epsilon=1e-3, **kwargs):
    """Ours and Keras', with the same random scale and shift."""
    layers = (
        LayerNormalization(epsilon=epsilon, **kwargs),
        keras.layers.LayerNormalization(epsilon=epsilon, **kwargs),
    )
    for layer in layers:
        layer.build(SHAPE)
        layer.set_weights([random_array(8, seed=1), random_array(8, seed=2)])
    return layers


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_the_output_is_that_of_keras(dtype):
    x = 10 + 3 * random_array(*SHAPE)
    ours, keras_layer = pair(dtype=dtype)
    y, expected = ours(x), keras_layer(x)
    assert y.dtype == expected.dtype
    digits = 1e-5 if dtype == "float32" else 2e-2
    np.testing.assert_allclose(
        numpy(y).astype("float32"), numpy(expected).astype("float32"), rtol=digits, atol=digits
    )


@pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere it is Keras' own layer")
@pytest.mark.parametrize("shape", [SHAPE, (4, 8)])
def test_the_gradients_are_those_of_keras(shape):
    import tensorflow as tf

    x, upstream = tf.constant(random_array(*shape)), tf.constant(random_array(*shape, seed=3))
    found = []
    for layer in pair():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        variables = [v.value for v in layer.trainable_variables]
        found.append(tape.gradient(y, [x, *variables], upstream))
    for ours, expected in zip(*found, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_a_constant_row_is_finite():
    y = numpy(LayerNormalization(epsilon=1e-12)(np.full((1, 8), 7.0, "float32")))
    np.testing.assert_allclose(y, 0.0, atol=1e-3)


def test_it_keeps_masks_and_is_saved(tmp_path):
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(5, 4, mask_zero=True)(ids)
    model = keras.Model(ids, LayerNormalization(epsilon=0.5)(x))
    assert keras.src.backend.get_keras_mask(model.output) is not None
    layer = reload(model, tmp_path).layers[-1]
    assert type(layer) is LayerNormalization and layer.epsilon == 0.5
