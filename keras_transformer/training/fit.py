"""`model.fit` that can be interrupted and goes on as if it had not been."""

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

import keras

from keras_transformer.training.callbacks import StopAfter
from keras_transformer.training.checkpoints import Checkpoint
from keras_transformer.training.signals import stopped_by_signals


def fit(
    model: keras.Model,
    batches: Any,
    valid_batches: Any,
    checkpoint: Checkpoint,
    epochs: int,
    max_updates: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, list[float]]:
    """Trains to the end, from the newest checkpoint if there is one.

    An epoch's progress is shown on standard error if that is a terminal; else a line an epoch is
    printed.

    Args:
        model: Compiled Keras model.
        batches: Training batches, such as `data.PairBatches`: with `num_batches` and, as a
            `tf.data.Dataset`, `dataset(epoch, skip)`.
        valid_batches: Batches to validate on after every epoch, made with `shuffle=False`.
        checkpoint: `Checkpoint` of the run; it comes after the other callbacks.
        epochs: How many there are in all, those before a resume included.
        max_updates: When to stop within an epoch. Default `None`: not before its end.
        callbacks: Other Keras callbacks. One with an attribute `is_over` that is true, as
            `KeepBest` has it, has ended training before.

    Returns:
        A dict of str to list: the logs of all epochs, those before a resume included.

    Raises:
        KeyboardInterrupt: After Ctrl-C, and after SIGTERM and SIGHUP (`Stopped`), once everything
            is saved.

    Example:

    >>> import tempfile
    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig(
    ...     vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> model = kt.models.decoder_only(config)
    >>> model.compile("adam", kt.training.MaskedCrossentropy())
    >>> rows = {"batch_size": 2, "row_length": 8}
    >>> batches = kt.data.StreamBatches([5, 6, 7, 8] * 20, **rows)
    >>> valid_batches = kt.data.StreamBatches([5, 6, 7, 8] * 4, **rows, shuffle=False)
    >>> checkpoint = kt.training.Checkpoint(kt.training.Run.create(tempfile.mkdtemp(), {}))
    >>> history = fit(model, batches, valid_batches, checkpoint, epochs=1)  # doctest: +ELLIPSIS
    4/4 - ...
    >>> history == fit(model, batches, valid_batches, checkpoint, epochs=1)  # is done
    True
    """
    start = checkpoint.restore(model)
    if any(getattr(callback, "is_over", False) for callback in callbacks):
        return checkpoint.history
    callbacks = [*callbacks, checkpoint]
    if max_updates:
        if start.updates >= max_updates:
            return checkpoint.history
        callbacks.append(StopAfter(max_updates))
    # An epoch that was interrupted is a leg of its own: Keras wants all epochs of one length.
    legs = [(start.epoch + bool(start.batches), epochs, 0)]
    if start.batches:
        legs.insert(0, (start.epoch, start.epoch + 1, start.batches))
    try:
        for first, last, skip in legs:
            with stopped_by_signals(), _bar_on_standard_error() as verbose:
                model.fit(
                    batches.dataset(first, skip),
                    steps_per_epoch=batches.num_batches - skip,
                    initial_epoch=first,
                    epochs=last,
                    validation_data=valid_batches.dataset(),
                    callbacks=callbacks,
                    shuffle=False,  # the batches are
                    verbose=verbose,
                )
            if model.stop_training:
                break
    except KeyboardInterrupt:
        checkpoint.save()
        raise
    finally:
        checkpoint.wait()
    return checkpoint.history


@contextlib.contextmanager
def _bar_on_standard_error():
    """How much Keras shall show: a bar on a terminal, which it would draw on standard output."""
    if not sys.stderr.isatty():
        yield 2
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield 1
