"""What is in a `.keras` file, an archive of three files: looked at, and not yet believed."""

import contextlib
import io
import math
import stat
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from keras_transformer.checks import refusal, require

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MOST = {CONFIG: 2**25, "metadata.json": 2**16}  # bytes
ASSETS = "assets/"  # what layers such as Keras' TextVectorization keep in files
_ZIP_ERRORS = (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError)
MOST_MEMBERS, MOST_ARRAYS = 1000, 10**6


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens a `.keras` file. What is damaged is called so."""
    require(path.is_file(), "a .keras file", "no such file", where=path)
    with open(path, "rb") as file:
        try:
            archive = zipfile.ZipFile(file)
        except (*_ZIP_ERRORS, ValueError) as error:
            raise _damaged(path, str(error)) from None
        try:
            yield archive
        except _ZIP_ERRORS as error:
            raise _damaged(path, str(error)) from None


def check_members(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuses an archive with other members than Keras writes, or damaged ones.

    As they are not compressed, they are no larger than the file; their checksums are compared.
    """
    members = archive.infolist()
    names = [member.filename for member in members]
    total, size = sum(member.file_size for member in members), path.stat().st_size
    for member in members:
        name = member.filename
        is_known = name in (WEIGHTS, *MOST) or name.startswith(ASSETS)
        is_plain = ".." not in Path(name).parts and "\\" not in name and "\0" not in name
        kind = stat.S_IFMT(member.external_attr >> 16)
        is_file = kind in (0, stat.S_IFREG, stat.S_IFDIR)
        received = repr(name) if is_file else f"{name!r}, which is no file"
        expected = f"{CONFIG}, {WEIGHTS}, metadata.json and no others"
        require(is_known and is_plain and is_file, expected, received, where=path)
        is_stored = member.compress_type == zipfile.ZIP_STORED
        is_stored &= member.compress_size == member.file_size
        expected = "members that are not compressed, as Keras writes them"
        require(is_stored and not member.flag_bits & 1, expected, repr(name), where=path)
        most = MOST.get(name, size)
        received = f"{member.file_size:,}"
        require(member.file_size <= most, f"{name} of {most:,} bytes", received, where=path)
    require(total <= size, f"members of {size:,} bytes", f"{total:,}", where=path)
    require(len(members) <= MOST_MEMBERS, "three members", f"{len(members):,}", where=path)
    for name in (CONFIG, WEIGHTS):
        once = names.count(name)
        require(once == 1 == len(names) / len(set(names)), f"one {name}", f"{once}", where=path)
    if damaged := archive.testzip():
        raise _damaged(path, f"the checksum of {damaged} is another")


class StoredMember(io.RawIOBase):
    """A member that is not compressed, as a file.

    `zipfile` gives one, too, but reads all of it again for each step back, of which there are many.
    """

    def __init__(self, archive: zipfile.ZipFile, name: str, path: Path):
        member = archive.getinfo(name)
        self._file = open(path, "rb")  # noqa: SIM115  it is closed with this
        self._file.seek(member.header_offset + 26)
        lengths = struct.unpack("<2H", self._file.read(4))  # of its name, and of more fields
        self._begin = self._file.tell() + sum(lengths)
        self._size = member.file_size
        self._place = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place."""
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def tell(self) -> int:
        """The place."""
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Reads what is left of the member, or as much as there is room for."""
        self._file.seek(self._begin + self._place)
        room = max(0, min(len(buffer), self._size - self._place))
        read = self._file.readinto(memoryview(buffer)[:room])
        self._place += read
        return read

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        super().close()


def array_sizes(file: IO[bytes] | io.RawIOBase, where: str) -> list[int]:
    """How many numbers each array of a file of weights has; none of them is read.

    Raises:
        ValueError: for anything else than arrays that are in the file, as links to other files.
    """
    import h5py

    sizes: list[int] = []
    try:
        with h5py.File(file, "r") as found:
            refused = _collect(found, sizes)
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        raise _damaged(where, str(error)) from None
    # Raised here, where nothing of the file is left that h5py would have to close after Python.
    if refused:
        raise refusal(*refused, where=where)
    return sizes


def _collect(found, sizes):
    """Adds the sizes of all arrays to a list; `(what was expected, what came)`, or None."""
    import h5py

    most = found.id.get_filesize()
    waiting, seen = [found], set()
    while waiting:
        group = waiting.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                return "arrays in the file, and no links", f"{group.name}/{name}"
            part = group[name]
            address = h5py.h5o.get_info(part.id).addr
            if address in seen or len(seen) > MOST_ARRAYS:
                return "each array once, of a million", f"{part.name} and more"
            seen.add(address)
            if isinstance(part, h5py.Group):
                waiting.append(part)
            elif refused := _check_array(part, most):
                return refused
            else:
                sizes.append(part.size or 0)
    if sum(sizes) > most:
        return f"arrays of {most:,} bytes at most", f"{sum(sizes):,}"


def _check_array(part, most):
    """As `_collect`, of one array, which is to be a plain one."""
    import h5py

    if not isinstance(part, h5py.Dataset) or part.dtype.kind not in "biufcV":
        return "arrays of numbers", part.name
    if part.external or part.is_virtual:
        return "arrays in the file", f"{part.name} in others"
    if part.id.get_create_plist().get_nfilters():
        return "arrays that are not compressed", part.name
    total = math.prod(part.shape or (0,)) * part.dtype.itemsize
    if total > most:
        return f"arrays of {most:,} bytes at most", f"{part.name} of {total:,}"


def _damaged(where, reason):
    return refusal("a whole .keras file", f"a damaged one ({reason[:200]})", where=where)
