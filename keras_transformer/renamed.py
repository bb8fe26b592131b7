"""Old names of arguments, which files and callers may still have."""

import functools
import inspect
from collections.abc import Callable


def renamed(**names: str) -> Callable:
    """Lets a function take arguments by their former names, too: `renamed(old="new")`.

    >>> @renamed(colour="color")
    ... def paint(color):
    ...     return color
    >>> paint(colour="red")
    'red'
    """

    def decorate(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            for old, new in names.items():
                if old in kwargs:
                    kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        call.__signature__ = inspect.signature(function)  # not every reader looks further
        return call

    return decorate
