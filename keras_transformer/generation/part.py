"""What samplers and rules have in common."""

import inspect
import reprlib
from typing import Any, Self

import keras

from keras_transformer.checks import refusal


class Part:
    """A sampler or a rule: it can be printed, and made again from its config.

    Subclasses keep each argument of their constructor under its own name, and are registered with
    Keras, for `keras.saving.serialize_keras_object` and its inverse.

    Example:

    >>> import keras_transformer as kt
    >>> rule = kt.generation.TopP(0.9)
    >>> rule
    TopP(p=0.9)
    >>> kt.generation.TopP.from_config(rule.get_config())
    TopP(p=0.9)
    """

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments: a dict of JSON values."""
        values = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        config = {k: keras.saving.serialize_keras_object(v) for k, v in values.items()}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in config.items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        try:
            return cls(**config)
        except TypeError as error:  # of what is no dict, and of other names and types
            raise refusal(f"the config of a {cls.__name__}", reprlib.repr(config)) from error

    def __repr__(self):
        names = inspect.signature(type(self)).parameters
        # A subclass may keep its arguments otherwise: printing it is no error.
        known = [f"{name}={getattr(self, name)!r}" for name in names if hasattr(self, name)]
        return f"{type(self).__name__}({', '.join(known)})"
