"""Weights at doubling distances: the right ones, over resumes too, and nothing else changes."""

import errno
import os
import warnings

import keras
import numpy as np
import pytest
import test_checkpoints
from test_checkpoints import BATCHES, Interrupt, assert_same_state, train

from keras_transformer.training import (
    Checkpoint,
    EarlyCheckpoints,
    Run,
    average_checkpoints,
    early_checkpoints,
)

EPOCHS = 4  # of 5 batches: 20 updates


def make_model(seed=0, **settings):
    keras.utils.clear_session()  # as in a new process: the files have the names of layers
    return test_checkpoints.make_model(seed, **settings)


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", {})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The files of a run of 20 updates, by name."""
    folder = tmp_path_factory.mktemp("undisturbed")
    train(make_model(), EPOCHS, [EarlyCheckpoints(folder)])
    return files(folder)


def files(folder):
    return {path.name: path.read_bytes() for path in (folder / "early").iterdir()}


def updates_of(folder):
    return [updates for updates, _ in early_checkpoints(folder)]


def assert_same_weights(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


class Weights(keras.callbacks.Callback):
    """Keeps what the weights are before each update."""

    def __init__(self):
        super().__init__()
        self.found = {}

    def on_train_batch_begin(self, batch, logs=None):
        self.found[int(self.model.optimizer.iterations)] = self.model.get_weights()


def test_they_are_of_updates_at_doubling_distances(tmp_path):
    model, weights = make_model(), Weights()
    fresh = model.get_weights()
    train(model, EPOCHS, [weights, EarlyCheckpoints(tmp_path)])
    found = early_checkpoints(tmp_path)
    assert [updates for updates, _ in found] == [0, 1, 2, 4, 8, 16]
    assert found[-1][1] == tmp_path / "early" / "update_00000016.weights.h5"
    assert b"optimizer" not in found[-1][1].read_bytes()
    for updates, path in found:
        other = keras.models.clone_model(model)
        other.load_weights(path)
        assert_same_weights(other.get_weights(), weights.found[updates] if updates else fresh)


def test_the_last_update_of_all_counts(tmp_path):
    model = make_model()
    model.fit(
        np.ones((8, 4)),
        np.ones((8, 1)),
        batch_size=2,
        verbose=0,
        callbacks=[EarlyCheckpoints(tmp_path)],
    )
    other = keras.models.clone_model(model)
    updates, path = early_checkpoints(tmp_path)[-1]
    other.load_weights(path)
    assert updates == 4
    assert_same_weights(other.get_weights(), model.get_weights())


def test_updates_are_counted_and_not_batches(tmp_path):
    model = make_model(accumulate=2)
    train(model, EPOCHS, [EarlyCheckpoints(tmp_path)])
    assert int(model.optimizer.iterations) == 10
    assert updates_of(tmp_path) == [0, 1, 2, 4, 8]


def test_jumps_take_the_next_chance_under_the_true_number(tmp_path):
    model = make_model()
    model.compile("sgd", "mse", steps_per_execution=3)
    x, y = np.ones((20, 4)), np.ones((20, 1))
    model.fit(x, y, batch_size=1, verbose=0, callbacks=[EarlyCheckpoints(tmp_path)])
    assert updates_of(tmp_path) == [0, 3, 6, 9, 18]


def test_a_model_that_its_first_batch_builds(tmp_path):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.ones((4, 4)), np.ones((4, 1))
    model.fit(x, y, batch_size=1, verbose=0, callbacks=[EarlyCheckpoints(tmp_path)])
    assert updates_of(tmp_path)[-3:] == [1, 2, 4]


@pytest.mark.parametrize("batches", [1, 6, 8, 17])
def test_resumed_is_like_undisturbed_and_nothing_is_written_twice(run, undisturbed, batches):
    model, checkpoint = make_model(), Checkpoint(run)
    with pytest.raises(KeyboardInterrupt):
        callbacks = [Interrupt(batches), EarlyCheckpoints(run.folder), checkpoint]
        train(model, EPOCHS, callbacks)
    # A kill saves nothing: it goes on from the last end of an epoch, before files that are there.
    before = {path: path.stat().st_ino for _, path in early_checkpoints(run.folder)}
    resumed, checkpoint = make_model(), Checkpoint(run)
    start = checkpoint.restore(resumed)
    assert start.updates == batches // BATCHES * BATCHES
    train(resumed, EPOCHS, [EarlyCheckpoints(run.folder), checkpoint], start)
    assert files(run.folder) == undisturbed
    assert {path: path.stat().st_ino for path in before} == before


def test_killed_between_an_update_and_its_file(run, undisturbed):
    model, checkpoint = make_model(), Checkpoint(run)
    with pytest.raises(KeyboardInterrupt):
        train(model, EPOCHS, [Interrupt(8), EarlyCheckpoints(run.folder), checkpoint])
    assert checkpoint.save().updates == 8
    assert updates_of(run.folder) == [0, 1, 2, 4]
    resumed, checkpoint = make_model(99), Checkpoint(run)
    start = checkpoint.restore(resumed)
    train(resumed, EPOCHS, [EarlyCheckpoints(run.folder), checkpoint], start)
    assert files(run.folder) == undisturbed


def test_a_file_that_was_removed_is_missed_by_nobody(run, undisturbed):
    model, checkpoint = make_model(), Checkpoint(run)
    train(model, 2, [EarlyCheckpoints(run.folder), checkpoint])
    for name in ("update_00000002.weights.h5", "update_00000008.weights.h5"):
        (run.folder / "early" / name).unlink()
    train(model, EPOCHS, [EarlyCheckpoints(run.folder), checkpoint], checkpoint.restore(model))
    # Of the octave that training was in there is one again, under its own number.
    assert updates_of(run.folder) == [0, 1, 4, 10, 16]
    name = "update_00000016.weights.h5"
    assert files(run.folder)[name] == undisturbed[name]


def test_a_kill_leaves_no_torn_file(run, undisturbed, monkeypatch):
    replace = os.replace

    def killed(source, target):
        if "update_00000004" in str(target):
            raise KeyboardInterrupt
        replace(source, target)

    model = make_model()
    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        train(model, EPOCHS, [EarlyCheckpoints(run.folder)])
    monkeypatch.undo()
    torn = run.folder / "early" / "unfinished.update_00000004.weights.h5"
    torn.write_bytes(b"torn")  # where not even the interrupt came
    assert updates_of(run.folder) == [0, 1, 2]
    train(make_model(), EPOCHS, [EarlyCheckpoints(run.folder)])
    assert files(run.folder) == undisturbed


def test_training_and_average_are_what_they_are_without(tmp_path):
    averages, models = [], []
    for name in ("with", "without"):
        run, model = Run.create(tmp_path / name, {}), make_model()
        early = [EarlyCheckpoints(run.folder)] if name == "with" else []
        train(model, EPOCHS, [*early, Checkpoint(run, keep=2)])
        models.append(model)
        averages.append(keras.models.clone_model(model))
        paths = average_checkpoints(run, averages[-1], last=2)
        assert [path.name[7:17] for path in paths] == ["0000000015", "0000000020"]
    assert_same_state(*models)
    assert_same_weights(*(model.get_weights() for model in averages))
    assert early_checkpoints(tmp_path / "without") == []


def test_digests_of_a_finished_run_are_of_these_files_too(run):
    train(make_model(), 1, [EarlyCheckpoints(run.folder)])
    run.finish()
    run.check_whole()
    path = early_checkpoints(run.folder)[1][1]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"update_00000001\.weights\.h5: expected the file that"):
        run.check_whole()


