"""Event files are read back as TensorBoard reads them."""

import keras
import pytest
from reading import IDS, events, fit, make_model

from keras_transformer.monitoring import TensorBoard
from keras_transformer.training import (
    Adam,
    MaskedAccuracy,
    MaskedCrossentropy,
    PaddingFraction,
    Perplexity,
    TargetTokens,
    Throughput,
)


@pytest.fixture
def model():
    metrics = [MaskedAccuracy(), Perplexity(), TargetTokens(), PaddingFraction()]
    return make_model(MaskedCrossentropy(0.1), metrics)


def test_curves_have_plain_names_over_updates_for_train_and_validation(model, tmp_path):
    history = fit(model, [Throughput(), TensorBoard(tmp_path, every=3)])
    found = events(tmp_path)
    assert set(found) == {"train", "validation"}
    both = {"loss", "masked_accuracy", "perplexity", "target_tokens", "padding_fraction"}
    assert set(found["train"]) == both | {"learning_rate", "target_tokens_per_second"}
    assert set(found["validation"]) == both
    assert [step for step, _ in found["train"]["loss"]] == [3, 4, 6, 8]
    assert [step for step, _ in found["train"]["learning_rate"]] == [3, 4, 6, 8]
    assert [step for step, _ in found["train"]["target_tokens_per_second"]] == [4, 8]
    for key in ["loss", "perplexity"]:
        expected = list(zip([4, 8], history[f"val_{key}"], strict=True))
        assert found["validation"][key] == [
            (step, pytest.approx(value, rel=1e-6)) for step, value in expected
        ]
    assert found["train"]["loss"][1] == (4, pytest.approx(history["loss"][0], rel=1e-6))


def test_curves_go_on_over_several_fits_and_a_resume(model, tmp_path):
    callback = TensorBoard(tmp_path, every=100)
    for epoch in range(2):
        fit(model, [callback], initial_epoch=epoch, epochs=epoch + 1)
    assert [step for step, _ in events(tmp_path)["train"]["loss"]] == [4, 8]
    fit(model, [TensorBoard(tmp_path, every=100)], initial_epoch=2, epochs=3)
    # Two files of the same second are read in the order of their numbers as text, 10 before 9.
    assert sorted(step for step, _ in events(tmp_path)["train"]["loss"]) == [4, 8, 12]


@pytest.mark.parametrize(("accumulate", "steps"), [(None, [4, 6]), (2, [2]), (3, [2])])
def test_updates_count_and_not_the_batches_accumulated(model, tmp_path, accumulate, steps):
    norms = []
    read = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: norms.append(float(model.optimizer.gradient_norm))
    )
    model.compile(Adam(0.5, gradient_accumulation_steps=accumulate), MaskedCrossentropy())
    model.fit(IDS[:3], IDS[:3], batch_size=1, verbose=0, callbacks=[read])
    fit(model, [read, TensorBoard(tmp_path, every=2)], epochs=1)  # 7 batches in all
    found = events(tmp_path)["train"]
    assert [step for step, _ in found["learning_rate"]] == steps
    assert found["gradient_norm"] == [
        (step, pytest.approx(norms[step * (accumulate or 1) - 1], rel=1e-6)) for step in steps
    ]
    assert [step for step, _ in found["loss"]] == [*steps, 7 // (accumulate or 1)]


def test_bad_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="Received: every=0"):
        TensorBoard(tmp_path, every=0)
