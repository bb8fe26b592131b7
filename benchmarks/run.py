"""Us beside our peers: training steps, generation and one real epoch, in one table.

    pip install -e ".[bench]"
    python benchmarks/run.py                                        # everything: hours
    python benchmarks/run.py --only train --sizes tiny --repeats 1  # a look: three minutes

Every measurement is a process of its own, and never do two run at once. Machines are shared and
noisy, so the rounds go over all peers again and again, and a figure is the median of the rounds.
Compare figures within one table only. A peer that fails, or is not installed, says so in its row.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import work
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

FOLDER = Path(__file__).parent
PARTS = {
    "train": "Training step, source and target tokens a second",
    "mlm": "Masked language model, training step, real tokens a second",
    "clm": "Causal language model, training step, tokens a second",
    "decode": "Generation, new tokens a second",
    "epoch": "One epoch of Multi30k, target tokens a second",
}
LIBRARIES = ("keras", "tensorflow", "jax", "torch", "keras-hub", "transformers", "ctranslate2")
COLUMNS = ("work", "precision", "peer", "tokens/s", "to best peer", "peak MiB", "M params", "note")
SECONDS_ALLOWED = 1800


class Case(NamedTuple):
    """One process, and what it is compared by: the same work in the same precision."""

    part: str
    work: str
    precision: str
    peer: str
    command: tuple


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    peers = dict.fromkeys(work.TRAINING_PEERS + work.DECODING_PEERS)
    add("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to run")
    for name, values, text in (
        ("--peers", peers, "ours, and whom to compare with"),
        ("--sizes", work.SIZES, "models to train"),
        ("--tasks", work.TASKS, "what to generate"),
        ("--precisions", work.PRECISIONS, "of training and generation"),
    ):
        add(name, nargs="+", choices=values, default=list(values), help=text)
    add("--repeats", type=int, default=3, help="rounds over everything")
    add("--steps", type=int, default=12, help="timed training steps a process")
    add("--calls", type=int, default=3, help="timed generations a process")
    add("--data", default="data/multi30k-bpe", help="folder with train.en and train.de")
    add("--output", default=FOLDER / "results.md", type=Path, help="Markdown file to write")
    return parser.parse_args(arguments)


def cases(options):
    """All processes of one round, those that are compared next to each other."""
    kinds = {
        "train": ("train_step.py", options.sizes, work.TRAINING_PEERS, options.steps),
        "mlm": ("masked_lm.py", work.BERT_SIZES, work.MASKED_LM_PEERS, options.steps),
        "clm": ("causal_lm.py", work.GPT2_SIZES, work.CAUSAL_LM_PEERS, options.steps),
        "decode": ("decode.py", options.tasks, work.DECODING_PEERS, options.calls),
        "epoch": ("epoch.py", ["multi30k"], ["ours-tf"], options.data),
    }
    for part in options.only:
        script, names, peers, last = kinds[part]
        for name in names:
            for precision in options.precisions:
                for peer in peers:
                    if peer in options.peers:
                        command = (script, peer, name, precision, str(last))
                        yield Case(part, name, precision, peer, command)


def run(case):
    """What the process of a case reports; `{"failed": reason}` if it does not."""
    command = [sys.executable, str(FOLDER / case.command[0]), *case.command[1:]]
    try:
        process = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS_ALLOWED, check=True
        )
        return json.loads(process.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {SECONDS_ALLOWED} s"}
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
        return {"failed": lines[-1][:150]}


def rounds(options):
    """Runs every case in every round, unless it failed before; `{case: [report, ...]}`."""
    reports = {case: [] for case in cases(options)}
    plan = [case for _ in range(options.repeats) for case in reports]
    for case in track(plan, "Measuring", console=Console(stderr=True)):
        if not any("failed" in report for report in reports[case]):
            reports[case].append(run(case))
    return reports


def rows(reports):
    """A row of texts, in the order of `COLUMNS`, for every case."""
    speeds = {
        case: statistics.median(report["tokens_per_second"] for report in found)
        for case, found in reports.items()
        if found and "failed" not in found[-1]
    }
    for case, found in reports.items():
        start = [case.work, case.precision, case.peer]
        if case not in speeds:
            yield [*start, "", "", "", "", found[-1]["failed"]]
            continue
        peers = [
            speed
            for other, speed in speeds.items()
            if other[:3] == case[:3] and not other.peer.startswith("ours")
        ]
        yield [
            *start,
            f"{speeds[case]:,.0f}" if speeds[case] >= 100 else f"{speeds[case]:.1f}",
            f"{speeds[case] / max(peers):.2f}" if peers else "",
            f"{statistics.median(report['peak_mib'] for report in found):,.0f}",
            f"{found[-1]['parameters'] / 1e6:.1f}",
            found[-1].get("note", ""),
        ]


def machine():
    """Processor, cores and versions, a line of text each."""
    name = platform.processor() or platform.machine()
    processors = Path("/proc/cpuinfo")
    if processors.exists():
        lines = processors.read_text().splitlines()
        name = next((x.partition(": ")[2] for x in lines if x.startswith("model name")), name)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.platform()}"
    versions = [f"Python {platform.python_version()}"]
    for library in LIBRARIES:
        try:
            versions.append(f"{library} {importlib.metadata.version(library)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{library} not installed")
    yield ", ".join(versions)


def markdown(arguments, options, tables):
    """The machine, the command and the tables as one Markdown document."""
    command = shlex.join(["python", "benchmarks/run.py", *arguments])
    lines = ["# Benchmarks", "", *(f"- {line}" for line in machine()), f"- `{command}`"]
    lines += [f"- median of {options.repeats} rounds, a process a peer, one at a time", ""]
    lines += ["`to best peer`: speed over that of the fastest row of the group that is not ours."]
    for part, table in tables.items():
        lines += ["", f"## {PARTS[part]}", "", line_of(COLUMNS)]
        lines += ["|---|---|---|---:|---:|---:|---:|---|", *map(line_of, table)]
    return "\n".join(lines) + "\n"


def line_of(cells):
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def show(title, table):
    shown = Table(*COLUMNS, title=title)
    for row in table:
        shown.add_row(*map(escape, row))
    Console().print(shown)


def main(arguments):
    options = parse(arguments)
    reports = rounds(options)
    tables = {}
    for part in options.only:
        tables[part] = list(rows({c: found for c, found in reports.items() if c.part == part}))
        show(PARTS[part], tables[part])
    options.output.write_text(markdown(arguments, options, tables))
    print(f"{options.output}: written")


if __name__ == "__main__":
    main(sys.argv[1:])
