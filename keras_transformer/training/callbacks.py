"""When `model.fit` ends, and at what pace it goes."""

import time
from typing import Any

import keras

from keras_transformer.checks import refusal, require
from keras_transformer.training.optimizers import batches_done, batches_per_update


class StopAfter(keras.callbacks.Callback):
    """Ends `fit` after exactly `max_updates` optimiser updates, those before a resume included.

    The epoch it cuts short still has its validation and its callbacks. Counts batches one by one
    (`steps_per_execution=1`).

    Args:
        max_updates: Total number of updates, at least 1.

    Raises:
        ValueError: If that many were done before `fit` began: Keras would do one more.

    Example:

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> data = np.ones((8, 2)), np.ones((8, 1))
    >>> _ = model.fit(*data, batch_size=2, epochs=9, verbose=0, callbacks=[StopAfter(6)])
    >>> int(model.optimizer.iterations)
    6
    """

    def __init__(self, max_updates: int) -> None:
        super().__init__()
        self.max_updates = max_updates

    def on_train_begin(self, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        updates = int(optimizer.iterations)
        expected = f"max_updates to exceed the {updates} updates already done"
        require(updates < self.max_updates, expected, max_updates=self.max_updates)
        batches = self.max_updates * batches_per_update(optimizer)
        self._batches_left = batches - batches_done(optimizer)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        # Keras looks at `stop_training` after the batch; setting it before the last one, and
        # not after it, leaves Keras free to report batches without waiting for them.
        self._batches_left -= 1
        if self._batches_left <= 0:
            self.model.stop_training = True


class Throughput(keras.callbacks.Callback):
    """Adds the tokens a second and `learning_rate` to the logs of every epoch.

    Seconds are those of the epoch's training batches, waiting for data and tracing included,
    validation and epoch-end callbacks not. Put it first among the callbacks: it stops the clock,
    and those after it see its figures. `learning_rate` is that of the next update.

    Args:
        tokens_per_batch: Real tokens of a batch on average, for `tokens_per_second`. None means
            that the metric `TargetTokens`, which `compile(metrics=...)` must then hold, counts
            them, for `target_tokens_per_second`: what an epoch cut short really saw.

    Raises:
        ValueError: If neither is there.

    Example:

    >>> import numpy as np
    >>> from keras_transformer.training.metrics import TargetTokens
    >>> model = keras.Sequential([keras.Input((2,), dtype="int32"), keras.layers.Embedding(5, 5)])
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> model.compile("adam", loss, metrics=[TargetTokens()])
    >>> ids = np.array([[1, 2], [3, 0]])
    >>> history = model.fit(ids, ids, verbose=0, callbacks=[Throughput()]).history
    >>> history["target_tokens"], history["target_tokens_per_second"][0] > 0
    ([3.0], True)
    """

    def __init__(self, tokens_per_batch: float | None = None) -> None:
        super().__init__()
        self.tokens_per_batch = tokens_per_batch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._began = time.monotonic()
        self._ended: float | None = None
        self._batches = batches_done(self.model.optimizer)

    def on_test_begin(self, logs: Any = None) -> None:
        self._ended = self._ended or time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        seconds = (self._ended or time.monotonic()) - self._began
        if self.tokens_per_batch is not None:
            batches = batches_done(self.model.optimizer) - self._batches
            logs["tokens_per_second"] = batches * self.tokens_per_batch / seconds
        elif "target_tokens" in logs:
            logs["target_tokens_per_second"] = logs["target_tokens"] / seconds
        else:
            expected = "tokens_per_batch, or the metric `TargetTokens` in `compile(metrics=...)`"
            raise refusal(expected, f"logs with {sorted(logs)}")
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class LogConstants(keras.callbacks.Callback):
    """Adds figures that stay the same to the logs of every epoch, for the callbacks after it.

    Example:

    >>> logs = {}
    >>> LogConstants(padding_fraction=0.25).on_epoch_end(0, logs)
    >>> logs
    {'padding_fraction': 0.25}
    """

    def __init__(self, **constants: float) -> None:
        super().__init__()
        self.constants = constants

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs.update(self.constants)
