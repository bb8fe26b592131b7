"""The loss against one-hot references, and what padding, masks, weights and precision do to it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer.training.losses import MaskedCrossentropy

VOCABULARY = 11


def batch(rows=3, length=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(1, VOCABULARY, (rows, length)).astype("int32")
    labels[0, 2:] = 0
    labels[1, 4:] = 0
    return labels, (3 * rng.normal(size=(rows, length, VOCABULARY))).astype("float32")


def reference(labels, logits, smoothing=0.0, weight=1.0, pad_id=0):
    logits = logits.astype("float64")
    target = (1 - smoothing) * np.eye(VOCABULARY)[labels] + smoothing / VOCABULARY
    log_probability = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    weight = (labels != pad_id) * weight
    return (-(target * log_probability).sum(-1) * weight).sum() / weight.sum()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_equals_a_one_hot_reference(smoothing):
    labels, logits = batch()
    loss = float(MaskedCrossentropy(smoothing)(labels, logits))
    assert loss == pytest.approx(reference(labels, logits, smoothing), rel=1e-6)


@pytest.mark.parametrize("weight_shape", [(3,), (3, 1), (3, 5)])
def test_sample_weights_give_a_weighted_mean(weight_shape):
    labels, logits = batch()
    weight = np.random.default_rng(1).uniform(size=weight_shape).astype("float32")
    loss = float(MaskedCrossentropy(0.1)(labels, logits, weight))
    column = weight[:, None] if weight.ndim == 1 else weight
    assert loss == pytest.approx(reference(labels, logits, 0.1, column), rel=1e-6)


def test_padding_changes_nothing():
    labels, logits = batch()
    loss = MaskedCrossentropy(0.1)
    longer = np.pad(labels, [(0, 2), (0, 4)])
    noise = np.random.default_rng(2).normal(size=(5, 9, VOCABULARY)).astype("float32")
    noise[:3, :5] = logits
    assert float(loss(longer, noise)) == pytest.approx(float(loss(labels, logits)), rel=1e-6)


@pytest.mark.parametrize("pad_id", [-1, -100, 3])
def test_any_label_can_mean_padding(pad_id):
    labels, logits = batch()
    marked = np.where(labels == 0, pad_id, labels)
    loss = float(MaskedCrossentropy(0.1, pad_id=pad_id)(marked, logits))
    assert loss == pytest.approx(
        reference(np.where(marked < 0, 0, marked), logits, 0.1, pad_id=max(pad_id, 0)), rel=1e-6
    )


def test_a_batch_of_padding_has_loss_0():
    _, logits = batch()
    assert float(MaskedCrossentropy(0.1)(np.zeros((3, 5), "int32"), logits)) == 0.0


def test_the_implicit_mask_of_the_logits_does_not_count():
    """A decoder that starts from the padding id has a real label over a masked input."""
    labels, _ = batch()
    token_ids = np.pad(labels[:, :-1], [(0, 0), (1, 0)])  # starts with 0
    inputs = keras.Input((None,), dtype="int32")
    logits = keras.layers.Embedding(VOCABULARY, VOCABULARY, mask_zero=True)(inputs)
    model = keras.Model(inputs, logits)
    model.compile("sgd", MaskedCrossentropy(0.1))
    expected = reference(labels, ops.convert_to_numpy(model(token_ids)), 0.1)
    assert model.evaluate(token_ids, labels, verbose=0) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_low_precision_logits_are_computed_in_float32(dtype):
    labels, logits = batch()
    low = ops.cast(30 * logits, dtype)
    loss = MaskedCrossentropy(0.1)(labels, low)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    exact = reference(labels, ops.convert_to_numpy(ops.cast(low, "float32")), 0.1)
    assert float(loss) == pytest.approx(exact, rel=1e-6)


def updated_logits(loss, labels, logits, sample_weight=None):
    """The logits after one step of gradient descent on them."""
    inputs = keras.Input((labels.shape[1],), dtype="int32")
    layer = keras.layers.Embedding(labels.size, VOCABULARY)
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([logits.reshape(-1, VOCABULARY)])
    model.compile(keras.optimizers.SGD(1.0), loss)
    positions = np.arange(labels.size).reshape(labels.shape)
    target = labels if isinstance(loss, MaskedCrossentropy) else np.eye(VOCABULARY)[labels]
    model.train_on_batch(positions, target, sample_weight=sample_weight)
    return layer.get_weights()[0]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradient_equals_that_of_keras_on_one_hot_labels(smoothing):
    labels, logits = batch()
    ours = updated_logits(MaskedCrossentropy(smoothing), labels, logits)
    one_hot = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=smoothing, reduction="sum"
    )
    real = (labels != 0).astype("float32")
    theirs = updated_logits(one_hot, labels, logits, sample_weight=real / real.sum())
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert np.abs(ours - logits.reshape(ours.shape)).max() > 0.01
    padding = labels.reshape(-1) == 0
    np.testing.assert_array_equal(ours[padding], logits.reshape(ours.shape)[padding])


def test_extreme_logits_stay_finite():
    labels, logits = batch()
    loss = MaskedCrossentropy(0.1)
    assert np.isfinite(float(loss(labels, 1e30 * logits)))
    assert np.isfinite(updated_logits(loss, labels, 1e4 * logits)).all()


def test_is_serialisable_and_checks_its_argument():
    loss = MaskedCrossentropy(0.1, pad_id=3, name="mine")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert copy.get_config() == {"label_smoothing": 0.1, "pad_id": 3, "name": "mine"}
    with pytest.raises(ValueError, match=r"Received: label_smoothing=1\.0"):
        MaskedCrossentropy(1.0)
