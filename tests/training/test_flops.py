"""Operations are counted from a config as they are in the model it describes."""

import pytest
import tensorflow as tf
import tiny

import keras_transformer as kt
from keras_transformer.training import flops, matmul_peak, train_flops_per_token


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_every_matrix_of_the_model_is_counted(architecture, tied):
    config = tiny.config(architecture, tie_embeddings=tied)
    weights = kt.models.decoder_only(config).weights
    matrices = sum(w.shape[0] * w.shape[1] for w in weights if w.name == "kernel")
    if tied:  # the table multiplies
        [table] = [w for w in weights if w.path == "embedding/embeddings"]
        matrices += table.shape[0] * table.shape[1]
    assert train_flops_per_token(config, 0) == 6 * matrices
    more = train_flops_per_token(config, 7) - train_flops_per_token(config, 0)
    # Queries with keys, and weights with values: 2 operations for each of 7 positions and each
    # place of a head, once forward and twice backward.
    assert more == config.num_layers * config.num_heads * 7 * config.head_dim * 2 * 2 * 3


class Clock:
    """Every product takes as many seconds as it is told to."""

    def __init__(self, seconds):
        self.now, self.seconds, self.products = 0.0, iter(seconds), 0

    def perf_counter(self):
        return self.now

    def multiply(self, x, y):
        self.products += 1
        self.now += next(self.seconds)
        return tf.matmul(x, y)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_peak_is_the_best_of_several_tries(monkeypatch, dtype):
    clock = Clock([100.0, 4.0, 3.0, 2.0, 5.0, 5.0, 5.0, 5.0])  # the first one is traced
    monkeypatch.setattr(flops, "time", clock)
    monkeypatch.setattr(flops, "SIZE", 8)
    monkeypatch.setattr(tf, "function", lambda function: clock.multiply)
    assert matmul_peak(dtype, seconds=10.0) == pytest.approx(2 * 8**3 / 2.5)
    assert clock.products == 8  # 1 traced, tries of 1, 2 and 4


def test_the_peak_is_real(monkeypatch):
    monkeypatch.setattr(flops, "SIZE", 64)
    assert matmul_peak("bfloat16", seconds=0.0) > 0
