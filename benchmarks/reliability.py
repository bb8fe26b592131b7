"""Kills, damages and starves small runs of all recipes, and looks whether anything is lost.

    python benchmarks/reliability.py            # all; prints the table of docs/reliability.md
    python benchmarks/reliability.py --small    # a little of each, of two recipes
    python benchmarks/reliability.py --only kills damage --kills 40 --seed 2

A run is right if, after all that was done to it, `--resume` (or beginning again, where nothing had
been saved) ends with the weights and scores of a run that nothing was done to, bit for bit. Each is
a process of its own, forked once everything is imported.
"""

import argparse
import collections
import errno
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

from reliability_lab import NAME, RECIPES, Lab, fork, said, small, wait

# What is done to runs. Each yields (what, outcome) for a recipe.


def kills(lab, count, rng):
    """kill -9 at random moments, and half of the time once more while it is resumed."""
    for number in range(count):
        folder = lab.folder()
        kill_after(fork(lab.recipe, folder, lab.flags), rng.uniform(0, lab.seconds))
        if number % 2:
            arguments = ["--resume", "--name", NAME]
            kill_after(fork(lab.recipe, folder, arguments), rng.uniform(0, lab.seconds))
        yield "kill -9 at a random moment", lab.end(folder)
        shutil.rmtree(folder)


def kill_after(pid, seconds):
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    wait(pid)


def operations(lab, every):
    """What a kill leaves before each operation on a file: the run's folder, as it is then."""
    folder, states = lab.folder(), lab.folder()
    wait(fork(lab.recipe, folder, lab.flags, lambda: keep_states(folder, states)))
    if lab.outcome(folder) != lab.expected:
        yield "kill at an operation on a file", "FAILED: looking at it changes it"
    for state in sorted(states.glob("state-*"))[::every]:
        copy = lab.folder(state)
        yield "kill at an operation on a file", lab.end(copy)
        shutil.rmtree(copy)


def keep_states(folder, states):
    """Copies the run's folder before an operation changes it, where it is not as it was."""
    run, seen = folder / "runs" / NAME, set()

    def before_operation(event):
        content = sorted((p, p.stat().st_mtime_ns, p.stat().st_size) for p in run.rglob("*"))
        if run.is_dir() and str(content) not in seen:
            seen.add(str(content))
            shutil.copytree(run, states / f"state-{len(seen):04}")

    at_operations(run, before_operation)


OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"}


def at_operations(run, action):
    """Calls a function before each operation that changes something in a run's folder."""
    busy = []

    def hook(event, arguments):
        if event not in OPERATIONS or busy or str(run) not in os.path.abspath(str(arguments[0])):
            return
        writes = event != "open" or (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)
        if writes:
            busy.append(True)
            try:
                action(event)
            finally:
                busy.clear()

    sys.addaudithook(hook)


def full_disk(lab, every):
    """No space left, from one operation on a file on: one sentence, and nothing saved is lost."""
    for number in range(1, 200, every):
        folder = lab.folder()
        status = wait(fork(lab.recipe, folder, lab.flags, lambda: fill_at(number, folder)))  # noqa: B023
        text = said(folder)
        if status == 0:
            break  # it has fewer operations
        if "Traceback" in text or "No space left on device" not in text:
            yield "disk full", f"FAILED: said {text[-300:]}"
        elif left := [str(path) for path in folder.rglob("unfinished.*")]:
            yield "disk full", f"FAILED: left {left}"
        else:
            yield "disk full", lab.end(folder)
        shutil.rmtree(folder)


def fill_at(number, folder):
    left = iter(range(number))

    def action(event):
        takes_room = event not in ("os.remove", "os.rmdir")
        if takes_room and next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    at_operations(folder / "runs" / NAME, action)


