"""`fit` that is interrupted and goes on."""

import keras
import numpy as np
import pytest

import keras_transformer as kt
from keras_transformer.training import Checkpoint, Run, fit


class Batches(kt.data.StreamBatches):
    def __init__(self, shuffle=True):
        ids = np.tile(np.arange(4, 9), 16)
        super().__init__(ids, batch_size=2, row_length=8, shuffle=shuffle)


def make_model():
    keras.utils.set_random_seed(1)
    config = kt.TransformerConfig(
        vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16, dropout=0.1
    )
    model = kt.models.decoder_only(config)
    model.compile(keras.optimizers.Adam(0.01), kt.training.MaskedCrossentropy())
    return model


def train(folder, *callbacks, epochs=3, max_updates=None):
    model, checkpoint = make_model(), Checkpoint(Run(folder))
    history = fit(
        model, Batches(), Batches(shuffle=False), checkpoint, epochs, max_updates, callbacks
    )
    return model, history, checkpoint.position()


@pytest.fixture
def folder(tmp_path):
    return Run.create(tmp_path / "run", {}).folder


class Interrupt(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == 7:
            raise KeyboardInterrupt


def test_interrupted_and_resumed_ends_with_the_same_weights(folder, tmp_path):
    whole, history, position = train(Run.create(tmp_path / "whole", {}).folder)
    assert position.updates == 12 and len(history["val_loss"]) == 3
    with pytest.raises(KeyboardInterrupt):
        train(folder, Interrupt())
    assert Run(folder).checkpoints()[-1].stem == "update-0000000007"
    resumed, history, position = train(folder)
    assert position.updates == 12 and len(history["val_loss"]) == 3
    for one, two in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_it_ends_within_an_epoch_and_then_has_nothing_to_do(folder):
    assert train(folder, max_updates=7)[2].updates == 7
    weights = train(folder, max_updates=7)[0].get_weights()
    assert train(folder, epochs=2)[2].updates == 8
    first = train(folder, epochs=2)
    assert train(folder, epochs=2)[1] == first[1] and len(first[1]["val_loss"]) == 3
    assert not np.array_equal(first[0].get_weights()[0], weights[0])


def test_progress_is_on_standard_error_and_only_on_a_terminal(folder, capsys, monkeypatch):
    train(folder, epochs=1)
    out, err = capsys.readouterr()
    assert out.count("step") == 1 and "loss" in out and not err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    train(folder, epochs=2)
    out, err = capsys.readouterr()
    assert not out and "loss" in err
