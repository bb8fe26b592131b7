"""A cell of the mask matrix: a change of what goes in, and whether what comes out moves.

Bit for bit nothing may move where both runs have the same shapes. Where there is more padding they
have not, and sums are made in another order: then `TOLERANCE` of the largest output is allowed.
Of every cell there is a control: the same run with a change that is to be seen, which must move
what comes out for every row, by more than the tolerance.
"""

from typing import NamedTuple

import numpy as np
from mask_models import EVERYWHERE, FILLER, ORDINARY, PAD, START, make
from mask_report import TOLERANCE
from mask_runs import Run

ROWS, LENGTH, SOURCE_LENGTH, MORE = 6, 8, 7, 3
LINE = 3  # tokens of a line in a packed row


class Rows(NamedTuple):
    """A batch: the ids, which of them are real, and where each stands in its row and its line."""

    ids: np.ndarray
    real: np.ndarray
    place: np.ndarray
    packed: bool

    @property
    def free(self):
        """Tokens that may be others: neither padding nor the beginning of a line."""
        return self.real & (self.ids != START)

    def with_others(self, where):
        """The ids, with other tokens where it is said."""
        rng = np.random.default_rng(1)
        others = ORDINARY[1:]
        index = np.searchsorted(others, self.ids) + rng.integers(1, len(others), self.ids.shape)
        return np.where(where, others[index % len(others)], self.ids).astype("int32")

    def more(self, side, pad):
        """The ids with more padding."""
        columns = (MORE, 0) if side == "left" else (0, MORE)
        return np.pad(self.ids, [(0, 0), columns], constant_values=pad)


class Trial(NamedTuple):
    """What is to be run after a first run, and what must come of it.

    `after` and `control` are arguments of a `Run`. Where `still (B, T)` is True, outputs are the
    same after the first, with `exact` to the last bit; those of the control are others.
    """

    after: dict
    still: np.ndarray
    control: dict | None = None
    exact: bool = True


class Outcome(NamedTuple):
    """`verdict` is "equal", "close" (where shapes differ), "moved" or "blind": no control moved."""

    verdict: str
    moved: float
    control: float | None


def make_rows(length, padding, side, packed, pad=PAD):
    """Rows with so much padding each."""
    padding = np.asarray(padding)[:, None]
    column = np.arange(length)[None]
    place = column - padding if side == "left" else column + 0 * padding
    real = place >= 0 if side == "left" else column < length - padding
    ids = np.random.default_rng(0).choice(ORDINARY[1:], real.shape)
    ids[place == 1] = EVERYWHERE
    if packed:
        ids[place % LINE == 0] = START
    ids[~real] = pad
    return Rows(ids.astype("int32"), real, place, packed)


def future_token(setup, pad):
    """From some place on, another in each row, other tokens."""
    rows = make_rows(LENGTH, [0, 1, 2, 0, 1, 2], setup.side, setup.packed, pad)
    first = 1 + np.arange(ROWS)[:, None] % 5
    changed = rows.with_others(rows.free & (rows.place >= first))
    still = rows.real & (rows.place < first)
    if setup.cache and not setup.window:  # what is read again must not see what it finds there
        still = np.concatenate([still, rows.real], axis=1)
    common = {**with_source(setup), **starts(rows, setup), "again": rows.ids}
    seen = rows.with_others(rows.free & (rows.place == 1))
    before = {"ids": rows.ids, **common}
    return before, [Trial({**before, "ids": changed}, still, {**before, "ids": seen})]


def target_padding(setup, pad):
    """Padding of what the outputs are of."""
    rows = make_rows(LENGTH, [1, 2, 3, 1, 2, 3], setup.side, setup.packed, pad)
    common = {**with_source(setup), **starts(rows, setup)}
    return padding_trials(setup, pad, "ids", rows, common, rows.real)


