"""What the files of a folder held when they were written, and whether they still do."""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from keras_transformer.checks import require
from keras_transformer.files import digest, write_whole

DIGESTS = "digests.json"  # in a folder: {"sha256": {name of a file: its digest}}
_HUB_NAME = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def note_digests(folder: Path, names: Iterable[str]) -> None:
    """Writes the digests of files into their folder, beside those of other files still there.

    Example:

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_whole(folder / "poem.txt", "A line.")
    >>> note_digests(folder, ["poem.txt"])
    >>> check_digest(folder / "poem.txt")
    >>> write_whole(folder / "poem.txt", "A lime.")
    >>> check_digest(folder / "poem.txt")
    Traceback (most recent call last):
    ValueError: ...poem.txt: expected what digests.json says was written (delete that if...
    """
    folder = Path(folder)
    noted = {**noted_digests(folder), **{name: digest(folder / name) for name in names}}
    write_digests(folder, {name: value for name, value in noted.items() if _is_there(folder, name)})


def forget_digests(folder: Path, names: Iterable[str]) -> None:
    """Forgets the digests of files, which are about to be written."""
    noted = noted_digests(folder)
    if not noted.keys().isdisjoint(names):
        write_digests(folder, {name: noted[name] for name in noted.keys() - set(names)})


def write_digests(folder: Path, digests: dict[str, str]) -> None:
    """Writes digests by the names of their files, in place of all that were noted."""
    text = json.dumps({"sha256": dict(sorted(digests.items()))}, indent=2)
    write_whole(Path(folder) / DIGESTS, text + "\n")


def noted_digests(folder: Path) -> dict[str, str]:
    """The digests that a folder notes, by name; none where it has no such file, or a broken one."""
    try:
        noted = json.loads((folder / DIGESTS).read_bytes())["sha256"]
        return {str(name): str(value) for name, value in noted.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def check_digest(path: Path, error: type[Exception] = ValueError) -> None:
    """Refuses a file that holds something else than what was written, where anything says that.

    That is `digests.json` beside it, or its name in the cache of the Hugging Face hub, in which
    large files are called by their SHA-256, and small ones by what git calls them.

    Args:
        path: the file.
        error: class of the refusal.
    """
    if (path.parent / DIGESTS).exists():
        noted = noted_digests(path.parent)
        expected = "digests of files, or no such file"
        require(noted, expected, "something else", where=path.parent / DIGESTS, error=error)
        require(
            path.name not in noted or noted[path.name] == digest(path),
            f"what {DIGESTS} says was written (delete that if the file was changed on purpose)",
            "other bytes",
            where=path,
            error=error,
        )
    blob = path.resolve()
    if path.is_symlink() and blob.parent.name == "blobs" and _HUB_NAME.fullmatch(blob.name):
        require(
            blob.name in _hub_names(blob),
            "what the hub gave (delete the file, and it is downloaded again)",
            "other bytes",
            where=path,
            error=error,
        )


def _hub_names(blob):
    """What a file may be called in the hub's cache; some mirrors leave out git's header."""
    if len(blob.name) == 64:
        return [digest(blob)]
    content = blob.read_bytes()
    both = content, f"blob {len(content)}\0".encode() + content
    return [hashlib.sha1(data, usedforsecurity=False).hexdigest() for data in both]


def _is_there(folder, name):
    return Path(name).name == name and (folder / name).is_file()
