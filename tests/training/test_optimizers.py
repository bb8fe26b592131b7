"""Matrices fade, biases and scales do not."""

import keras
import numpy as np
import pytest
import tiny
from keras import ops

import keras_transformer as kt
from keras_transformer.training import LinearDecay, adamw

RATE, DECAY = 0.1, 0.5


def make_model():
    ids = keras.Input((3,), dtype="int32")
    x = keras.layers.Embedding(7, 4, name="table")(ids)
    x = keras.layers.LayerNormalization(name="norm")(x)
    x = keras.layers.Dense(2, name="dense")(x)
    return tiny.randomize(keras.Model(ids, x))


def fit_without_gradient(model, optimizer, epochs=3):
    def nothing(labels, outputs):
        return 0.0 * ops.sum(outputs, axis=(1, 2))

    before = {w.path: tiny.numpy(w).copy() for w in model.trainable_weights}
    model.compile(optimizer, nothing)
    model.fit(np.ones((2, 3), "int32"), np.ones((2, 3, 2)), epochs=epochs, verbose=0)
    return [(w, before[w.path], tiny.numpy(w)) for w in model.trainable_weights]


def test_without_a_gradient_matrices_shrink_and_vectors_stay():
    model = make_model()
    for weight, before, after in fit_without_gradient(model, adamw(model, RATE, DECAY)):
        factor = (1 - RATE * DECAY) ** 3 if len(weight.shape) > 1 else 1
        np.testing.assert_allclose(after, before * factor, rtol=1e-5, err_msg=weight.path)


def test_the_decay_follows_the_schedule():
    model, rate = make_model(), LinearDecay(RATE, 2, 4)
    factor = np.prod([1 - DECAY * float(rate(step)) for step in range(6)])
    for weight, before, after in fit_without_gradient(model, adamw(model, rate, DECAY), epochs=6):
        if len(weight.shape) > 1:
            np.testing.assert_allclose(after, before * factor, rtol=1e-5)


def test_a_model_of_matrices_alone():
    model = keras.Sequential([keras.Input((3,), dtype="int32"), keras.layers.Embedding(7, 2)])
    for _, before, after in fit_without_gradient(model, adamw(model, RATE, DECAY), epochs=1):
        np.testing.assert_allclose(after, before * (1 - RATE * DECAY), rtol=1e-5)


@pytest.mark.parametrize("position", ["learned", "rotary"])
def test_what_is_spared_in_a_transformer(position):
    model = kt.models.masked_language_model(tiny.config(position=position, embedding_norm=True))
    optimizer = adamw(model, RATE)
    optimizer.build(model.trainable_variables)
    decayed = [v for v in model.trainable_variables if optimizer._use_weight_decay(v)]
    spared = [v for v in model.trainable_variables if not optimizer._use_weight_decay(v)]
    assert {v.name for v in decayed} <= {"kernel", "embeddings", "position_embeddings"}
    assert {v.name for v in spared} == {"bias", "gamma", "beta"}


def test_gradients_are_clipped_together():
    model = make_model()
    assert adamw(model, RATE, clip_norm=0.5).global_clipnorm == 0.5
    for nothing in (None, 0):
        assert adamw(model, RATE, clip_norm=nothing).global_clipnorm is None
    assert adamw(model, RATE, beta_2=0.98).beta_2 == 0.98


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_updates_are_those_of_keras(name, policy):
    """With dense and sparse gradients, a schedule, clipping and other settings."""
    settings = {"beta_1": 0.8, "beta_2": 0.98, "epsilon": 1e-5, "global_clipnorm": 0.5}
    x, y = np.arange(18).reshape(6, 3) % 7, tiny.random_array(6, 3, 2)
    weights = []
    for module in (kt.training, keras.optimizers):
        keras.config.set_dtype_policy(policy)
        try:
            model = make_model()
        finally:
            keras.config.set_dtype_policy("float32")
        model.compile(getattr(module, name)(LinearDecay(0.05, 2, 9), **settings), "mse")
        model.fit(x, y, batch_size=2, epochs=2, shuffle=False, verbose=0)
        weights.append([tiny.numpy(w) for w in model.weights])
    for ours, expected in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=2e-5)


def test_the_optimizer_is_saved_with_a_model(tmp_path):
    model = make_model()
    model.compile(kt.training.AdamW(1e-2), "mse")
    x, y = np.ones((2, 3), "int32"), np.ones((2, 3, 2))
    model.fit(x, y, verbose=0)
    again = tiny.reload(model, tmp_path)
    assert type(again.optimizer) is kt.training.AdamW
    for one in (model, again):
        one.fit(x, y, verbose=0)
    for weight, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_allclose(tiny.numpy(weight), tiny.numpy(other), rtol=1e-5, atol=1e-6)
