"""Resuming changes nothing, averages are exact, and no half-written file is left."""

import os
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transformer.training import (
    Adam,
    Checkpoint,
    Position,
    Run,
    RunError,
    StopAfter,
    average_checkpoints,
    checkpoints,
)
from keras_transformer.training.checkpoint_files import (
    is_whole,
    load_checkpoint,
    read_position,
    save_checkpoint,
)
from keras_transformer.training.optimizers import batches_done

BATCHES = 5  # an epoch
ACCUMULATE = 2  # an epoch's end can fall between two updates


def make_model(seed=0, accumulate=None):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,))
    x = keras.layers.Dense(8, activation="relu", name="hidden")(inputs)
    # Resumes exactly only if its seed does; under PyTorch, Keras takes torch's global one.
    x = keras.layers.Dropout(0.0 if keras.backend.backend() == "torch" else 0.5)(x)
    model = keras.Model(inputs, keras.layers.Dense(1, name="output")(x))
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.9)
    model.compile(Adam(schedule, gradient_accumulation_steps=accumulate), "mse")
    return model


def epoch_data(epoch):
    rng = np.random.default_rng(epoch)
    x, y = rng.normal(size=(BATCHES * 2, 4)), rng.normal(size=(BATCHES * 2, 1))
    return tf.data.Dataset.from_tensor_slices((x.astype("float32"), y)).batch(2)


def train(model, epochs, callbacks=(), start=None, validation_data=None):
    start = start or Position()
    for epoch in range(start.epoch, epochs):
        done = start.batches if epoch == start.epoch else 0
        model.fit(
            epoch_data(epoch).skip(done),
            initial_epoch=epoch,
            epochs=epoch + 1,
            verbose=0,
            callbacks=list(callbacks),
            validation_data=validation_data,
        )
        if model.stop_training:
            break


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", {})


class Interrupt(keras.callbacks.Callback):
    """Ctrl-C after so many batches, before or after the last is reported, or in validation."""

    def __init__(self, batches, where="on_train_batch_end"):
        super().__init__()
        setattr(self, where, self.interrupt)
        self.batches = batches

    def interrupt(self, *_, **__):
        if batches_done(self.model.optimizer) == self.batches:
            raise KeyboardInterrupt


def state(model):
    return [np.asarray(v) for v in model.variables + model.optimizer.variables]


def ends_of_epochs(run):
    return [path for path in run.checkpoints() if not read_position(path).batches]


