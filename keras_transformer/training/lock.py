"""One writer a folder: a lock that a process which is gone does not keep."""

import contextlib
import os
import socket
import time
import weakref
from pathlib import Path
from typing import IO

from keras_transformer.checks import refusal
from keras_transformer.training.json_files import RunError

LOCK = ".lock"
_held: weakref.WeakValueDictionary = weakref.WeakValueDictionary()  # by this process


class Lock:
    """Holds a folder while it lives, against other processes.

    Args:
        folder: `pathlib.Path` of a folder that exists; the lock is its file `.lock`.

    Raises:
        RunError: Another process holds it, and which.

    Example:

    >>> import tempfile
    >>> lock = hold(Path(tempfile.mkdtemp()))
    >>> lock.file.closed
    False
    """

    def __init__(self, folder: Path) -> None:
        self.file: IO[str] = open(folder / LOCK, "a+", encoding="utf-8")  # noqa: SIM115
        if not _lock(self.file):
            self.file.seek(0)
            holder = self.file.read().strip() or "another process"
            self.file.close()
            expected = "a run that no other process is writing"
            raise refusal(expected, f"one of {holder}", where=str(folder), error=RunError)
        self.file.truncate(0)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        self.file.write(f"process {os.getpid()} on {socket.gethostname()}, since {since}\n")
        self.file.flush()


def hold(folder: Path) -> Lock:
    """The `Lock` of a folder, which may be this process' already."""
    key = os.path.realpath(folder)
    lock = _held.get(key)
    if lock is None:
        lock = _held[key] = Lock(folder)
    return lock


def _lock(file):
    """Whether the lock is ours now. The system drops it with the process that has it."""
    try:
        import fcntl
    except ImportError:  # Windows, where runs have no lock
        return True
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
