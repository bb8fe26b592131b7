"""A bounded set of shapes for rows of all lengths.

Every new shape costs a trace under TensorFlow and a compilation under XLA, and every padding
position costs a real one's time. `plan_cells` balances the two once, from the lengths alone: the
plane of lengths is cut into rectangular cells, each cell has one batch shape for good, and an
epoch only decides which rows of a cell share a batch and in which order the batches come.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

# What one more batch costs beside its positions, as a share of the token budget: keeps the plan
# from buying a little less padding with many small batches.
BATCH_OVERHEAD = 0.1


class Cell(NamedTuple):
    """Rows of similar lengths, to be cut into `num_batches` batches of `batch_size` rows."""

    rows: np.ndarray
    num_batches: int
    batch_size: int
    widths: tuple[int, ...]

    def cut(self, rng: np.random.Generator | None = None) -> np.ndarray:
        """The rows as `(num_batches, batch_size)`, filled up with -1, in random order with `rng`.

        >>> Cell(np.arange(3), num_batches=2, batch_size=2, widths=(9,)).cut().tolist()
        [[0, 1], [2, -1]]
        """
        rows = np.full(self.num_batches * self.batch_size, -1)
        rows[: len(self.rows)] = self.rows if rng is None else rng.permutation(self.rows)
        return rows.reshape(self.num_batches, self.batch_size)


def plan_cells(
    lengths: ArrayLike, batch_tokens: int, max_shapes: int, min_batches: int = 1
) -> list[Cell]:
    """Groups rows by length so that little is padded, in at most `max_shapes` batch shapes.

    Starts from one cell of everything and keeps making the cut that saves most, as a k-d tree
    does: a threshold on one of the lengths.

    Args:
        lengths: int array `(rows, columns)`: the row's length in each of the padded arrays.
        batch_tokens: Most positions of one batch in any one column, padding included.
        max_shapes: Most cells.
        min_batches: Fewest batches in a cell that results from a cut. With 1, a cell may always
            give the same batch; with 2, rows meet others in every epoch.

    Returns:
        A list of `Cell`; of a single column, the shortest rows first.

    Example:

    >>> [(cell.rows.tolist(), cell.widths) for cell in plan_cells([[3], [9], [9], [2]], 18, 8)]
    [([0, 3], (3,)), ([1, 2], (9,))]
    """
    kinds, kind_of_row, counts = np.unique(
        np.asarray(lengths), axis=0, return_inverse=True, return_counts=True
    )  # cuts are tried on the few distinct lengths, not on the many rows

    def shape(cell):
        widths = np.maximum(kinds[cell].max(axis=0), 1)
        rows = counts[cell].sum()
        num_batches = -(-rows // max(1, batch_tokens // widths.max()))
        return num_batches, -(-rows // num_batches), widths

    def cost(cell):
        num_batches, batch_size, widths = shape(cell)
        return num_batches * (batch_size * widths.sum() + BATCH_OVERHEAD * batch_tokens)

    def best_cut(cell):
        best = (0, None)
        for column in kinds[cell].T:
            for threshold in np.unique(column)[:-1]:
                halves = cell[column <= threshold], cell[column > threshold]
                saving = cost(cell) - sum(map(cost, halves))
                if saving > best[0] and min(shape(half)[0] for half in halves) >= min_batches:
                    best = (saving, halves)
        return best

    cells = [np.arange(len(kinds))]
    cuts = [best_cut(cells[0])]
    while len(cells) < max_shapes:
        best = max(range(len(cells)), key=lambda i: cuts[i][0])
        saving, halves = cuts[best]
        if not saving:
            break
        cells[best : best + 1] = halves
        cuts[best : best + 1] = map(best_cut, halves)
    cell_of_kind = np.empty(len(kinds), int)
    for number, cell in enumerate(cells):
        cell_of_kind[cell] = number
    cell_of_row = cell_of_kind[kind_of_row.ravel()]
    return [
        Cell(np.flatnonzero(cell_of_row == number), int(n), int(b), tuple(map(int, widths)))
        for number, (n, b, widths) in enumerate(map(shape, cells))
    ]


def round_up(n: int, least: int = 32, steps: int = 1) -> int:
    """The smallest length that is not below `n` of few: `least`, its double, and so on.

    What computes one shape of input is compiled once, and kept. `steps` is how many lengths there
    are from one to its double.

    Example:

    >>> [round_up(n) for n in (1, 32, 33, 65)], [round_up(n, steps=2) for n in (33, 49, 65)]
    ([32, 32, 64, 128], [48, 64, 96])
    """
    octave = least << max(0, ((n - 1) // least).bit_length() - 1)
    step = octave // steps if n > least else least
    return -(-max(n, 1) // step) * step


def round_rows(n: int) -> int:
    """As `round_up`, of the rows of a batch: 1, 4, 8, 16 and so on.

    >>> [round_rows(n) for n in (0, 1, 2, 5, 9)]
    [1, 1, 4, 8, 16]
    """
    return round_up(n, least=4) if n > 1 else 1
