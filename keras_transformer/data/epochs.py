"""Epochs of batches as a dataset."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import keras
import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf


class EpochBatches:
    """Batches that depend on a seed and the epoch's number alone, as a dataset.

    A subclass has `epoch`, `num_batches` and `shuffle`, and `arrays` if one epoch has not all text.
    """

    num_batches: int
    shuffle: bool

    def arrays(self) -> Iterator[np.ndarray]:
        """Yields the arrays that the batches of all epochs are made of, for `digest`."""
        yield from map(np.asarray, keras.tree.flatten(list(self.epoch(0))))

    def digest(self) -> str:
        """The SHA-256 of the tokens, and of what else the batches are made of.

        Example:

        >>> from keras_transformer.data import StreamBatches
        >>> rows = {"batch_size": 1, "row_length": 2}
        >>> one, two = (StreamBatches(ids, **rows).digest() for ids in ([5, 6, 7], [5, 6, 8]))
        >>> one == two
        False
        """
        total = hashlib.sha256()
        for array in self.arrays():
            total.update(f"{array.dtype} {array.shape} ".encode())
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()

    def epoch(self, number: int) -> Iterator[tuple]:
        """Yields `(inputs, labels)`, NumPy arrays or dicts and tuples of them.

        Args:
            number: Which epoch, from 0.
        """
        raise NotImplementedError

    def dataset(self, initial_epoch: int = 0, skip_batches: int = 0) -> tf.data.Dataset:
        """Returns the batches as a prefetching `tf.data.Dataset`, from any place in training on.

        With `shuffle=True` the dataset is endless, one epoch after the other, each in its own
        order: pass `steps_per_epoch=batches.num_batches` to `fit`. (Keras takes the length of the
        first pass over a finite dataset for that of all, and on some backends reads a batch before
        training: with an endless one, an interrupted run can go on in the middle of an epoch, and
        what is read depends on the place alone.) With `shuffle=False` it is one pass, with a
        known number of batches, for `validation_data` and `evaluate`.

        Args:
            initial_epoch: The epoch to begin in. Default 0.
            skip_batches: How many of that epoch's batches have been seen already. Default 0.

        Example:

        >>> from keras_transformer.data import PairBatches
        >>> batches = PairBatches([[5]], [[8, 9]], batch_tokens=6, start_id=2, end_id=3)
        >>> inputs, labels = next(iter(batches.dataset(initial_epoch=3)))
        >>> labels.numpy().tolist()
        [[8, 9, 3]]
        """
        import tensorflow as tf

        def stream():
            epochs = itertools.count(initial_epoch) if self.shuffle else [initial_epoch]
            every = itertools.chain.from_iterable(map(self.epoch, epochs))
            return itertools.islice(every, skip_batches, None)

        first = next(iter(self.epoch(0)))
        signature = tf.nest.map_structure(
            lambda array: tf.TensorSpec([None] * array.ndim, array.dtype), first
        )
        dataset = tf.data.Dataset.from_generator(stream, output_signature=signature)
        left = tf.data.INFINITE_CARDINALITY if self.shuffle else self.num_batches - skip_batches
        return dataset.apply(tf.data.experimental.assert_cardinality(left)).prefetch(
            tf.data.AUTOTUNE
        )
