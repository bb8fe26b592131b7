"""The best epoch's model is kept, over resumes too, and training ends when no better one comes."""

import keras
import numpy as np
import pytest

from keras_transformer.training import Checkpoint, KeepBest, Run, keep_best

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


def train(path, figures, mode="max", patience=99, epochs=None):
    """How many epochs there were now; `figures` are of all."""
    run, model = Run(path.parent), make_model()
    run.checkpoints_folder.mkdir(exist_ok=True)
    best = KeepBest(run, "figure", mode, patience, lambda model: {"figure": weight_of(model)})
    checkpoint = Checkpoint(run)
    history = model.fit(
        ONE,
        ONE,
        initial_epoch=checkpoint.restore(model).epoch,
        epochs=epochs or len(figures),
        callbacks=[Steps(figures), best, checkpoint],
        verbose=0,
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
    figures = [0.5, worse, worse, better, worse]
    for epochs in range(1, 4):
        assert train(path, figures, mode, epochs=epochs) == 1
        assert kept(path) == 0.5
    train(path, figures, mode)
    assert kept(path) == better


def test_patience_is_that_of_one_run_however_often_it_is_resumed(path):
    figures = [0.5, 0.25, 0.25, 0.25, 0.75]
    for epochs in range(1, 4):
        train(path, figures, patience=3, epochs=epochs)
    best = KeepBest(Run(path.parent), "figure", "max", 3, None)
    assert not best.is_over and best.wait == 2
    train(path, figures, patience=3, epochs=4)
    assert KeepBest(Run(path.parent), "figure", "max", 3, None).is_over


def test_an_epoch_that_is_done_again_is_not_as_good_as_itself(path):
    """Stopped between the model of the best epoch and its checkpoint."""
    train(path, [0.5, 0.75])
    Run(path.parent).checkpoints()[-1].unlink()
    train(path, [0.5, 0.75])
    best = KeepBest(Run(path.parent), "figure", "max", 3, None)
    assert (best.best, best.wait) == (0.75, 0)


def test_a_run_of_before_measures_what_it_has(path):
    train(path, [0.5])
    [checkpoint] = Run(path.parent).checkpoints()
    with np.load(checkpoint) as file:
        older = {name: file[name] for name in file if name != "history"}
    np.savez(checkpoint, **older)
    assert train(path, [0.5, 0.25]) == 1 and kept(path) == 0.5
    [best] = keep_best(path, "figure", "max", 3, lambda model: {"figure": weight_of(model)})
    assert best.run.folder == path.parent


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_figure_that_is_no_number_is_not_the_best(path, mode):
    train(path, [float("nan"), 0.5, float("nan")], mode)
    assert kept(path) == 0.5


def test_a_run_whose_epochs_had_no_figure_has_a_model(path):
    train(path, [float("nan")])
    assert path.is_file()
