"""Whether an input was accepted, refused in one sentence, or is a fault."""

import dataclasses
import importlib.util
import linecache
import os
import random
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis

LIMIT = 10  # seconds that one input may take
PACKAGE = Path(importlib.util.find_spec("keras_transformer").origin).parent
HOMES = f"{PACKAGE}{os.sep}", f"{PACKAGE.parent / 'recipes'}{os.sep}"


@dataclasses.dataclass
class Target:
    """Inputs of one kind.

    Attributes:
        share: How many of a million inputs it gets.
        prepare: Function of an empty folder to `(source, check)`. A source is a strategy of
            `hypothesis`, or a function of a `random.Random`, which is faster.
    """

    share: int
    prepare: Callable[[Path], tuple[Any, Callable[[Any], None]]]


@dataclasses.dataclass
class Fault:
    """What went wrong at one place, with the smallest input for it."""

    what: str
    example: str
    count: int = 1


class Hung(BaseException):
    """An input took longer than `LIMIT`; no `except Exception` takes it for its own."""


class Found:
    """Counts what becomes of inputs, and keeps a fault of each kind.

    Attributes:
        accepted, refused: Counts.
        faults: `Fault` by kind of error and place.
    """

    def __init__(self) -> None:
        self.accepted = self.refused = 0
        self.faults: dict[tuple, Fault] = {}

    def judge(self, check: Callable[[Any], None], example: Any) -> None:
        """Calls `check`, and says what came of it."""
        try:
            signal.setitimer(signal.ITIMER_REAL, LIMIT)
            try:
                check(example)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except SystemExit as stop:  # of --help
            if stop.code:
                self._fault(stop, example)
            else:
                self.accepted += 1
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # as Hung is, and what libraries in Rust panic with
            if is_refusal(error):
                self.refused += 1
            else:
                self._fault(error, example)
        else:
            self.accepted += 1

    def _fault(self, error, example):
        shown, steps = repr(example), traceback.extract_tb(error.__traceback__)
        ours = [step for step in steps if is_ours(step.filename)] or steps[-1:]
        place = f"{os.path.relpath(ours[-1].filename, PACKAGE.parent)}:{ours[-1].lineno}"
        key = type(error).__name__, place
        what = f"{type(error).__name__} at {place}: {str(error)[:300]}"
        fault = self.faults.setdefault(key, Fault(what, shown, 0))
        fault.count += 1
        if len(shown) < len(fault.example):
            fault.what, fault.example = what, shown


def is_ours(filename: str) -> bool:
    """Whether code is the package's or a recipe's."""
    return filename.startswith(HOMES)


def is_refusal(error: BaseException) -> bool:
    """Whether an error is what a recipe prints: one sentence that the package raised itself."""
    if isinstance(error, OSError):  # the system's own
        return is_sentence(str(error))
    if not isinstance(error, ValueError):
        return False
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    source = linecache.getline(frame.f_code.co_filename, line).strip()
    raised = is_ours(frame.f_code.co_filename) and source.startswith("raise")
    return raised and is_sentence(str(error))


def is_sentence(text: str) -> bool:
    return bool(text.strip()) and "\n" not in text and len(text) < 10_000


def run(
    target: Target,
    folder: Path,
    count: int,
    seed: int = 0,
    watch: Callable[[Any], None] = lambda example: None,
) -> Found:
    """Gives a target so many inputs.

    Args:
        folder: Empty, to work in.
        watch: Is told each input before the package is.
    """
    found = Found()
    source, check = target.prepare(folder)

    def stop(*_):
        raise Hung(f"more than {LIMIT} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    try:
        if not isinstance(source, hypothesis.strategies.SearchStrategy):
            rng = random.Random(seed)
            for _ in range(count):
                example = source(rng)
                watch(example)
                found.judge(check, example)
            return found

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(source)
        def give(example):
            watch(example)
            found.judge(check, example)

        give()
        return found
    finally:
        signal.signal(signal.SIGALRM, before)
