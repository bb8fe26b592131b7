"""A model of a few numbers, and event files read back as TensorBoard reads them."""

import keras
import numpy as np
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.util import tensor_util

IDS = np.array([[1, 2, 0], [3, 0, 0], [1, 1, 1], [4, 3, 0]])  # 4 batches an epoch


def events(log_dir):
    """`{run: {tag: [(step, value), ...]}}` of all that TensorBoard would show."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(log_dir))
    multiplexer.Reload()
    return {
        run: {
            tag: [
                (e.step, tensor_util.make_ndarray(e.tensor_proto).item())
                for e in multiplexer.Tensors(run, tag)
                if e.tensor_proto.tensor_shape.dim == []  # no picture, and no settings
            ]
            for tag in contents["tensors"]
        }
        for run, contents in multiplexer.Runs().items()
    }


def make_model(loss, metrics=()):
    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, keras.layers.Embedding(5, 5)(inputs))
    model.compile(keras.optimizers.SGD(0.5), loss, metrics=list(metrics))
    return model


def fit(model, callbacks, epochs=2, initial_epoch=0):
    return model.fit(
        IDS,
        IDS,
        batch_size=1,
        initial_epoch=initial_epoch,
        epochs=epochs,
        validation_data=(IDS, IDS),
        verbose=0,
        callbacks=callbacks,
    ).history
