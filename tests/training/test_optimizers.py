"""Matrices fade, biases and scales do not."""

import keras
import numpy as np
import pytest
import tiny
from keras import ops

import keras_transformer as kt
from keras_transformer.training import LinearDecay, adamw
from keras_transformer.training.optimizers import batches_done

RATE, DECAY = 0.1, 0.5


def make_model():
    ids = keras.Input((3,), dtype="int32")
    x = keras.layers.Embedding(7, 4, name="table")(ids)
    x = keras.layers.LayerNormalization(name="norm")(x)
    x = keras.layers.Dense(2, name="dense")(x)
    return tiny.randomize(keras.Model(ids, x))


def summed(labels, outputs):
    return ops.sum(outputs, axis=(1, 2))


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
    assert {v.name for v in decayed} <= {"kernel", "embeddings"}
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


@pytest.mark.parametrize("clip_norm", [None, 0.5])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_norm_of_the_gradients_before_clipping_is_recorded(clip_norm, accumulate):
    model = keras.Sequential([keras.Input((3,), dtype="int32"), keras.layers.Embedding(7, 4)])
    model.compile(adamw(model, 1e-3, clip_norm=clip_norm, accumulate=accumulate), summed)
    ids = np.array([[1, 1, 1], [1, 2, 2], [5, 5, 5]])
    labels = np.ones((3, 3, 4))
    model.fit(ids[:2], labels[:2], batch_size=2 // accumulate, shuffle=False, verbose=0)
    # Of each of the 4 columns, 4 times token 1 and 2 times token 2, over 2 rows.
    expected = (4 * (2.0**2 + 1.0**2)) ** 0.5
    norm = model.optimizer.gradient_norm
    assert float(norm) == pytest.approx(expected)
    assert keras.backend.standardize_dtype(norm.dtype) == "float32"
    model.fit(ids[2:], labels[2:], verbose=0)
    last = (4 * 3.0**2) ** 0.5 if accumulate == 1 else expected  # no update yet
    assert float(norm) == pytest.approx(last)


def test_accumulated_batches_are_one_large_batch():
    """With a schedule, clipping, decay and gradients that meet in a token."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(7, size=(24, 3)), tiny.random_array(24, 3, 2)
    models = []
    for accumulate, batch_size in ((1, 8), (2, 4)):
        model = make_model()
        rate = LinearDecay(0.05, 2, 9)
        model.compile(adamw(model, rate, DECAY, clip_norm=0.3, accumulate=accumulate), "mse")
        model.fit(x, y, batch_size=batch_size, epochs=2, shuffle=False, verbose=0)
        assert int(model.optimizer.iterations) == 6
        assert batches_done(model.optimizer) == 6 * accumulate
        assert float(model.optimizer.learning_rate) == pytest.approx(float(rate(6)))
        assert float(model.optimizer.gradient_norm) > 0.3  # clipping did something
        models.append(model)
    for large, several in zip(*(model.weights for model in models), strict=True):
        np.testing.assert_allclose(
            tiny.numpy(several), tiny.numpy(large), rtol=1e-4, atol=1e-5, err_msg=large.path
        )


def token_model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((6,), dtype="int32"), keras.layers.Embedding(7, 4), keras.layers.Dense(7)]
    )


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_accumulated_batches_count_as_much_as_they_have_real_tokens(eager, weighted):
    """Updates of 1, 6 and 0, and then of 3, 5 and 2 real tokens."""
    x = np.arange(36).reshape(6, 6) % 7
    counts = np.array([1, 6, 0, 3, 5, 2])
    y = np.where(np.arange(6) < counts[:, None], x[:, ::-1] % 6 + 1, 0)
    sample_weight = np.array([1.0, 0.5, 1.0, 2.0, 0.0, 1.0]) if weighted else None
    models = []
    for accumulate, batch_size in ((1, 3), (3, 1)):
        model = token_model()
        optimizer = adamw(model, 0.05, clip_norm=0.3, accumulate=accumulate)
        model.compile(optimizer, kt.training.MaskedCrossentropy(), run_eagerly=eager)
        model.evaluate(x, y, verbose=0)  # which is not to weigh on what comes
        model.fit(x, y, batch_size, sample_weight=sample_weight, shuffle=False, verbose=0)
        models.append(model)
    large, several = models
    norms = [float(model.optimizer.gradient_norm) for model in models]
    assert norms[1] == pytest.approx(norms[0], rel=1e-4)
    for one, other in zip(large.weights, several.weights, strict=True):
        np.testing.assert_allclose(tiny.numpy(other), tiny.numpy(one), rtol=1e-4, atol=1e-5)


def test_accumulated_batches_without_a_real_token_change_nothing():
    model = token_model()
    model.compile(adamw(model, 0.05, 0.0, accumulate=2), kt.training.MaskedCrossentropy())
    before = model.get_weights()
    model.fit(np.ones((2, 6), "int32"), np.zeros((2, 6), "int32"), 1, verbose=0)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_batches_of_another_loss_count_alike_after_one_that_weighs():
    """Whoever trained last, and with whatever optimiser."""
    x, y = np.arange(12).reshape(2, 6) % 7, np.ones((2, 6), "int32")
    losses = "sparse_categorical_crossentropy"
    models = []
    for begin in (False, True):
        if begin:
            other = token_model()
            other.compile(kt.training.Adam(), kt.training.MaskedCrossentropy())
            other.fit(x, y, 1, verbose=0)
        model = token_model()
        model.compile(adamw(model, 0.05, clip_norm=0.3, accumulate=2), losses)
        model.fit(x, y, 1, shuffle=False, verbose=0)
        models.append(model)
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_weights_stay_between_updates():
    model = make_model()
    model.compile(adamw(model, RATE, accumulate=3), "mse")
    before = model.get_weights()
    x, y = np.ones((1, 3), "int32"), np.ones((1, 3, 2))
    for batch in (1, 2, 3):
        model.fit(x, y, verbose=0)
        same = all(map(np.array_equal, before, model.get_weights()))
        assert same == (batch < 3)


def test_the_norm_of_gradients_in_several_precisions():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(2, use_bias=False, dtype="bfloat16"),
            keras.layers.Dense(2, use_bias=False),
        ]
    )
    for weight in model.weights:
        weight.assign(np.ones(weight.shape))
    model.compile(kt.training.Adam(1e-3), lambda labels, outputs: ops.sum(outputs, axis=1))
    model.fit(np.ones((1, 3)), np.ones((1, 2)), verbose=0)
    # Six gradients of 2, and four of 3.
    assert float(model.optimizer.gradient_norm) == pytest.approx((6 * 4 + 4 * 9) ** 0.5, rel=1e-2)
