"""One process writes a run, and one that is gone does not keep others from it."""

import subprocess
import sys
import weakref

import pytest

from keras_transformer.training import Run, RunError
from keras_transformer.training.lock import LOCK, hold

HOLD = """
import fcntl, sys
file = open(sys.argv[1], "a+")
fcntl.flock(file, fcntl.LOCK_EX)
file.write("process 7 on there")
file.flush()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path):
    Run.create(tmp_path / "run", {"seed": 1}).begin({})
    return tmp_path / "run"


@pytest.fixture
def other_process(folder):
    (folder / LOCK).write_text("")
    command = [sys.executable, "-c", HOLD, str(folder / LOCK)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: Run.resume(folder, {"seed": 1}),
        lambda folder: Run.create(folder, {"seed": 2}, overwrite=True),
        lambda folder: Run(folder).check_new(overwrite=True),
        lambda folder: Run(folder).check_free(),
    ],
)
def test_the_second_process_is_told_who_holds_a_run(folder, other_process, write):
    said = r"run: expected a run that no other process is writing\. Received: one of process 7 on"
    with pytest.raises(RunError, match=said):
        write(folder)
    assert Run.open(folder).settings == {"seed": 1}  # reading is free
    other_process.kill()
    other_process.wait()
    assert write(folder) is None or Run.open(folder).settings["seed"] in (1, 2)


def test_this_process_is_no_other(folder):
    one = Run.resume(folder, {"seed": 1})
    two = Run.resume(folder, {"seed": 1})
    assert one._lock is two._lock is hold(folder)


def test_a_run_that_is_gone_holds_nothing(folder):
    run = Run.resume(folder, {"seed": 1})
    lock = weakref.ref(run._lock)
    del run
    assert lock() is None
