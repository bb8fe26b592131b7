"""Weights that a file asks for, up to as many as the file holds."""

import contextlib
import math
import threading
from collections.abc import Iterable, Iterator

import keras

from keras_transformer.checks import require

_ONE_AT_A_TIME = threading.RLock()
# What layers may have beside what a file holds: LoRA's factors, the pooler that a folder may lack.
_TIMES_WEIGHTS, _MORE_WEIGHTS = 4, 64
_TIMES_NUMBERS, _MORE_NUMBERS = 2, 2**22


@contextlib.contextmanager
def limited_weights(sizes: Iterable[int]) -> Iterator[None]:
    """Layers that are built in here, by this thread, may not have many more weights than a file.

    Keras has no such limit: it makes what a configuration says, and only then reads the file. All
    weights of layers come from `Layer.add_weight`, before whose memory is taken this is asked.

    Args:
        sizes: how many numbers each array of the file has.

    Raises:
        ValueError: for a weight that is too much.

    Example:

    >>> with limited_weights([8, 2]):
    ...     keras.layers.Embedding(2_000_000_000, 64).build()
    Traceback (most recent call last):
    ValueError: Expected layers with the 10 numbers that the file holds. Received: 128,000,000,000
    """
    sizes = list(sizes)
    numbers, weights = sum(sizes), len(sizes)
    most_numbers = _TIMES_NUMBERS * numbers + _MORE_NUMBERS
    most_weights = _TIMES_WEIGHTS * weights + _MORE_WEIGHTS
    made_numbers = made_weights = 0
    thread = threading.get_ident()

    def limited(layer, *args, **kwargs):
        nonlocal made_numbers, made_weights
        if threading.get_ident() == thread:
            shape = kwargs.get("shape", args[0] if args else None)
            made_numbers += abs(math.prod((shape,) if isinstance(shape, int) else shape or ()))
            made_weights += 1
            expected = f"layers with the {numbers:,} numbers that the file holds"
            require(made_numbers <= most_numbers, expected, f"{made_numbers:,}")
            expected = f"layers with the {weights:,} weights that the file holds"
            require(made_weights <= most_weights, expected, f"{made_weights:,} and more")
        return add_weight(layer, *args, **kwargs)

    with _ONE_AT_A_TIME:
        add_weight = keras.layers.Layer.add_weight
        keras.layers.Layer.add_weight = limited
        try:
            yield
        finally:
            keras.layers.Layer.add_weight = add_weight
