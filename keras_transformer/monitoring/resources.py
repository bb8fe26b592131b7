"""What training takes: seconds a step, memory, tokens."""

import pathlib
import time
from typing import Any

from keras_transformer.checks import require
from keras_transformer.monitoring.watcher import Watcher
from keras_transformer.monitoring.writer import write_scalars
from keras_transformer.training.optimizers import batches_done, batches_per_update


class Resources(Watcher):
    """Writes `step_seconds`, `memory_mib` and `tokens_seen` as curves, in the run `train`.

    Seconds are the mean of the steps since the last point, waiting for data included, validation
    not. Memory is what the process holds of the machine's (resident), that of accelerators not.

    Args:
        log_dir: Folder of the run's logs.
        tokens_per_batch: Real tokens of a batch on average. Default `None`: without `tokens_seen`.
        every: Updates from one point to the next.

    Raises:
        ValueError: If `every` is below 1.

    Example:

    >>> import keras, tempfile
    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> resources = Resources(tempfile.mkdtemp(), tokens_per_batch=8.0, every=1)
    >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=[resources])
    >>> resources.found["tokens_seen"], resources.found["memory_mib"] > 1
    (8.0, True)
    """

    def __init__(
        self,
        log_dir: str | pathlib.Path,
        tokens_per_batch: float | None = None,
        every: int = 100,
    ) -> None:
        super().__init__(log_dir)
        require(every >= 1, "every to be at least 1", every=every)
        self.tokens_per_batch, self.every = tokens_per_batch, every
        self.found: dict[str, float] = {}

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._batches = batches_done(self.model.optimizer)
        self._since, self._at = time.monotonic(), -1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        done = self._batches + batch + 1
        if done % (self.every * batches_per_update(self.model.optimizer)) == 0:
            now = time.monotonic()
            self.found = {"step_seconds": (now - self._since) / (batch - self._at)}
            if memory := memory_mib():
                self.found["memory_mib"] = memory
            if self.tokens_per_batch is not None:
                self.found["tokens_seen"] = done * self.tokens_per_batch
            self.look_now()
            self._since, self._at = time.monotonic(), batch

    def look(self) -> None:
        write_scalars(self.found)


def memory_mib() -> float:
    """Resident memory of this process; 0.0 where the system does not say.

    Example:

    >>> memory_mib() > 1
    True
    """
    try:
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux: the most there was
        try:
            import resource
        except ImportError:
            return 0.0
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    import os

    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
