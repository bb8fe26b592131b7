"""`.keras` files: written whole, and looked through before anything is made of them."""

from pathlib import Path

import keras

from keras_transformer.archives import (
    CONFIG,
    WEIGHTS,
    StoredMember,
    array_sizes,
    check_members,
    open_archive,
)
from keras_transformer.backend.limited_weights import limited_weights
from keras_transformer.checks import refusal
from keras_transformer.files import written_whole
from keras_transformer.known_classes import check_classes
from keras_transformer.reading import parse_json


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

    Damage is seen by the checksums in the file. What others made can run nothing here and can take
    no more memory than its size promises: it is of Keras' classes, this package's and those that
    the caller has registered with Keras, holds arrays and nothing else, and makes no more weights
    than it has arrays for.

    Raises:
        ValueError: for a file that is missing, damaged, or not to be trusted, in one sentence.

    Example: see `save_model`.
    """
    path = Path(path)
    with open_archive(path) as archive:
        check_members(archive, path)
        config = parse_json(archive.read(CONFIG), f"{path}, {CONFIG}")
        check_classes(config, path)
        with StoredMember(archive, WEIGHTS, path) as weights:
            sizes = array_sizes(weights, f"{path}, {WEIGHTS}")
    try:
        with limited_weights(sizes):
            return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever the layers' constructors raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise refusal("a .keras file that Keras can load", reason, where=path) from error
