"""Metrics count real tokens, over batches of any shape, and never padding."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer.training import (
    MaskedAccuracy,
    MaskedCrossentropy,
    PaddingFraction,
    Perplexity,
    TargetTokens,
)

METRICS = [MaskedAccuracy, Perplexity, TargetTokens, PaddingFraction]
NAMES = ["masked_accuracy", "perplexity", "target_tokens", "padding_fraction"]


def batches():
    rng = np.random.default_rng(0)
    for shape in [(2, 6), (5, 3)]:
        labels = rng.integers(0, 7, shape)
        yield labels, rng.normal(size=(*shape, 7)).astype("float32")


def updated(metric):
    for labels, logits in batches():
        metric.update_state(labels, logits)
    return float(metric.result())


def over_all_real_tokens():
    labels = np.concatenate([labels.reshape(-1) for labels, _ in batches()])
    logits = np.concatenate([logits.reshape(-1, 7) for _, logits in batches()])
    return labels[labels != 0], logits[labels != 0], labels.size


def test_accuracy_is_that_of_argmax_over_all_batches():
    labels, logits, _ = over_all_real_tokens()
    assert updated(MaskedAccuracy()) == pytest.approx((logits.argmax(-1) == labels).mean())


def test_perplexity_is_the_exponential_of_the_mean_over_all_batches():
    labels, logits, _ = over_all_real_tokens()
    log_total = np.log(np.exp(logits).sum(-1))
    mean = (log_total - logits[np.arange(labels.size), labels]).mean()
    assert updated(Perplexity()) == pytest.approx(np.exp(mean), rel=1e-5)


def test_perplexity_agrees_with_the_unsmoothed_loss():
    labels, logits = next(batches())
    metric = Perplexity()
    metric.update_state(labels, logits)
    loss = float(MaskedCrossentropy()(labels, logits))
    assert float(metric.result()) == pytest.approx(np.exp(loss), rel=1e-6)


def test_tokens_and_padding_are_counted_by_token_and_not_by_row():
    labels, _, size = over_all_real_tokens()
    assert updated(TargetTokens()) == labels.size
    assert updated(PaddingFraction()) == pytest.approx(1 - labels.size / size)


def test_sample_weights_weigh_tokens():
    labels, logits = np.array([[1, 2], [3, 0]]), np.eye(7)[[[1, 1], [3, 3]]]
    metric = MaskedAccuracy()
    metric.update_state(labels, logits, sample_weight=np.array([1.0, 3.0]))
    assert float(metric.result()) == pytest.approx((1 + 0 + 3) / 5)


def test_nothing_real_gives_no_nan():
    values = []
    for metric in [MaskedAccuracy(), Perplexity()]:
        metric.update_state(np.zeros((1, 2), "int32"), np.ones((1, 2, 7)))
        values.append(float(metric.result()))
    assert values == [0.0, 1.0]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_low_precision_logits_are_computed_in_float32(dtype):
    labels, logits = next(batches())
    low, metric, exact = ops.cast(50 * logits, dtype), Perplexity(), Perplexity()
    metric.update_state(labels, low)
    exact.update_state(labels, ops.cast(low, "float32"))
    assert float(metric.result()) == float(exact.result())


def test_a_prediction_that_is_not_a_number_is_wrong():
    metric = MaskedAccuracy()
    metric.update_state(np.array([[1]]), np.full((1, 1, 7), np.nan))
    assert float(metric.result()) == 0.0


@pytest.mark.parametrize("metric", METRICS)
def test_is_serialisable(metric):
    original = metric(pad_id=3)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(original))
    assert type(copy) is metric
    assert copy.get_config() == original.get_config()
    assert copy.pad_id == 3


def test_a_compiled_model_reports_them_by_name_after_a_round_trip(tmp_path):
    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, keras.layers.Embedding(7, 7)(inputs))
    model.compile("sgd", MaskedCrossentropy(0.1), metrics=[metric() for metric in METRICS])
    labels, _ = next(batches())
    history = model.fit(labels, labels, verbose=0).history
    assert set(history) == {"loss", *NAMES}
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.evaluate(labels, labels, verbose=0, return_dict=True)
    assert again.evaluate(labels, labels, verbose=0, return_dict=True) == pytest.approx(expected)