def source_padding(setup, pad):
    """Padding of what an encoder reads."""
    if setup.kind == "encoder-only":
        return target_padding(setup, pad)
    source = make_rows(SOURCE_LENGTH, [1, 2, 3, 1, 2, 3], setup.side, False, pad)
    rows = make_rows(LENGTH, [0] * ROWS, setup.side, setup.packed, pad)
    ids = np.where(rows.ids == EVERYWHERE, ORDINARY[-1], rows.ids)
    return padding_trials(setup, pad, "source", source, {"ids": ids}, rows.real)


def padding_trials(setup, pad, name, rows, common, still):
    """Padding with another vector, then more of it."""
    before = {name: rows.ids, **common}
    if setup.hides_padding:
        other, seen = {**before, "token": pad}, {**before, "token": EVERYWHERE}
    else:  # a token as any, which comes last, or is hidden by its position in a cache
        other = {**before, name: rows.with_others(~rows.real)}
        seen = {**before, name: rows.with_others(rows.place == 1)}
    found = [Trial(other, still, seen)]
    # With more columns other values are dropped; on the left tokens move to other places, unless a
    # cache is told where they stand.
    told = setup.cache and name == "ids"
    if not setup.training and (setup.side == "right" or told):
        more = {**before, name: rows.more(setup.side, pad)}
        if "starts" in more:
            more["starts"] = more["starts"] + MORE
        found.append(Trial(more, still, exact=False))
    return before, found


def packed_neighbour(setup, pad):
    """Other tokens in one line of each row."""
    rows = make_rows(LENGTH, [0, 0, 0, 1, 2, 0], setup.side, setup.packed, pad)
    changing = rows.place // LINE == np.arange(ROWS)[:, None] % 3
    changed = rows.with_others(rows.free & changing)
    before = {"ids": rows.ids, **starts(rows, setup)}
    seen = {**before, "ids": rows.with_others(rows.free & ~changing)}
    return before, [Trial({**before, "ids": changed}, rows.real & ~changing, seen)]


TRIALS = {
    "future token": future_token,
    "target padding": target_padding,
    "source padding": source_padding,
    "packed neighbour": packed_neighbour,
}


def with_source(setup):
    """A source without padding, where there is one."""
    if setup.kind != "encoder-decoder":
        return {}
    return {"source": make_rows(SOURCE_LENGTH, [0] * ROWS, "right", False).ids}


def starts(rows, setup):
    """How much padding each row has on the left."""
    if setup.side == "right":
        return {}
    return {"starts": (~rows.real).sum(axis=1)}


def run_cell(setup, change, run=None):
    """The `Outcome` of a change: the worst of its trials."""
    run = run or Run(make(setup), setup)
    first, found = TRIALS[change](setup, PAD if setup.hides_padding else FILLER)
    before = run(**first)
    outcomes = [try_one(run, before, trial) for trial in found]
    return max(outcomes, key=lambda x: (VERDICTS.index(x.verdict), x.moved))


VERDICTS = ("equal", "close", "moved", "blind")


def try_one(run, before, trial):
    """The `Outcome` of a `Trial`, after the outputs of the first run."""
    setup, still = run.setup, trial.still
    allowed = TOLERANCE[setup.precision] * max(np.abs(x[still]).max() for x in before)
    columns = still.shape[1]
    after = run(**trial.after)
    after = [x[:, -columns:] if setup.side == "left" else x[:, :columns] for x in after]
    moved = [largest_change(a, b)[still].max() for a, b in zip(before, after, strict=True)]
    moved = float(np.max(moved))  # NaN where one is
    control = None
    if trial.control:
        seen = zip(before, run(**trial.control), strict=True)
        seen = np.max([largest_change(a, b) for a, b in seen], axis=0)  # (B, T)
        control = float(seen.max(axis=1).min())  # of the row where it is least
    if control is not None and not control > allowed:
        verdict = "blind"
    elif moved == 0:
        verdict = "equal"
    else:
        verdict = "moved" if trial.exact or not moved <= allowed else "close"
    return Outcome(verdict, moved, control)


def largest_change(one, other):
    """`(B, T)` of two outputs `(B, T, any)`; NaN, which is no number to agree on, is not equal."""
    return np.abs(one - other).max(axis=-1)
