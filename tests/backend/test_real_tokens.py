"""Padding is left out of what is done to every token by itself."""

import keras
import numpy as np
import pytest
from keras import ops
from tiny import BACKEND, config, make, numpy, random_array, randomize

import keras_transformer as kt
from keras_transformer.backend.real_tokens import at_real_tokens

on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere shapes are known")
MASKS = {
    "right": [[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]],
    "left": [[0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 1]],
    "holes": [[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 1, 0]],
    "nothing but padding": [[0] * 4] * 3,
    "no padding": [[1] * 4] * 3,
}
all_masks = pytest.mark.parametrize("mask", [np.array(m, bool) for m in MASKS.values()], ids=MASKS)


def make_layer():
    layer = kt.FeedForward(5, activation="gelu")
    layer.build((None, None, 2))
    return layer


@all_masks
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"], indirect=True)
def test_real_tokens_get_what_the_function_makes_of_them(mask, precision):
    x, layer = random_array(3, 4, 2), make_layer()
    found = at_real_tokens(layer, ops.convert_to_tensor(x), ops.convert_to_tensor(mask))
    found, expected = (numpy(ops.cast(y, "float32")) for y in (found, layer(x)))
    digits = 1e-5 if precision == "float32" else 2e-2
    np.testing.assert_allclose(found[mask], expected[mask], rtol=digits, atol=digits)


@on_tensorflow
@all_masks
def test_the_function_does_not_get_padding(mask):
    seen = []

    def function(x):
        seen.append(tuple(x.shape))
        return x

    x = random_array(3, 4, 2)
    y = at_real_tokens(function, ops.convert_to_tensor(x), ops.convert_to_tensor(mask))
    real = mask.copy()
    real[0, 0] = True  # there is always one
    assert seen == [(1, real.sum(), 2)]
    np.testing.assert_array_equal(numpy(y), x * real[..., None])


@on_tensorflow
@all_masks
@pytest.mark.parametrize("jit_compile", [False, True])
def test_gradients_are_those_of_all_tokens_where_they_count(mask, jit_compile):
    import tensorflow as tf

    layer, mask = make_layer(), tf.constant(mask)
    x, upstream = tf.constant(random_array(3, 4, 2)), tf.constant(random_array(3, 4, 2, seed=1))

    def gradients(apply):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(apply(x) * upstream * tf.cast(mask, "float32")[..., None])
        return tape.gradient(loss, [x, *(w.value for w in layer.trainable_variables)])

    expected = gradients(layer)
    compiled = tf.function(gradients, jit_compile=jit_compile)
    for one, other in zip(
        compiled(lambda x: at_real_tokens(layer, x, mask)), expected, strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_without_a_mask_the_tokens_are_left_as_they_are():
    x = ops.ones((2, 3, 4))
    assert at_real_tokens(lambda y: y, x, None) is x


@pytest.mark.parametrize("block", [kt.EncoderBlock, kt.DecoderBlock])
@pytest.mark.parametrize("normalize_first", [False, True])
def test_blocks_give_real_tokens_the_same_with_and_without_padding(block, normalize_first):
    layer = block(2, 16, normalize_first=normalize_first)
    x, mask = random_array(2, 5, 8), np.arange(5) < np.array([[5], [3]])
    y = numpy(layer(x, mask=ops.convert_to_tensor(mask)))
    np.testing.assert_allclose(y[1:, :3], numpy(layer(x[1:, :3])), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(y[:1], numpy(layer(x[:1])), rtol=1e-4, atol=1e-5)


def test_a_model_trains_on_padded_rows():
    config = kt.TransformerConfig(
        vocabulary_size=9, num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=16
    )
    model = kt.models.sequence_classifier(config, 2, pooling="mean")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss)
    ids = np.array([[3, 4, 0, 0], [5, 0, 0, 0], [3, 3, 4, 4], [5, 5, 5, 0]])
    history = model.fit(ids, np.array([0, 1, 0, 1]), epochs=30, verbose=0).history["loss"]
    assert history[-1] < 0.1 < history[0]


@on_tensorflow
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("family", ["encoder", "decoder", "sequence_classifier", "encoder_decoder"])
def test_gradients_of_each_row_by_itself_are_found_for_all_rows_at_once(family, compiled):
    import tensorflow as tf

    ids = tf.constant([[3, 4, 5, 6, 7], [3, 4, 5, 0, 0], [3, 0, 0, 0, 0]])
    row = keras.Input((None,), dtype="int32")
    if family in ("encoder", "decoder"):
        block = {"encoder": kt.EncoderBlock, "decoder": kt.DecoderBlock}[family](2, 16)
        x = keras.layers.Embedding(11, 8, mask_zero=True)(row)
        model = keras.Model(row, keras.layers.GlobalAveragePooling1D()(block(x)))
    elif family == "encoder_decoder":
        model = make(family)
    else:
        model = randomize(kt.models.sequence_classifier(config(), 3))
    values = [weight.value for weight in model.trainable_variables]

    def gradients(row):
        with tf.GradientTape() as tape:
            rows = [row[None]] * len(model.inputs)
            y = model(rows if len(rows) > 1 else rows[0])
            loss = tf.reduce_sum(tf.square(y))
        return [tf.convert_to_tensor(g) for g in tape.gradient(loss, values)]

    if compiled:
        found = tf.function(lambda ids: tf.vectorized_map(tf.function(gradients), ids))(ids)
    else:
        found = tf.vectorized_map(gradients, ids)
    for i, row in enumerate(ids):
        for one, other in zip(found, gradients(row), strict=True):
            np.testing.assert_allclose(one[i], other, rtol=1e-3, atol=1e-4)
