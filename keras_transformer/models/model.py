"""A Functional model that knows what a published folder said of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from keras_transformer.backend.recomputable import Recomputable
from keras_transformer.types import DType


@keras.saving.register_keras_serializable("keras_transformer")
class TransformerModel(keras.Model):
    """A Functional `keras.Model` with notes, which its `.keras` file keeps.

    Attributes:
        published: str, JSON of what a published folder says beside the architecture and weights,
            such as the names of classes and how to generate; `keras_transformer.zoo` writes and
            reads it. None for a model that is from no such folder.

    Example:

    >>> inputs = keras.Input((2,))
    >>> model = TransformerModel(inputs, keras.layers.Dense(1)(inputs))
    >>> model.published = "{}"
    >>> TransformerModel.from_config(model.get_config()).published
    '{}'
    """

    published = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Keras' own operations keep too little to be done again for keywords, slices and in half
        # precision, and they hold next to nothing; a whole model done again would free nothing.
        for operation in (self, *self.operations):
            if not isinstance(operation, Recomputable):
                operation._remat_mode = None

    def get_config(self) -> dict[str, Any]:
        notes: dict = {} if self.published is None else {"published": self.published}
        return {**super().get_config(), **notes}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> TransformerModel:
        config = dict(config)
        published = config.pop("published", None)
        model = super().from_config(config, custom_objects)
        model.published = published
        return model


@contextlib.contextmanager
def of_dtype(dtype: DType | None) -> Iterator[None]:
    """Layers that are made here have this dtype policy; None leaves the global one."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(before if dtype is None else dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