def assert_same_state(one, other):
    for a, b in zip(state(one), state(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def uninterrupted():
    model = make_model()
    train(model, epochs=3)
    return model


@pytest.mark.parametrize(
    ("update", "where", "expected"),
    [
        (7, "on_train_batch_end", (1, 2)),
        (7, "on_train_batch_begin", (1, 2)),
        (5, "on_epoch_begin", (1, 0)),
        (0, "on_train_batch_begin", (0, 0)),
        # An epoch is over with its validation.
        (10, "on_train_batch_end", (1, 0)),
        (10, "on_test_batch_end", (1, 0)),
    ],
)
def test_interrupted_and_resumed_equals_uninterrupted(run, uninterrupted, update, where, expected):
    model, checkpoint = make_model(), Checkpoint(run)
    assert checkpoint.restore(model) == Position()
    with pytest.raises(KeyboardInterrupt):
        callbacks = [Interrupt(update, where), checkpoint]
        train(model, 3, callbacks, validation_data=epoch_data(9))
    position = checkpoint.save()
    saved = expected[0] * BATCHES + expected[1]
    assert (position.epoch, position.batches, position.updates) == (*expected, saved)

    # Before the first update nothing is saved, and the run's own seed makes its start again.
    resumed, checkpoint = make_model(seed=99 if update else 0), Checkpoint(run)
    start = checkpoint.restore(resumed)
    assert start == position
    train(resumed, 3, [checkpoint], start)
    assert_same_state(resumed, uninterrupted)
    assert [int(path.stem[7:]) for path in ends_of_epochs(run)] == [5, 10, 15]


@pytest.fixture(scope="module")
def uninterrupted_accumulation():
    model = make_model(accumulate=ACCUMULATE)
    train(model, epochs=3)
    return model


@pytest.mark.parametrize("batches", [1, 4, 6, 11])
def test_resumed_within_an_accumulation(run, uninterrupted_accumulation, batches):
    model, checkpoint = make_model(accumulate=ACCUMULATE), Checkpoint(run)
    with pytest.raises(KeyboardInterrupt):
        train(model, 3, [Interrupt(batches), checkpoint])
    position = checkpoint.save()
    assert (position.epoch, position.batches) == divmod(batches, BATCHES)
    assert position.updates == batches // ACCUMULATE

    resumed, checkpoint = make_model(99, ACCUMULATE), Checkpoint(run)
    start = checkpoint.restore(resumed)
    assert start == position == checkpoint.save()
    train(resumed, 3, [checkpoint], start)
    assert_same_state(resumed, uninterrupted_accumulation)
    assert len(ends_of_epochs(run)) == 3  # none was replaced by one from within an epoch
    last = Checkpoint(run).restore(make_model(99, ACCUMULATE))
    assert (last.epoch, last.batches, last.updates) == (3, 0, 7)


def test_runs_from_before_batches_had_weights_go_on(tmp_path):
    model, path = make_model(accumulate=ACCUMULATE), tmp_path / "update-0000000005.npz"
    train(model, 2)
    save_checkpoint(path, model, Position(epoch=2, updates=5))
    with np.load(path) as file:
        last = max(
            (name for name in file if name.startswith("optimizer/")),
            key=lambda name: int(name[10:]),
        )
        older = {name: file[name] for name in file if name != last}
    np.savez(path, **older)
    resumed = make_model(99, ACCUMULATE)
    start = load_checkpoint(path, resumed)
    for one in (model, resumed):
        train(one, 3, start=start)
    assert_same_state(resumed, model)


@pytest.mark.parametrize(("accumulate", "batches"), [(None, 7), (5, 6)])
def test_an_interrupted_run_averages_the_same_checkpoints(run, tmp_path, accumulate, batches):
    other = Run.create(tmp_path / "other", {})
    train(make_model(accumulate=accumulate), 3, [Checkpoint(other)])
    model, checkpoint = make_model(accumulate=accumulate), Checkpoint(run)
    with pytest.raises(KeyboardInterrupt):
        train(model, 3, [Interrupt(batches), checkpoint])
    start = checkpoint.save()
    assert checkpoint.save() == start  # and nothing new is written
    assert len(run.checkpoints()) == 2  # the second one from within an epoch
    assert Checkpoint(run).restore(model) == start
    train(model, 3, [checkpoint], start)
    average_checkpoints(run, model)
    expected = make_model()
    average_checkpoints(other, expected)
    for ours, theirs in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("accumulate", [None, ACCUMULATE])
def test_interrupted_twice_within_one_epoch(run, accumulate):
    for seed, batches in [(0, 6), (1, 6), (2, 8)]:
        model, checkpoint = make_model(seed, accumulate), Checkpoint(run)
        with pytest.raises(KeyboardInterrupt):
            callbacks = [Interrupt(batches, "on_train_batch_end"), checkpoint]
            if seed == 1:  # before the resumed run has done anything
                callbacks = [Interrupt(batches, "on_train_batch_begin"), checkpoint]
            train(model, 3, callbacks, checkpoint.restore(model))
        checkpoint.save()
    model, checkpoint = make_model(3, accumulate), Checkpoint(run)
    start = checkpoint.restore(model)
    assert (start.epoch, start.batches) == (1, 3)
    train(model, 3, [checkpoint], start)
    uninterrupted = make_model(accumulate=accumulate)
    train(uninterrupted, 3)
    assert_same_state(model, uninterrupted)


def test_data_of_unknown_length_are_refused(run):
    """Keras would count one update too many at their end."""
    data = epoch_data(0).filter(lambda *_: True)
    with pytest.raises(ValueError, match="assert_cardinality"):
        make_model().fit(data, verbose=0, callbacks=[Checkpoint(run)])
    known = data.apply(tf.data.experimental.assert_cardinality(BATCHES))
    model = make_model()
    model.fit(known, verbose=0, callbacks=[Checkpoint(run)])
    assert int(model.optimizer.iterations) == BATCHES


def test_saving_before_training_began_writes_nothing(run):
    assert Checkpoint(run).save() == Position()
    assert run.checkpoints() == []


def test_only_the_newest_checkpoints_are_kept(run):
    train(make_model(), 5, [Checkpoint(run, keep=2)])
    assert [int(path.stem[7:]) for path in run.checkpoints()] == [20, 25]
    with pytest.raises(ValueError, match="Received: keep=0"):
        Checkpoint(run, keep=0)


def test_an_interrupted_write_leaves_no_half_checkpoint(run, monkeypatch):
    model = make_model()
    train(model, 1, [Checkpoint(run)])
    before = run.checkpoints()[0].read_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(run.checkpoints()[0], make_model(1), Position())
    assert [path.read_bytes() for path in run.checkpoints()] == [before]


def test_seconds_add_up_over_a_resume(run):
    model, checkpoint = make_model(), Checkpoint(run)
    train(model, 1, [checkpoint])
    start = Checkpoint(run).restore(model)
    assert start.seconds > 0
    checkpoint = Checkpoint(run)
    train(model, 2, [checkpoint], checkpoint.restore(model))
    assert Checkpoint(run).restore(model).seconds > start.seconds


def test_a_checkpoint_of_another_model_is_refused(run):
    train(make_model(), 1, [Checkpoint(run)])
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    other.compile("adam", "mse")
    before = other.get_weights()
    for attempt in [
        lambda: Checkpoint(run).restore(other),
        lambda: average_checkpoints(run, other),
    ]:
        with pytest.raises(
            RunError, match=r"a checkpoint of this model, with .* of shape \(4, 3\)"
        ):
            attempt()
    np.testing.assert_array_equal(other.get_weights()[0], before[0])


def test_bfloat16_weights_survive(tmp_path):
    def make(seed):
        keras.utils.set_random_seed(seed)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype="bfloat16")])
        model.compile("sgd", "mse")
        return model

    model, copy = make(0), make(1)
    save_checkpoint(tmp_path / "update-1.npz", model, Position())
    load_checkpoint(tmp_path / "update-1.npz", copy)
    assert_same_state(model, copy)


