"""Text to validate on that training has not seen."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_transformer.checks import check_at_least, require


def hold_out(
    items: list, seed: int, count: int = 1000, key: Callable[[Any], Any] = lambda item: item
) -> tuple[list, list]:
    """Takes `count` different items, a tenth at most, with all that equal them out of a list.

    Args:
        items: List.
        seed: int.
        count: int, at least 1.
        key: Function to what makes two items equal; sortable.

    Returns:
        `(rest, held_out)`, two lists. Held out is the first of those that are equal.

    Raises:
        ValueError: with fewer than 10 different items, or a `count` below 1.

    Example:

    >>> rest, held_out = hold_out([*"abcdefghijabc"], seed=0)
    >>> len(held_out), set(rest) & set(held_out)
    (1, set())
    """
    check_at_least(1, count=count)
    distinct = sorted({key(item) for item in items})
    count = min(count, len(distinct) // 10)
    require(count, "at least 10 different lines of text", str(len(distinct)))
    order = np.random.default_rng(seed).permutation(len(distinct))
    chosen = {distinct[i] for i in order[:count]}
    rest = [item for item in items if key(item) not in chosen]
    held_out = {key(item): item for item in reversed(items) if key(item) in chosen}
    return rest, list(held_out.values())[::-1]


def hold_out_rows(
    columns: Sequence[list], seed: int, count: int = 1000
) -> tuple[tuple[list, ...], ...]:
    """As `hold_out`, of the rows of a table: rows are equal if their first column is.

    Args:
        columns: Lists of one length, such as sentences and their translations.

    Returns:
        `(rest, held_out)`, two tuples of such lists.

    Example:

    >>> rest, held_out = hold_out_rows(([*"abcdefghij"], [*"ABCDEFGHIJ"]), seed=0)
    >>> held_out[0][0].upper() == held_out[1][0], len(rest[0])
    (True, 9)
    """
    rows = list(zip(*columns, strict=True))
    parts = hold_out(rows, seed, count, key=lambda row: row[0])
    return tuple(tuple(map(list, zip(*part, strict=True))) for part in parts)
