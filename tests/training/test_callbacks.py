"""The clock and the end of training are where they say."""

import time

import keras
import numpy as np
import pytest

from keras_transformer.training import LogConstants, StopAfter, TargetTokens, Throughput
from keras_transformer.training import callbacks as module
from keras_transformer.training.optimizers import batches_done


class Slow(keras.callbacks.Callback):
    def on_test_batch_end(self, batch, logs=None):
        time.sleep(0.1)

    def on_epoch_end(self, epoch, logs=None):
        time.sleep(0.1)


def tokens_model(metrics=None, accumulate=None):
    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, keras.layers.Embedding(5, 5)(inputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(0.25, gradient_accumulation_steps=accumulate)
    model.compile(optimizer, loss, metrics=metrics or [TargetTokens()])
    return model


def test_throughput_counts_real_tokens_over_the_seconds_of_training_alone():
    ids = np.array([[1, 2, 0], [3, 0, 0], [1, 1, 1], [0, 0, 0]])
    model, throughput = tokens_model(), Throughput()
    model.fit(ids, ids, batch_size=1, verbose=0)  # traced before the clock runs
    history = model.fit(
        ids,
        ids,
        batch_size=1,
        verbose=0,
        validation_data=(ids, ids),
        callbacks=[throughput, Slow()],
    ).history
    assert history["target_tokens"] == [6.0]
    assert history["target_tokens_per_second"][0] > 6 / 0.25
    assert history["learning_rate"] == [0.25]


def test_throughput_counts_what_an_epoch_cut_short_has_seen():
    ids = np.ones((8, 3), "int32")
    callbacks = [Throughput(), StopAfter(2)]
    history = tokens_model().fit(ids, ids, batch_size=2, verbose=0, callbacks=callbacks).history
    assert history["target_tokens"] == [12.0]


def test_throughput_needs_its_metric():
    model = tokens_model(metrics=["accuracy"])
    with pytest.raises(ValueError, match="Expected tokens_per_batch, or the metric `TargetTokens`"):
        model.fit(np.ones((2, 3)), np.ones((2, 3)), verbose=0, callbacks=[Throughput()])


class Clock(keras.callbacks.Callback):
    """Two seconds a training batch, a hundred one of validation."""

    now = 0.0

    def monotonic(self):
        return self.now

    def on_train_batch_end(self, batch, logs=None):
        self.now += 2.0

    def on_test_batch_end(self, batch, logs=None):
        self.now += 100.0

    def on_epoch_end(self, epoch, logs=None):
        self.now += 1000.0


@pytest.mark.parametrize(("max_updates", "accumulate"), [(8, None), (6, None), (2, 3)])
def test_throughput_of_batches_with_a_known_number_of_tokens(monkeypatch, max_updates, accumulate):
    clock, ids = Clock(), np.ones((8, 3), "int32")
    monkeypatch.setattr(module, "time", clock)
    model = tokens_model(metrics=["accuracy"], accumulate=accumulate)
    history = model.fit(
        ids,
        ids,
        batch_size=2,
        epochs=2,
        verbose=0,
        validation_data=(ids, ids),
        callbacks=[Throughput(tokens_per_batch=5.0), clock, StopAfter(max_updates)],
    ).history
    assert history["tokens_per_second"] == [2.5, 2.5]  # the second epoch may be cut short
    assert history["learning_rate"] == [0.25, 0.25]
    assert "target_tokens_per_second" not in history


def test_constants_are_in_the_logs_of_every_epoch():
    seen = []
    report = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs))
    ids = np.ones((4, 3), "int32")
    callbacks = [LogConstants(padding_fraction=0.25, rows=7), report]
    history = tokens_model().fit(ids, ids, epochs=2, verbose=0, callbacks=callbacks).history
    assert history["padding_fraction"] == [0.25, 0.25] and history["rows"] == [7, 7]
    assert [logs["padding_fraction"] for logs in seen] == [0.25, 0.25]


@pytest.mark.parametrize(
    ("updates", "accumulate"), [(1, None), (4, None), (6, None), (1, 3), (2, 3), (4, 2)]
)
def test_stop_after_ends_at_exactly_that_update(updates, accumulate):
    ids = np.ones((8, 3), "int32")  # 4 batches an epoch
    model, batches = tokens_model(accumulate=accumulate), updates * (accumulate or 1)
    history = model.fit(
        ids,
        ids,
        batch_size=2,
        epochs=9,
        verbose=0,
        validation_data=(ids, ids),
        callbacks=[StopAfter(updates)],
    ).history
    assert int(model.optimizer.iterations) == updates
    assert batches_done(model.optimizer) == batches
    assert len(history["val_loss"]) == -(-batches // 4)


def test_stop_after_goes_on_within_an_accumulation():
    ids, model = np.ones((8, 3), "int32"), tokens_model(accumulate=3)
    model.fit(ids, ids, batch_size=2, verbose=0)  # 4 batches: one update, and one batch more
    model.fit(ids, ids, batch_size=2, epochs=9, verbose=0, callbacks=[StopAfter(2)])
    assert batches_done(model.optimizer) == 6
    with pytest.raises(ValueError, match="exceed the 2 updates already done"):
        model.fit(ids, ids, batch_size=2, verbose=0, callbacks=[StopAfter(2)])