def full(descriptor):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("why", ["no folder", "full disk"])
def test_what_cannot_be_written_is_one_warning(tmp_path, monkeypatch, why):
    expected, model = make_model(), make_model()
    train(expected, 2)
    if why == "no folder":
        (tmp_path / "early").write_text("a file")
    else:
        monkeypatch.setattr(os, "fsync", full)
    early = EarlyCheckpoints(tmp_path)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        train(model, 2, [early])
    said = [str(warning.message) for warning in found if "cannot be" in str(warning.message)]
    assert len(said) == 1 and "training goes on" in said[0] and str(tmp_path / "early") in said[0]
    assert_same_state(model, expected)
    assert early_checkpoints(tmp_path) == []


def test_weights_that_are_not_finite_are_not_written(tmp_path):
    model = make_model()
    model.compile(keras.optimizers.SGD(1e30), "mse")
    x, y = np.ones((9, 4), "float32"), np.ones((9, 1), "float32")
    model.fit(x, y, batch_size=1, verbose=0, callbacks=[EarlyCheckpoints(tmp_path)])
    for _, path in early_checkpoints(tmp_path):
        model.load_weights(path)
        assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert 8 not in updates_of(tmp_path)


def test_other_files_are_none_of_these(tmp_path):
    (tmp_path / "early").mkdir()
    for name in ("update_1.weights.h5", "update_0000000x.weights.h5", "update_00000001.txt"):
        (tmp_path / "early" / name).touch()
    last, first = (f"update_{number}.weights.h5" for number in ("100000000", "00000002"))
    (tmp_path / "early" / last).touch()
    (tmp_path / "early" / first).touch()
    assert [path.name for _, path in early_checkpoints(str(tmp_path))] == [first, last]
    assert early_checkpoints(tmp_path / "nowhere") == []