def damage(lab, count, rng, files=None):
    """The newest checkpoint cut, emptied, and with a bit flipped; a finished run's files too."""
    half = lab.folder()
    wait(fork(lab.recipe, half, lab.flags, lambda: signal_at(14, signal.SIGKILL)))
    for how in ("cut", "emptied", *["flipped"] * count):
        folder = lab.folder(half / "runs" / NAME)
        newest = sorted((folder / "runs" / NAME / "checkpoints").glob("update-*.npz"))[-1]
        spoil(newest, how, rng)
        found = lab.end(folder)
        named = "is damaged" in said(folder)
        yield f"newest checkpoint {how}", found if named else unnamed(found)
        shutil.rmtree(folder)
    for path in sorted((lab.finished / "runs" / NAME).glob("*"))[-files if files else 0 :]:
        if path.suffix in (".keras", ".json", ".txt", ".model") and path.name != "digests.json":
            folder = lab.folder(lab.finished / "runs" / NAME)
            spoil(folder / "runs" / NAME / path.name, "flipped", rng)
            pid = fork(lab.recipe, folder, [WORDS[lab.recipe], *QUESTION[lab.recipe]], end_of_input)
            refused = (
                wait(pid) and f"runs/{NAME}" in said(folder) and "Traceback" not in said(folder)
            )
            yield (
                "file of a finished run flipped",
                "refused" if refused else (f"FAILED: {path.name} was taken: {said(folder)[-300:]}"),
            )
            shutil.rmtree(folder)


def unnamed(found):
    """A bit that means nothing was flipped, such as one of a date; else it should be named."""
    return "meant nothing" if found == "resumed" else found


RUN = ["--run", f"runs/{NAME}"]
WORDS = {
    "translation": "translate",
    "masked_lm": "fill",
    "causal_lm": "generate",
    "text_classification": "classify",
}
PROMPT = ["--prompt", "a", "--max-new-tokens", "2"]
QUESTION = dict.fromkeys(WORDS, RUN) | {"causal_lm": [*RUN, *PROMPT]}


def end_of_input():
    sys.stdin = open(os.devnull)  # noqa: SIM115


