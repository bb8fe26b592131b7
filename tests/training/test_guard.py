"""A run that diverges: its checkpoints, its resumes, and files of before."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

import keras_transformer as kt
from keras_transformer.training import (
    Adam,
    Checkpoint,
    Diverged,
    LinearDecay,
    NonFiniteGuard,
    Run,
    all_finite,
    is_sound,
)
from keras_transformer.training.checkpoint_files import (
    Position,
    load_checkpoint,
    save_checkpoint,
)
from keras_transformer.training.optimizers import GUARD

X, Y = tiny.random_array(20, 3).astype("float32"), tiny.random_array(20, 2).astype("float32")


def make_model(kind=Adam):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(kind(LinearDecay(0.02, 2, 999)), "mse")
    return model


def poisoned(*places):
    x = X.copy()
    x[list(places)] = np.nan
    return x


class Data:
    """Epochs of 20 batches, some of which hold NaN."""

    num_batches = 20

    def __init__(self, *bad_epochs):
        self.bad_epochs = bad_epochs

    def dataset(self, epoch=0, skip=0):
        every = [poisoned(*range(5, 15)) if n in self.bad_epochs else X for n in range(epoch, 9)]
        rows = np.concatenate(every), np.concatenate([Y] * len(every))
        return tf.data.Dataset.from_tensor_slices(rows).batch(1).skip(skip)


class Valid:
    def dataset(self):
        return tf.data.Dataset.from_tensor_slices((X, Y)).batch(1)


def train(run, *bad_epochs, model=None, epochs=4, callbacks=()):
    model = model or make_model()
    checkpoint = Checkpoint(run)
    guard = NonFiniteGuard(every=5, restores=3, checkpoint=checkpoint)
    kt.training.fit(
        model, Data(*bad_epochs), Valid(), checkpoint, epochs, callbacks=[guard, *callbacks]
    )
    return model


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", {})


def test_a_run_goes_back_to_its_newest_checkpoint(run, capsys):
    model = train(run, 2)
    told = capsys.readouterr().err
    assert "at update 50: the gradients of 5 updates in a row were not finite" in told
    assert "from the weights of update 40 with 0.5 of the learning rate (1 of 3" in told
    assert "at update 55" in told and told.count("\n") == 2
    assert int(model.optimizer.iterations) == 80
    assert float(model.optimizer.rate_scale) == 0.25
    for path in run.checkpoints():
        with np.load(path) as file:
            assert all(np.isfinite(file[name]).all() for name in file if "/" in name)


@pytest.mark.parametrize("update", [48, 52, 60, 66])
def test_killed_and_resumed_is_like_a_whole_run(run, tmp_path, update):
    """Before, between and after the times that it goes back."""

    class Kill(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == update:
                raise RuntimeError  # which nobody catches to save anything

    whole = train(Run.create(tmp_path / "whole", {}), 2)
    with pytest.raises(RuntimeError):
        train(run, 2, callbacks=[Kill()])
    resumed = train(run, 2)
    for one, other in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(tiny.numpy(one), tiny.numpy(other))
    assert float(resumed.optimizer.rate_scale) == 0.25


def test_a_resumed_run_does_not_begin_to_count_again(run, capsys):
    train(run, 1, epochs=2)  # goes back twice
    with pytest.raises(Diverged, match="as 3 times before"):
        train(run, 2)
    assert "(3 of 3 times)" in capsys.readouterr().err


def test_what_came_before_the_guard_is_read(tmp_path):
    """Checkpoints and `.keras` files without its numbers, the last ones of an optimiser."""
    model = make_model()
    model.fit(X, Y, batch_size=1, verbose=0)
    names = [v.name for v in model.optimizer.variables]
    assert tuple(names[-len(GUARD) :]) == GUARD
    path = tmp_path / "update-0000000020.npz"
    save_checkpoint(path, model, Position(updates=20))
    with np.load(path) as file:
        numbers = range(len(names) - len(GUARD), len(names))
        older = {name: file[name] for name in file}
    for number in numbers:
        del older[f"optimizer/{number}"]
    np.savez(path, **older)
    again = make_model()
    load_checkpoint(path, again)

    store = {str(n): tiny.numpy(v) for n, v in enumerate(model.optimizer.variables)}
    for number in numbers:
        del store[str(number)]
    third = make_model()
    third.set_weights(model.get_weights())
    third.optimizer.build(third.trainable_variables)
    third.optimizer.load_own_variables(store)
    for other in (again, third):
        for one, two in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
            np.testing.assert_array_equal(tiny.numpy(one), tiny.numpy(two))


def test_what_may_be_saved():
    model = make_model()
    model.fit(X, Y, batch_size=1, verbose=0)
    assert is_sound(model)
    model.fit(poisoned(19), Y, batch_size=1, shuffle=False, verbose=0)
    assert all_finite(model.variables) and all_finite(model.optimizer.variables)
    assert not is_sound(model)  # its last update is left out
    model.fit(X, Y, batch_size=1, verbose=0)
    assert is_sound(model)
    model.layers[-1].bias.assign([0.0, np.inf])
    assert not is_sound(model) and not all_finite(model.variables)


@pytest.mark.parametrize(("kind", "last"), [(Adam, 20), (keras.optimizers.Adam, 12)])
def test_no_checkpoint_is_written_of_what_is_not_finite(run, kind, last):
    """Nor, within an epoch, after an update that was left out."""
    written = []

    class Record(Checkpoint):
        def _begin_to_save(self, position):
            super()._begin_to_save(position)
            written.append(self._last.updates)

    model = make_model(kind)
    fit = {"batch_size": 1, "shuffle": False, "verbose": 0}
    model.fit(poisoned(12), Y, callbacks=[Record(run, every="1")], **fit)
    assert 13 not in written and written[-1] == last
    load_checkpoint(run.checkpoints()[-1], model)
    assert all_finite(model.variables)


def test_a_model_that_its_first_batch_builds(capsys):
    model = keras.Sequential([keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(poisoned(13), Y, batch_size=1, shuffle=False, verbose=0, callbacks=[NonFiniteGuard()])
    assert "from the weights of update 1" in capsys.readouterr().err
    assert all_finite(model.variables)


def test_no_curve_holds_nan(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = make_model()
    log = kt.monitoring.TensorBoard(tmp_path, every=1)
    fit = {"batch_size": 1, "shuffle": False, "verbose": 0}
    model.fit(poisoned(12), Y, callbacks=[NonFiniteGuard(every=5), log], **fit)
    events = EventAccumulator(str(tmp_path / "train"), {"tensors": 0}).Reload()
    loss = events.Tensors("loss")
    assert 10 < len(loss) < 21
    for tag in events.Tags()["tensors"]:
        for event in events.Tensors(tag):
            value = np.frombuffer(event.tensor_proto.tensor_content, "float32")
            assert np.isfinite([*value, *event.tensor_proto.float_val]).all()
    assert events.Tensors("updates_left_out")[0].tensor_proto
