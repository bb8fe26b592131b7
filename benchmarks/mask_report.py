"""The records of the mask matrix as tables, in the terminal and in Markdown."""

import collections

from rich.console import Console
from rich.table import Table

NAMES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
LETTERS = {"decoder-only": "D", "encoder-only": "E", "encoder-decoder": "S"}
# How much of the largest output is rounding, of sums in another order: what a cell may be off by
# where its runs have different shapes.
TOLERANCE = {"float32": 1e-5, "float16": 2.0**-9, "bfloat16": 2.0**-6}
PARTS = {"alone": "property alone", "pairs": "pair of properties", "zoo": "family of the zoo"}
HEAD = """\
# The mask matrix

Whatever a forward pass is like (rows), a change of what may not be seen (columns) moves nothing:

- **future token**: from some place on, another one in each row, all tokens are others. With a cache
  also: it is read again from the start, with those others left in the slots of later tokens.
- **target padding**, **source padding**: the vector of the padding token is another one (of a
  vocabulary without: the ids are), and, where nothing is dropped, there are three columns more. An
  encoder alone is all source.
- **packed neighbour**: all tokens of one line of each row are others. In this column rows are
  packed, whatever else they are.

D is a decoder, E an encoder, S an encoder-decoder ("sequence to sequence"): two layers, eight wide.
A letter says that the output of each token that must not move is the same **to the last bit**. With
≈ it is so where both runs have the same shapes; with more padding sums are made in another order,
and it is the same but for {tolerances} of the largest
output. In every cell a change that may be seen moves every row by more than that, in the same
program. What no pass can be has a number, and its reason below.

    python benchmarks/mask_matrix.py --backend all --zoo --markdown docs/mask_matrix.md
"""
ZOO = """\
Each property of each family of the zoo, of a tiny published folder that was loaded in its
precision: how many of the {} properties ran and held."""


def is_wrong(record):
    """Whether a cell moved, or its control did not."""
    return record.get("verdict", "equal") not in ("equal", "close")


def counts(records, part):
    """`(cells that ran, not applicable, wrong)` of a part."""
    own = [x for x in records if x["part"] == part]
    missing = sum("reason" in x for x in own)
    return len(own) - missing, missing, sum(map(is_wrong, own))


def reasons(records):
    """`{reason: number}`, in the order of the first cell that each is of."""
    found = dict.fromkeys(x["reason"] for cells in records.values() for x in cells if "reason" in x)
    return {reason: number for number, reason in enumerate(found, 1)}


def matrix(records, part, key):
    """`{row: {change: text}}` of one backend; `numbers` are those of the reasons."""
    cells = collections.defaultdict(lambda: collections.defaultdict(list))
    for x in records:
        if x["part"] == part:
            cells[key(x)][x["change"]].append(x)
    return cells


def text_alone(cells, numbers):
    """The bases that held, or why there is none."""
    marks = []
    for x in cells:
        letter = LETTERS[x["base"]]
        if is_wrong(x):
            marks.append(f"{letter} {x['verdict'].upper()}")
        elif "verdict" in x:
            marks.append(letter + "≈" * (x["verdict"] == "close"))
    return " ".join(marks) or f"n/a {numbered(cells, numbers)}"


def text_counted(cells, numbers):
    """How many properties held, or why none."""
    wrong, ran = sum(map(is_wrong, cells)), sum("verdict" in x for x in cells)
    return f"{wrong} MOVED" if wrong else str(ran) if ran else f"n/a {numbered(cells, numbers)}"


def numbered(cells, numbers):
    return ", ".join(map(str, sorted({numbers[x["reason"]] for x in cells})))


TABLES = {
    "alone": ("property", lambda x: x["row"][0], text_alone),
    "zoo": ("family", lambda x: x["base"], text_counted),
}


def tables(records):
    """Yields `(part, head, rows)`, texts, with a column for each change on each backend."""
    numbers = reasons(records)
    changes = dict.fromkeys(x["change"] for cells in records.values() for x in cells)
    for part, (name, key, text) in TABLES.items():
        found = {b: matrix(cells, part, key) for b, cells in records.items()}
        columns = [(change, backend) for change in changes for backend in records]
        rows = [
            [row, *(text(found[b][row][change], numbers) for change, b in columns)]
            for row in next(iter(found.values()))
        ]
        if rows:
            yield part, [name, *(f"{change}, {NAMES[b]}" for change, b in columns)], rows


def summary(records):
    """A line for each part of each backend."""
    for backend, cells in records.items():
        for part, name in PARTS.items():
            ran, missing, wrong = counts(cells, part)
            if ran or missing:
                rows = len({(tuple(x["row"]), x["base"]) for x in cells if x["part"] == part})
                verdict = f"{wrong} MOVED" if wrong else "none moved"
                yield (
                    f"{NAMES[backend]}, each {name}: {rows} rows, {ran} cells ran, "
                    f"{missing} not applicable, {verdict}"
                )


def show(records):
    console = Console()
    for part, head, rows in tables(records):
        table = Table(*head, title=f"Each {PARTS[part]}")
        for row in rows:
            table.add_row(*(f"[red]{x}[/]" if x.isupper() and len(x) > 9 else x for x in row))
        console.print(table)
    for reason, number in reasons(records).items():
        console.print(f"{number}. {reason}")
    for x in (x for cells in records.values() for x in cells if is_wrong(x)):
        console.print(f"[red]{x['verdict']}[/]: {x}")
    for line in summary(records):
        console.print(line)


def markdown(records):
    """The page."""
    told = ", ".join(f"{value:.1g} ({name})" for name, value in TOLERANCE.items())
    lines = [HEAD.format(tolerances=told)]
    for part, head, rows in tables(records):
        if part == "zoo":
            every = {x["row"][0] for cells in records.values() for x in cells if x["part"] == "zoo"}
            lines += ["", ZOO.format(len(every))]
        lines += ["", line_of(head), line_of(["---"] * len(head)), *map(line_of, rows)]
    lines += ["", "Of all rows, the pairs of properties included:", ""]
    lines += [f"- {line}" for line in summary(records)]
    lines += ["", "Not applicable:", ""]
    lines += [f"{number}. {reason}" for reason, number in reasons(records).items()]
    return "\n".join(lines) + "\n"


def line_of(cells):
    return f"| {' | '.join(cells)} |"