def spoil(path, how, rng):
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes({"cut": content[: len(content) // 2], "emptied": b""}.get(how, content))


def signals(lab, rng):
    """SIGTERM, SIGHUP and Ctrl-C within training: saved, and the status that schedulers expect."""
    for number, status in ((signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)):
        folder = lab.folder()
        at = rng.randrange(1, 14)
        found = wait(fork(lab.recipe, folder, lab.flags, lambda: signal_at(at, number)))  # noqa: B023
        if found != status or "saved after" not in said(folder):
            yield number.name, f"FAILED: status {found}: {said(folder)[-300:]}"
        else:
            yield number.name, lab.end(folder)
        shutil.rmtree(folder)


def signal_at(batch, number):
    """Sends this process a signal once so many batches are done."""
    import keras_transformer as kt

    class Throughput(kt.training.Throughput):
        left = batch

        def on_train_batch_end(self, batch, logs=None):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), number)

    kt.training.Throughput = Throughput


def numbers(lab):
    """Numbers that are not finite: a rate that is far too high, and one batch's gradients."""
    folder = lab.folder()
    status = wait(fork(lab.recipe, folder, [*lab.flags, *small.FAST.split()]))
    ended = status == 1 and "Training diverged at update" in said(folder) and lab.is_finite(folder)
    yield (
        "a far too high rate",
        (
            "ended, last good weights kept"
            if ended
            else f"FAILED: status {status}: {said(folder)[-300:]}"
        ),
    )
    shutil.rmtree(folder)

    folder = lab.folder()
    status = wait(fork(lab.recipe, folder, lab.flags, poison))
    went_on = status == 0 and "diverged" not in said(folder) and lab.is_finite(folder)
    yield (
        "NaN in the gradients of one batch",
        ("left out" if went_on else f"FAILED: status {status}: {said(folder)[-300:]}"),
    )
    shutil.rmtree(folder)


def poison():
    import keras_transformer as kt

    apply = kt.training.Adam._backend_apply_gradients
    for kind in (kt.training.Adam, kt.training.AdamW):
        kind._backend_apply_gradients = small.poisoned(apply)


def others(lab):
    """What a user can do to a run by mistake."""
    folder = lab.folder(lab.finished / "runs" / NAME)
    run = folder / "runs" / NAME
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    status = wait(fork(lab.recipe, folder, ["--resume", "--name", NAME]))
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    kept = status == 0 and before == after
    yield "a finished run resumed", "nothing changed" if kept else f"FAILED: {said(folder)[-300:]}"
    shutil.rmtree(folder)

    folder = lab.folder()
    wait(fork(lab.recipe, folder, [*lab.flags, "--max-updates", "14"]))
    changed = [folder / f"train.{name}" for name in ("a", "b", "tsv")]
    text = {path: path.read_text() for path in changed}
    for path, content in text.items():
        path.write_text("".join(content.splitlines(keepends=True)[:40]))
    resume = ["--resume", "--name", NAME, "--max-updates", "100"]
    refused = wait(fork(lab.recipe, folder, resume)) == 1 and "--data-changed" in said(folder)
    yield "other text", "refused" if refused else f"FAILED: {said(folder)[-300:]}"
    went_on = wait(fork(lab.recipe, folder, [*resume, "--data-changed"])) == 0
    yield "--data-changed", "went on" if went_on else f"FAILED: {said(folder)[-300:]}"
    shutil.rmtree(folder)

    folder = lab.folder()
    first = fork(lab.recipe, folder, lab.flags)
    while not (folder / "runs" / NAME / "begun.json").is_file():
        time.sleep(0.05)
    for flags in (["--resume", "--name", NAME], [*lab.flags, "--overwrite"]):
        told = wait(fork(lab.recipe, folder, flags)) == 1 and "no other process" in said(folder)
        yield "two processes", "refused" if told else f"FAILED: {said(folder)[-300:]}"
    same = wait(first) == 0 and lab.outcome(folder) == lab.expected
    yield "the first of two processes", "not disturbed" if same else "FAILED"
    shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    what = ("kills", "operations", "full_disk", "damage", "signals", "numbers", "others")
    parser.add_argument("--only", nargs="+", choices=what, default=what)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--kills", type=int, default=10, help="of each recipe")
    parser.add_argument("--every", type=int, default=1, help="each so manieth operation on a file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="a little of each")
    options = parser.parse_args()
    if options.small:
        options.kills, options.every = 1, 12
        if options.recipes == list(RECIPES):
            options.recipes = ["translation", "text_classification"]
    warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads
    rng = random.Random(options.seed)
    found = collections.defaultdict(lambda: collections.defaultdict(collections.Counter))
    failures = 0
    with tempfile.TemporaryDirectory() as root:
        for recipe in options.recipes:
            lab = Lab(recipe, Path(root))
            trials = {
                "kills": lambda: kills(lab, options.kills, rng),  # noqa: B023
                "operations": lambda: operations(lab, options.every),  # noqa: B023
                "full_disk": lambda: full_disk(lab, 4 * options.every),  # noqa: B023
                "damage": lambda: damage(lab, *((1, rng, 3) if options.small else (8, rng))),  # noqa: B023
                "signals": lambda: signals(lab, rng),  # noqa: B023
                "numbers": lambda: numbers(lab),  # noqa: B023
                "others": lambda: others(lab),  # noqa: B023
            }
            for name in options.only:
                for trial, outcome in trials[name]():
                    word, _, why = outcome.partition(":")
                    found[trial][recipe][word] += 1
                    failures += word == "FAILED"
                    if why:
                        print(f"{recipe}, {trial}: {outcome}", flush=True)
                print(f"{recipe}, {name}: {time.monotonic() - START:.0f} s", flush=True)
    print(table(found, options.recipes))
    sys.exit(1 if failures else 0)


def table(found, recipes):
    rows = [f"| what was done | {' | '.join(recipes)} |", "|---|" + "---|" * len(recipes)]
    for trial, by_recipe in found.items():
        cells = [
            ", ".join(f"{count} {word}" for word, count in by_recipe[recipe].items())
            for recipe in recipes
        ]
        rows.append(f"| {trial} | {' | '.join(cells)} |")
    return "\n".join(rows)


START = time.monotonic()
if __name__ == "__main__":
    main()
