"""Several lines in one row: full rows, and nothing of a line lost."""

from collections.abc import Sequence

import numpy as np

from keras_transformer.checks import require
from keras_transformer.types import Ids


def pack(lengths: Sequence[int], row_length: int) -> list[list[int]]:
    """Puts lines into as few rows as best-fit decreasing finds.

    The longest line first, each into the fullest row that still has room for it: at most 11/9 of
    the fewest possible rows and one more, and on sentences within a row or two of the fewest.

    Args:
        lengths: ints, each at most `row_length`.
        row_length: int.

    Returns:
        A list of rows, each a list of line numbers.

    Raises:
        ValueError: when a line is longer than a row.

    Reference:
        Johnson 1974, "Fast algorithms for bin packing"; Krell et al. 2021, "Efficient Sequence
        Packing without Cross-contamination".

    Example:

    >>> pack([3, 5, 2, 4], row_length=7)
    [[1, 2], [3, 0]]
    """
    longest = max(lengths, default=0)
    require(longest <= row_length, f"lines of at most row_length={row_length} tokens", str(longest))
    rows: list[list[int]] = []
    rows_of_room: list[list[list[int]]] = [[] for _ in range(row_length + 1)]
    rooms = 0  # bit r says that a row has room for exactly r more: finds the fullest row at once
    for line in np.argsort(-np.asarray(lengths, int), kind="stable").tolist():
        length = int(lengths[line])
        large_enough = rooms >> length << length
        if large_enough:
            room = (large_enough & -large_enough).bit_length() - 1
            row = rows_of_room[room].pop()
            if not rows_of_room[room]:
                rooms ^= 1 << room
        else:
            room, row = row_length, []
            rows.append(row)
        row.append(line)
        rows_of_room[room - length].append(row)
        rooms |= 1 << (room - length)
    return rows


def pack_pieces(
    lines: Sequence[Ids], row_length: int, num_special: int
) -> list[list[tuple[int, int]]]:
    """Cuts lines that are longer than a row, and packs the pieces.

    Args:
        lines: Sequence of sequences of ids, without special tokens; empty ones are left out.
        row_length: int, more than `num_special`.
        num_special: int, special tokens that each piece has beside its ids.

    Returns:
        A list of rows, each a list of pieces `(line number, place of its first id)`.

    Example:

    >>> pack_pieces([[5, 6, 7, 8], [9]], row_length=4, num_special=1)  # pieces of at most 3 ids
    [[(0, 0)], [(0, 3), (1, 0)]]
    """
    room = row_length - num_special
    pieces = [(n, i) for n, line in enumerate(lines) for i in range(0, len(line), room)]
    lengths = [min(len(lines[n]) - i, room) + num_special for n, i in pieces]
    return [[pieces[i] for i in row] for row in pack(lengths, row_length)]
