"""A small share of what `benchmarks/fuzz.py` gives: accepted, or refused in one sentence."""

import sys
import time

import pytest
from fuzzing import batching, folders, judging, readers, settings, tokenizing

from keras_transformer.checks import require

SHARE = 500  # one input of so many of a whole run
SLOW = "wordpiece", "bert", "published"  # which take seconds to begin
TARGETS = readers.TARGETS | tokenizing.TARGETS | settings.TARGETS | batching.TARGETS
TARGETS |= folders.TARGETS


def marked(name):
    is_slow = any(word in name for word in SLOW)
    return pytest.param(name, marks=pytest.mark.slow if is_slow else ())


@pytest.mark.parametrize("name", map(marked, TARGETS))
def test_nothing_else_comes_of_an_input(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = TARGETS[name]
    found = judging.run(target, tmp_path, min(100, 12 + target.share // SHARE))
    assert list(found.faults.values()) == []
    assert found.accepted or name in folders.TARGETS  # of which one file is broken each time


@pytest.mark.parametrize(
    "check, kind",
    [
        (lambda x: {}[x], "KeyError"),
        (lambda x: int("x"), "ValueError"),  # of another's
        (lambda x: refuse("one\nand another"), "ValueError"),
        (lambda x: time.sleep(60), "Hung"),
        (lambda x: sys.exit(1), "SystemExit"),
    ],
)
def test_faults_are_seen(tmp_path, monkeypatch, check, kind):
    monkeypatch.setattr(judging, "LIMIT", 0.05)
    target = judging.Target(1, lambda folder: (lambda rng: rng.choice([1000, 1]), check))
    found = judging.run(target, tmp_path, 3)
    [fault] = found.faults.values()
    assert fault.what.startswith(f"{kind} at ") and fault.count == 3 and fault.example == "1"
    assert found.accepted == found.refused == 0


def test_refusals_and_what_is_accepted_are_counted(tmp_path):
    def check(x):
        if x:
            refuse("one")

    target = judging.Target(1, lambda folder: (lambda rng: rng.random() < 0.5, check))
    found = judging.run(target, tmp_path, 50)
    assert found.accepted + found.refused == 50 and found.refused > 9 and not found.faults


def refuse(what):
    require(False, what, "another")
