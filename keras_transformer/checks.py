"""One way to refuse: what was expected, and what came instead."""

from collections.abc import Iterable
from typing import Any

from keras_transformer.types import Shape, Tensor


def refusal(
    expectation: str,
    received: str | None = None,
    /,
    *,
    where: object = None,
    error: type[Exception] = ValueError,
    **values: Any,
) -> Exception:
    """The error that says what was expected and what came, for `raise refusal(...)`.

    Args:
        expectation: str, what would have been right.
        received: str, what came, where no value says it.
        where: the file, and its line if there is one.
        error: class of the error.
        **values: what came, by name.

    >>> raise refusal("a label", "none", where="data.tsv, line 3")
    Traceback (most recent call last):
    ValueError: data.tsv, line 3: expected a label. Received: none
    """
    shown = [] if received is None else [received]
    shown += [f"{name}={value!r}" for name, value in values.items()]
    sentence = f"xpected {expectation}. Received: {', '.join(map(shortened, shown))}"
    return error(f"E{sentence}" if where is None else f"{where}: e{sentence}")


def require(
    condition: object, expectation: str, received: str | None = None, /, **details: Any
) -> None:
    """Raises the `refusal` of the other arguments unless `condition` holds.

    >>> require(8 % 3 == 0, "num_heads to divide hidden_dim", hidden_dim=8, num_heads=3)
    Traceback (most recent call last):
    ValueError: Expected num_heads to divide hidden_dim. Received: hidden_dim=8, num_heads=3
    """
    if not condition:
        raise refusal(expectation, received, **details)


def check_shape(name: str, mask: Tensor | None, expected: Shape) -> None:
    """Raises unless every known dimension of `mask` is as expected, or 1 to broadcast."""
    if mask is not None:
        shape = tuple(mask.shape)
        fits = len(shape) == len(expected) and all(
            want is None or have in (None, 1, want)
            for have, want in zip(shape, expected, strict=True)
        )
        require(fits, f"{name} of shape {expected}", shape=shape)


def check_at_least(least: float, **arguments: Any) -> None:
    """Raises unless every argument is at least `least`.

    >>> check_at_least(1, batch_size=0)
    Traceback (most recent call last):
    ValueError: Expected batch_size to be at least 1. Received: batch_size=0
    """
    for name, value in arguments.items():
        require(value >= least, f"{name} to be at least {least}", **{name: value})


def shortened(text: str, most: int = 2000) -> str:
    """The beginning of a text that nobody would read to its end, and how long it is.

    >>> shortened("[" * 100_000, most=5)
    '[[[[[... (100,000 characters)'
    """
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


def reason_of(error: BaseException) -> str:
    """What an error of another library says, in one line.

    >>> reason_of(OSError("no\\nroom")), reason_of(KeyboardInterrupt())
    ('no room', 'KeyboardInterrupt')
    """
    return shortened(" ".join(str(error).split()) or type(error).__name__)


def some(names: Iterable, count: int = 20) -> str:
    """The first `count` names, and how many there are beside them, for a message.

    >>> some(["a", "b", "c", "d"], count=2)
    'a, b and 2 more'
    """
    names = list(map(str, names))
    return ", ".join(names[:count]) + (f" and {len(names) - count:,} more" if names[count:] else "")
