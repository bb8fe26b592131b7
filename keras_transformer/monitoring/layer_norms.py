"""How large the weights of each layer are, and how far an update moves them."""

import pathlib
from typing import Any

import numpy as np
from keras import ops

from keras_transformer.backend.training_state import take_back_state
from keras_transformer.checks import require
from keras_transformer.monitoring.watcher import Watcher
from keras_transformer.monitoring.writer import write_scalars
from keras_transformer.training.optimizers import batches_done, batches_per_update


class LayerNorms(Watcher):
    """Writes norms of weights, and of what an update adds to them, a layer of the model a curve.

    In the run `train`: `weights/encoder_block_0` and `updates/encoder_block_0`. A healthy update
    is about a thousandth of the weights.

    Args:
        log_dir: Folder of the run's logs.
        every: Updates from one that is looked at to the next; the first is looked at, too.

    Raises:
        ValueError: If `every` is below 1.

    Example:

    >>> import keras, tempfile
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> norms = LayerNorms(tempfile.mkdtemp())
    >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=[norms])
    >>> [name.rstrip("_0123456789") for name in sorted(norms.found)]
    ['updates/dense', 'weights/dense']
    """

    def __init__(self, log_dir: str | pathlib.Path, every: int = 500) -> None:
        super().__init__(log_dir)
        require(every >= 1, "every to be at least 1", every=every)
        self.every = every
        self.found: dict[str, float] = {}
        self._before: list[np.ndarray] | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._batches = batches_done(self.model.optimizer)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        an_update = batches_per_update(self.model.optimizer)
        done = self._batches + batch
        is_last_of_update = (done + 1) % an_update == 0
        if is_last_of_update and (done // an_update) % self.every == 0:
            self._before = self._weights()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._before is not None:
            self.look_now()
            self._before = None

    def _weights(self):
        take_back_state(self.model)
        return [np.array(ops.convert_to_numpy(v)) for v in self.model.trainable_variables]

    def look(self) -> None:
        names = {
            variable.path: layer.name
            for layer in self.model.layers
            for variable in layer.trainable_variables
        }
        squares: dict[str, float] = {}
        for variable, old, new in zip(
            self.model.trainable_variables, self._before or [], self._weights(), strict=True
        ):
            layer = names.get(variable.path, self.model.name)
            for name, array in (("weights", new), ("updates", new.astype("float32") - old)):
                tag = f"{name}/{layer}"
                squares[tag] = squares.get(tag, 0.0) + float(np.vdot(array, array))
        self.found = {name: square**0.5 for name, square in squares.items()}
        write_scalars(self.found)
