"""Files that are written whole or not at all, and what they held."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

UNFINISHED = "unfinished."  # before the name of a file that is being written


class NotWritten(OSError):
    """A file that could not be written; what was there before is as it was.

    Example:

    >>> raise NotWritten("runs/demo/model.keras could not be written: No space left on device")
    Traceback (most recent call last):
    keras_transformer.files.NotWritten: runs/demo/model.keras could not be written: No space left on
    device
    """


@contextlib.contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Yields a path to write to; its file takes the place of `path` once it is on the disk.

    Whoever reads `path`, at any moment and after a crash too, finds what it held before, or all
    of what was written, and never a part. If writing fails, nothing is left of it.

    Raises:
        NotWritten: The disk is full, the folder cannot be written, and the like, in one sentence.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "poem.txt"
    >>> with written_whole(path) as unfinished:
    ...     _ = unfinished.write_text("A line.")
    ...     path.exists()
    False
    >>> path.read_text()
    'A line.'
    """
    path = Path(path)
    unfinished = path.with_name(UNFINISHED + path.name)
    try:
        yield unfinished
        _to_disk(unfinished)
        os.replace(unfinished, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise NotWritten(f"{path} could not be written: {reason}") from error
        raise
    _to_disk(path.parent)


def _to_disk(path):
    """Waits until a file, or the names in a folder, would survive the loss of power."""
    if os.name == "nt" and path.is_dir():
        return  # which Windows cannot open
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Writes a text in UTF-8, or bytes, whole or not at all.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "poem.txt"
    >>> write_whole(path, "A line.")
    >>> path.read_text()
    'A line.'
    """
    with written_whole(path) as unfinished:
        unfinished.write_bytes(content.encode() if isinstance(content, str) else content)


def remove_unfinished(folder: Path) -> None:
    """Removes what a process that was killed had begun to write in a folder and below it."""
    for path in folder.rglob(f"{UNFINISHED}*"):
        path.unlink(missing_ok=True)


def digest(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "poem.txt"
    >>> write_whole(path, "A line.")
    >>> digest(path)[:8]
    '8714ccab'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
