"""An operation that is written plainly, and what a backend does otherwise."""

import functools

import keras


def operation(plain):
    """Makes of `plain` an operation that a backend may have its own form of.

    The plain form says what is computed; `on` a backend that has one, its own form is called.

    >>> @operation
    ... def twice(x):
    ...     return x + x
    >>> @twice.on("tensorflow", "jax", "torch")
    ... def twice_at_once(x):
    ...     return 2 * x
    >>> twice(3) == twice.plain(3)
    True
    """
    forms = {}

    @functools.wraps(plain)
    def call(*args, **kwargs):
        return forms.get(keras.config.backend(), plain)(*args, **kwargs)

    def on(*backends):
        def register(form):
            forms.update(dict.fromkeys(backends, form))
            return form

        return register

    call.plain, call.on = plain, on
    return call
