"""The best epoch's model is kept, over resumes too, and training ends when no better one comes."""

import keras
import numpy as np
import pytest

from keras_transformer.training import keep_best

ONE = np.ones((1, 1), "float32")


def make_model(weight=0.0):
    """Whose only weight is also its answer to 1; nothing is learned."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.layers[0].set_weights([weight * ONE])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    return model


class Steps(keras.callbacks.Callback):
    """Gives the model a weight an epoch, and the logs a figure."""

    def __init__(self, figures):
        super().__init__()
        self.figures = figures

    def on_epoch_end(self, epoch, logs=None):
        self.model.layers[0].set_weights([self.figures[epoch] * ONE])
        logs["val_figure"] = self.figures[epoch]


def weight_of(model):
    return float(model.layers[0].get_weights()[0].item())


def train(path, figures, mode="max", patience=99):
    """How many epochs there were."""
    best = keep_best(path, "figure", mode, patience, lambda model: {"figure": weight_of(model)})
    history = make_model().fit(
        ONE, ONE, epochs=len(figures), callbacks=[Steps(figures), *best], verbose=0
    )
    return len(history.epoch)


def kept(path):
    return weight_of(keras.models.load_model(path, compile=False))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.keras"


@pytest.mark.parametrize(("mode", "best"), [("max", 0.75), ("min", 0.25)])
def test_the_best_is_kept(path, mode, best):
    assert train(path, [0.5, 0.75, 0.25, 0.5], mode) == 4
    assert kept(path) == best


def test_patience_ends_training(path):
    assert train(path, [0.5, 0.25, 0.75, 0.5, 0.5, 0.5, 1.0], patience=3) == 6
    assert kept(path) == 0.75


@pytest.mark.parametrize(("mode", "worse", "better"), [("max", 0.25, 0.75), ("min", 0.75, 0.25)])
def test_a_resumed_run_has_to_beat_what_is_there(path, mode, worse, better):
    train(path, [0.5], mode)
    assert train(path, [worse] * 9, mode, patience=2) == 2
    assert kept(path) == 0.5
    train(path, [worse, better], mode)
    assert kept(path) == better


def test_as_good_is_no_better_after_a_resume(path):
    figure = 1 / 3  # of which Keras' metrics, and so the logs, have 32 bits
    train(path, [np.float32(figure).item()])
    before = path.read_bytes()
    best = keep_best(path, "figure", "max", 2, lambda model: {"figure": figure})
    steps = Steps([np.float32(figure).item()] * 9)
    history = make_model().fit(ONE, ONE, epochs=9, callbacks=[steps, *best], verbose=0)
    assert len(history.epoch) == 2 and path.read_bytes() == before


def test_training_that_diverged_ends_with_a_sentence(path):
    with pytest.raises(ValueError, match=r"Expected a finite val_figure\. Received: nan"):
        train(path, [0.5, float("nan")])
    assert kept(path) == 0.5
