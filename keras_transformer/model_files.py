"""`.keras` files: written whole, and read with care."""

from pathlib import Path

import keras

from keras_transformer.files import written_whole


def save_model(model: keras.Model, path: str | Path) -> None:
    """Writes a `.keras` file, whole or not at all.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "model.keras"
    >>> save_model(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), path)
    >>> load_model(path).count_params()
    3
    """
    with written_whole(path) as unfinished:
        model.save(unfinished)


def load_model(path: str | Path) -> keras.Model:
    """Reads a `.keras` file, without its optimiser.

    Example: see `save_model`.
    """
    return keras.models.load_model(path, compile=False)
