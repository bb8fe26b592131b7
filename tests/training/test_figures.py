"""What is said of a causal language model is what its definition gives."""

import math

import pytest
import tiny

from keras_transformer.training import LanguageModelFigures, figures, train_flops_per_token

PEAK = 1e9


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(figures, "matmul_peak", lambda dtype: PEAK)
    return LanguageModelFigures(tiny.config(), 7, tokens_per_character=0.25, dtype="float32")


def test_bits_are_those_of_a_character(made):
    found = made.of_perplexity(8.0)  # 3 bits a token, of 4 characters
    assert found == {"loss": pytest.approx(math.log(8)), "bits_per_character": pytest.approx(0.75)}


def test_logs_of_an_epoch_get_the_figures(made):
    model = type("Model", (), {"optimizer": type("Optimizer", (), {"gradient_norm": 0.5})})
    made.set_model(model)
    logs = {"val_perplexity": 2.0, "val_loss": 99.0, "tokens_per_second": 1000.0}
    made.on_epoch_end(0, logs)
    assert logs == {
        "val_perplexity": 2.0,
        "val_loss": pytest.approx(math.log(2)),  # not the mean over batches
        "val_bits_per_character": pytest.approx(0.25),
        "tokens_per_second": 1000.0,
        "model_flops_utilization": pytest.approx(
            1000 * train_flops_per_token(tiny.config(), 7) / PEAK
        ),
        "gradient_norm": 0.5,
    }


def test_the_peak_is_told(made):
    assert made.describe() == "matmul peak: 1 GFLOP/s in float32"
