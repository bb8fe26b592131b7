"""An operation that is written plainly, and what a backend does otherwise."""

import functools
from collections.abc import Callable
from typing import Any

import keras


class Operation:
    """What `plain` computes; a backend may have its own form `on` it.

    >>> @Operation
    ... def twice(x):
    ...     return x + x
    >>> @twice.on("tensorflow", "jax", "torch")
    ... def twice_at_once(x):
    ...     return 2 * x
    >>> twice(3) == twice.plain(3)
    True
    """

    def __init__(self, plain: Callable) -> None:
        functools.update_wrapper(self, plain)
        self.plain = plain
        self.forms: dict[str, Callable] = {}

    def on(self, *backends: str) -> Callable[[Callable], Callable]:
        """Makes of a function the form that these backends call."""

        def register(form: Callable) -> Callable:
            self.forms.update(dict.fromkeys(backends, form))
            return form

        return register

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forms.get(keras.config.backend(), self.plain)(*args, **kwargs)
