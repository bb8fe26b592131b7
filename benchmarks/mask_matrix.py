"""The mask matrix: whatever a forward pass is like, what may not be seen moves nothing.

    python benchmarks/mask_matrix.py                  # on one backend: minutes
    python benchmarks/mask_matrix.py --backend all --zoo --markdown docs/mask_matrix.md

Rows are properties of a pass (`mask_properties.py`), each alone and each pair of them, of a tiny
decoder, encoder and encoder-decoder; with `--zoo` each property of each family of the zoo, too.
Columns are changes of what may not be seen: a later token, padding, a neighbour in a packed row
(`mask_cells.py` says what is changed, what must not move, and what has to). A cell that does not
exist is named with the reason. Exits with 1 where a cell moved.
"""

import argparse
import collections
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

BACKENDS = ("tensorflow", "jax", "torch")


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    default = os.environ.get("KERAS_BACKEND", "tensorflow")
    add("--backend", choices=[*BACKENDS, "all"], default=default, help="where to run")
    add("--zoo", action="store_true", help="each property of every family of the zoo, too")
    add("--only", metavar="NAME", help="rows of this property or family alone")
    add("--markdown", type=Path, metavar="FILE", help="writes a page of the tables")
    add("--records", type=Path, metavar="FILE", help="writes each cell as JSON")
    return parser.parse_args(arguments)


def plan(options):
    """All cells as `(part, row, base, change)`; a row is a tuple of names."""
    from mask_properties import BASES, CHANGES, PROPERTIES

    from keras_transformer.zoo.families import FAMILIES

    names = list(PROPERTIES)
    rows = [("alone", (name,), base) for name in names for base in BASES]
    pairs = itertools.combinations(names, 2)
    rows += [("pairs", pair, base) for pair in pairs for base in BASES]
    if options.zoo:
        rows += [("zoo", (name,), family) for family in FAMILIES for name in names]
    known = {*names, *(base for _, _, base in rows)}
    if options.only is not None and options.only not in known:
        sys.exit(f"--only: expected one of {', '.join(sorted(known))}. Received: {options.only}")
    for part, row, base in rows:
        if options.only in (None, base, *row):
            yield from ((part, row, base, change) for change in CHANGES)


def measure(options):
    """A record of each cell, on the backend that Keras has: a list of dicts."""
    from mask_cells import run_cell
    from mask_models import make
    from mask_properties import setup_of
    from mask_runs import Run
    from rich.console import Console
    from rich.progress import track

    cells = [(cell, *setup_of(cell[2], *cell[1::2])) for cell in plan(options)]
    # What several cells come to is run once, and what one model does at a time.
    wanted = collections.defaultdict(dict)
    for (*_, change), setup, _ in cells:
        if setup is not None:
            wanted[setup][change] = None
    setups = sorted(wanted, key=lambda x: (x.base, x.model_of, str(x)))
    for setup in track(setups, "Running", console=Console(stderr=True)):
        run = Run(make(setup), setup)
        for change in wanted[setup]:
            wanted[setup][change] = run_cell(setup, change, run)._asdict()
    return [
        {"part": part, "row": row, "base": base, "change": change}
        | ({"reason": reason} if setup is None else wanted[setup][change])
        for (part, row, base, change), setup, reason in cells
    ]


def measure_elsewhere(backend, arguments):
    """The records of a process of its own: a backend is chosen before Keras is imported."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "records.json")
        command = [sys.executable, __file__, *arguments, "--backend", backend]
        subprocess.run(
            [*command, "--records", str(file)],
            env={**os.environ, "KERAS_BACKEND": backend},
            stdout=subprocess.DEVNULL,
        )
        if not file.is_file():
            sys.exit(f"{backend}: stopped before its end")
        return json.loads(file.read_text())[backend]


def main(arguments):
    options = parse(arguments)
    if options.backend == "all":
        own = ["--zoo"] * options.zoo + (["--only", options.only] if options.only else [])
        records = {backend: measure_elsewhere(backend, own) for backend in BACKENDS}
    else:
        os.environ["KERAS_BACKEND"] = options.backend
        records = {options.backend: measure(options)}
    import mask_report

    mask_report.show(records)
    if options.records:
        options.records.write_text(json.dumps(records))
    if options.markdown:
        options.markdown.write_text(mask_report.markdown(records))
        print(f"{options.markdown}: written")
    return 1 if any(map(mask_report.is_wrong, itertools.chain(*records.values()))) else 0


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main(sys.argv[1:]))
