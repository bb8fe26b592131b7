"""Odd, broken and random inputs by the million: all is accepted, or refused in one sentence.

    python benchmarks/fuzz.py [--inputs 1000000] [--only TARGET ...] [--seed 0]

Each target of `tests/fuzzing/` runs in a process of its own, whose death or standstill is said,
with the input that it was at. Structured inputs are drawn by `hypothesis`; most are valid files and
texts that a seeded generator changes at a few places, which is faster. A fault is an error that is
no refusal of the package's own, a wrong answer (a text that does not come back, a token that is
lost), or more than 10 seconds for one input. Printed are the faults, each with its smallest input.
"""

import argparse
import contextlib
import dataclasses
import importlib
import json
import mmap
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
# By the files of `tests/fuzzing/`, which are imported where their targets run.
FILES = "readers", "tokenizing", "settings", "batching", "folders"
STUCK = 60  # seconds without a new input, after which a process is ended
ROOM = 1 << 16  # bytes of an input that are shown of a process that died
MEMORY = 12 << 30  # bytes of address space that a process may take beyond what it begins with


def targets(file):
    """The targets of a file, by name."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    return importlib.import_module(f"fuzzing.{file}").TARGETS


class Notebook:
    """A file in which a process notes how far it is, and at what, for whoever watches it."""

    def __init__(self, path):
        path.write_bytes(bytes(ROOM + 16))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)
        self.count = 0

    def note(self, example):
        self.count += 1
        shown = repr(example).encode("utf-8", "backslashreplace")[:ROOM]
        self.memory[16 : 16 + len(shown)] = shown
        self.memory[:16] = self.count.to_bytes(8, "little") + len(shown).to_bytes(8, "little")

    @staticmethod
    def read(path):
        """`(inputs, the last one)`."""
        data = path.read_bytes() if path.exists() else b""
        length = int.from_bytes(data[8:16], "little")
        return int.from_bytes(data[:8], "little"), data[16 : 16 + length].decode()


def in_this_process(file, name, count, seed, notes):
    """Runs one target, and prints what came of it as a line of JSON."""
    from fuzzing import judging

    target = targets(file)[name]
    size = resource.getrlimit(resource.RLIMIT_AS)[1]
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, size))
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # files without a disk
    with (
        tempfile.TemporaryDirectory(dir=memory) as folder,
        contextlib.redirect_stdout(sys.stderr),
    ):
        began = time.perf_counter()
        found = judging.run(target, Path(folder), count, seed, Notebook(notes).note)
        seconds = time.perf_counter() - began
        os.chdir("/")
    faults = [dataclasses.asdict(fault) for fault in found.faults.values()]
    counts = {"accepted": found.accepted, "refused": found.refused}
    print(json.dumps({"seconds": seconds, **counts, "faults": faults}))


def in_process(file, name, count, seed):
    """As `in_this_process`, in one of its own: a dict."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        notes, output = Path(folder) / "notes", Path(folder) / "output"
        command = [sys.executable, __file__, "--in-process", file, name, "--notes", str(notes)]
        command += ["--inputs", str(count), "--seed", str(seed)]
        with open(output, "w") as out, open(f"{output}.err", "w") as err:
            process = subprocess.Popen(command, stdout=out, stderr=err)
            seen, since = -1, time.monotonic()
            while process.poll() is None:
                time.sleep(0.2)
                done, _ = Notebook.read(notes)
                if done != seen:
                    seen, since = done, time.monotonic()
                elif time.monotonic() - since > STUCK:
                    process.kill()
                    break
            status = process.wait()
        done, last = Notebook.read(notes)
        lines = output.read_text().splitlines()
        said = Path(f"{output}.err").read_text(errors="replace")[-2000:]
    if status == 0 and lines:
        return json.loads(lines[-1])
    what = f"the interpreter ended with {status} at input {done:,}: {said}"
    fault = {"what": what, "example": last, "count": 1}
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "accepted": 0, "refused": 0, "faults": [fault]}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of all targets together")
    parser.add_argument("--only", nargs="+", metavar="TARGET", help="parts of names of targets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--in-process", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--notes", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.in_process:
        in_this_process(*chosen.in_process, chosen.inputs, chosen.seed, chosen.notes)
        return
    shares = {(file, name): x.share for file in FILES for name, x in targets(file).items()}
    whole, parts = sum(shares.values()), chosen.only or [""]
    places = [place for place in shares if any(part in " ".join(place) for part in parts)]
    if not places:
        raise SystemExit(f"no such target; there are {', '.join(name for _, name in shares)}")
    print("| | inputs | seconds | refused | accepted | faults |\n|---|---|---|---|---|---|")
    every, totals = [], [0] * 5
    for file, name in places:
        count = -(-chosen.inputs * shares[file, name] // whole)
        found = in_process(file, name, count, chosen.seed)
        faults = sum(fault["count"] for fault in found["faults"])
        inputs = found["accepted"] + found["refused"] + faults
        row = inputs, found["seconds"], found["refused"], found["accepted"], faults
        totals = [a + b for a, b in zip(totals, row, strict=True)]
        print(f"| {name} | " + " | ".join(f"{value:,.0f}" for value in row) + " |", flush=True)
        every += [(name, fault) for fault in found["faults"]]
    print("| together | " + " | ".join(f"{value:,.0f}" for value in totals) + " |")
    for name, fault in every:
        print(f"\n{name}: {fault['count']:,} times {fault['what']}\n  {fault['example'][:2000]}")
    sys.exit(bool(every))


if __name__ == "__main__":
    main()