def test_average_is_the_mean_of_the_last_checkpoints(run):
    model, weights = make_model(), []

    class Record(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            weights.append(self.model.get_weights())

    train(model, 4, [Checkpoint(run), Record()])
    uncompiled = keras.models.clone_model(model)
    assert len(average_checkpoints(run, uncompiled, last=3)) == 3
    for ours, *theirs in zip(uncompiled.get_weights(), *weights[-3:], strict=True):
        np.testing.assert_allclose(ours, np.mean(theirs, axis=0, dtype="float64"), rtol=1e-6)
    assert average_checkpoints(run.checkpoints()[:1], uncompiled, last=3) == run.checkpoints()[:1]
    np.testing.assert_array_equal(uncompiled.get_weights()[0], weights[0][0])


def test_average_of_nothing_says_so(run):
    with pytest.raises(RunError, match="Expected a checkpoint to average"):
        average_checkpoints(run, make_model())


def test_stop_after_counts_the_updates_before_a_resume(run, uninterrupted):
    model, checkpoint = make_model(), Checkpoint(run)
    train(model, 9, [StopAfter(7), checkpoint], validation_data=epoch_data(9))
    resumed, checkpoint = make_model(3), Checkpoint(run)
    start = checkpoint.restore(resumed)
    assert (start.epoch, start.batches, start.updates) == (1, 2, 7)
    train(resumed, 9, [StopAfter(15), checkpoint], start)
    assert_same_state(resumed, uninterrupted)
    with pytest.raises(ValueError, match="Received: max_updates=15"):
        train(resumed, 9, [StopAfter(15)])


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "cut":
        content = content[: len(content) // 2]
    elif how == "empty":
        content = b""
    elif how == "text":
        content = b"nothing"
    else:
        content[how] ^= 16
    path.write_bytes(content)


def test_every_bit_that_matters_is_seen(run):
    model = make_model()
    path = run.checkpoints_folder / "update-0000000001.npz"
    save_checkpoint(path, model, Position(updates=1))
    content = path.read_bytes()
    expected = state(model)
    for place in range(0, len(content), 97):
        damage(path, place)
        if is_whole(path):  # a date, say
            load_checkpoint(path, model)
            for one, two in zip(state(model), expected, strict=True):
                np.testing.assert_array_equal(one, two)
        path.write_bytes(content)


@pytest.mark.parametrize("how", ["cut", "empty", "text", 1000])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(run, uninterrupted, how):
    train(make_model(), 2, [Checkpoint(run, keep=1)])
    two = run.checkpoints()[1]
    damage(two, how)
    model, checkpoint = make_model(99), Checkpoint(run, keep=1)
    with pytest.warns(UserWarning, match=f"{two.name} is damaged"):
        start = checkpoint.restore(model)
    assert (start.epoch, start.updates) == (1, 5)
    train(model, 3, [checkpoint], start)
    assert_same_state(model, uninterrupted)
    assert all(map(is_whole, run.checkpoints())) and len(run.checkpoints()) == 2

    for path in run.checkpoints():
        damage(path, how)
    with (
        pytest.warns(UserWarning, match="is damaged"),
        pytest.raises(RunError, match="all of its checkpoints are damaged; begin again"),
    ):
        Checkpoint(run).restore(model)


def test_the_oldest_may_be_damaged_when_its_time_has_come(run):
    checkpoint, model = Checkpoint(run, keep=2), make_model()
    train(model, 2, [checkpoint])
    damage(run.checkpoints()[0], "empty")
    train(model, 4, [checkpoint], checkpoint.position())
    assert [int(path.stem[7:]) for path in run.checkpoints()] == [15, 20]


def test_an_average_leaves_out_what_is_damaged(run):
    model = make_model()
    train(model, 3, [Checkpoint(run)])
    damage(run.checkpoints()[1], "cut")
    with pytest.warns(UserWarning, match="10.npz is damaged: it is left out of the average"):
        assert len(average_checkpoints(run, model)) == 2


@pytest.mark.parametrize("accumulate", [None, ACCUMULATE])
def test_saves_within_an_epoch_and_goes_on_there(run, accumulate):
    """Killed, and not interrupted: nothing is saved at the end."""
    model, checkpoint = make_model(accumulate=accumulate), Checkpoint(run, every="1")
    with pytest.raises(KeyboardInterrupt):
        train(model, 3, [Interrupt(9), checkpoint])
    checkpoint.wait()
    resumed, checkpoint = make_model(99, accumulate), Checkpoint(run, every="1")
    start = checkpoint.restore(resumed)
    assert (start.epoch, start.batches) == (1, 2 if accumulate else 3)
    train(resumed, 3, [checkpoint], start)
    uninterrupted = make_model(accumulate=accumulate)
    train(uninterrupted, 3)
    assert_same_state(resumed, uninterrupted)


def test_within_an_epoch_the_last_two_are_kept_besides_its_ends(run):
    checkpoint, model = Checkpoint(run, keep=1, every="1"), make_model()
    with pytest.raises(KeyboardInterrupt):
        train(model, 3, [Interrupt(10, "on_train_batch_begin"), checkpoint])
    checkpoint.wait()
    assert [int(path.stem[7:]) for path in run.checkpoints()] == [9, 10]
    assert ends_of_epochs(run) == run.checkpoints()[1:]


def test_saves_by_the_clock(run, monkeypatch):
    minutes = iter(range(1000))
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: 60.0 * next(minutes))
    checkpoint, model = Checkpoint(run, every="2m"), make_model()
    with pytest.raises(KeyboardInterrupt):
        train(model, 1, [checkpoint, Interrupt(4)])
    checkpoint.wait()
    assert [int(path.stem[7:]) for path in run.checkpoints()] in ([1, 2], [2, 3], [2, 4], [1, 3])


@pytest.mark.parametrize("every", ["", "0", "0m", "ten", "10s", "-1", "1.5", None])
def test_how_often_is_minutes_or_updates(run, every):
    with pytest.raises(ValueError, match="checkpoints every 10m, which is minutes, or 500"):
        Checkpoint(run, every=every)


def test_what_is_kept_and_its_size_is_said(run):
    said = Checkpoint(run, keep=3, every="1.5m").describe(make_model())
    assert said.startswith("checkpoints: every 1.5 minutes and at the end of every epoch; up to 5")
    assert "every 500 updates" in Checkpoint(run, every="500").describe(make_model())


def test_a_checkpoint_that_cannot_be_written_ends_training_and_leaves_those_before(
    run, monkeypatch
):
    model, checkpoint = make_model(), Checkpoint(run, keep=1)
    train(model, 2, [checkpoint])
    before = {path: path.read_bytes() for path in run.checkpoints()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match=r"0015.npz could not be written: No space left on device"):
        train(model, 3, [checkpoint], checkpoint.position())
    left = {path: path.read_bytes() for path in run.checkpoints_folder.iterdir()}
    assert left == before


def test_all_epochs_are_remembered(run):
    data = epoch_data(9)
    train(make_model(), 2, [Checkpoint(run)], validation_data=data)
    model, checkpoint = make_model(99), Checkpoint(run)
    train(model, 3, [checkpoint], checkpoint.restore(model), validation_data=data)
    other = Checkpoint(Run.create(run.folder.parent / "other", {}))
    train(make_model(), 3, [other], validation_data=data)
    assert checkpoint.history == other.history and len(other.history["val_loss"]) == 3


def test_other_data_begin_with_an_epoch(run):
    train(make_model(), 1, [Checkpoint(run, every="2")])
    model, checkpoint = make_model(), Checkpoint(run, every="2")
    with pytest.raises(KeyboardInterrupt):
        train(model, 3, [Interrupt(8), checkpoint], checkpoint.restore(model))
    checkpoint.save()
    run.begin({"first_epoch": 2})
    start = Checkpoint(run).restore(make_model())
    assert (start.epoch, start.batches, start.updates) == (2, 0, 8)


def test_a_disk_that_has_no_room_for_them_is_said(run, monkeypatch):
    monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    assert "only 0 MB are free" in Checkpoint(run).describe(make_model())
