"""Files of folders that others may have made, or a disk damaged: looked at before they are read."""

import collections
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_transformer.checks import refusal, require
from keras_transformer.digests import check_digest

MOST = 2**26  # bytes of a file that is read at once: the largest published vocabularies have half


def check_inside(
    path: Path, folder: Path | None = None, error: type[Exception] = ValueError
) -> None:
    """Refuses a path, or a link, that leads out of a folder.

    Snapshots of the Hugging Face hub's cache may lead to where that keeps its files.

    Args:
        path: the path.
        folder: the folder. None means the one that the path names.
        error: class of the refusal.

    Example:

    >>> check_inside(Path("folder/../other"), Path("folder"))
    Traceback (most recent call last):
    ValueError: folder/../other: expected a file of the folder. Received: a path to .../other
    """
    root, place = (folder or path.parent).resolve(), path.resolve()
    homes = [root]
    for parent in (root, *root.parents):
        if parent.parent.name == "snapshots":
            homes.append(parent.parent.parent / "blobs")
    is_inside = any(home == place or home in place.parents for home in homes)
    require(is_inside, "a file of the folder", f"a path to {place}", where=path, error=error)


def check_file(path: Path, most: int | None = None, error: type[Exception] = ValueError) -> None:
    """Refuses what is no file of its folder, or one of more than `most` bytes."""
    check_inside(path, error=error)
    require(path.is_file(), "a file", "something else", where=path, error=error)
    if most is not None:
        size = path.stat().st_size
        require(size <= most, f"at most {most:,} bytes", f"{size:,}", where=path, error=error)


def read_bytes(path: Path, most: int = MOST, error: type[Exception] = ValueError) -> bytes:
    """What a file holds, if it is one of its folder, not too large, and as it was written.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "poem.txt"
    >>> _ = path.write_text("A line.")
    >>> read_bytes(path)
    b'A line.'
    >>> read_bytes(path, most=4)
    Traceback (most recent call last):
    ValueError: ...poem.txt: expected at most 4 bytes. Received: 7
    """
    check_file(path, most, error)
    check_digest(path, error)
    return path.read_bytes()


def parse_json(
    data: bytes, where: object, error: type[Exception] = ValueError, unique: bool = False
) -> Any:
    """What JSON says.

    Args:
        data: bytes, UTF-8.
        where: what a refusal names.
        error: class of the refusal.
        unique: whether an object that has a name twice is refused.
    """
    try:
        return json.loads(data.decode(), object_pairs_hook=_unique if unique else None)
    except RecursionError:
        received = "lists or objects in each other, too many"
        raise refusal("JSON", received, where=where, error=error) from None
    except ValueError as problem:
        raise refusal("JSON", f"{problem}"[:200], where=where, error=error) from None


def objects_in(found: Any) -> Iterator[dict[str, Any]]:
    """All objects of what JSON says, however deep.

    >>> list(objects_in([{"a": [{}]}, 3]))
    [{'a': [{}]}, {}]
    """
    waiting = [found]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _unique(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        [(name, count), *_] = collections.Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{name!r} {count} times in one object")
    return found
