"""Readers of text corpora, plain or compressed. A bad line is named by file, number and reason."""

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Iterable
from pathlib import Path

from keras_transformer.checks import refusal, require

# By how a file begins.
_DECOMPRESS = {
    rb"\x1f\x8b": gzip.decompress,
    rb"BZh[1-9](1AY&SY|\x17rE8P\x90)": bz2.decompress,
    rb"\xfd7zXZ\x00": lzma.decompress,
}
_FOREIGN = {
    rb"PK(\x03\x04|\x05\x06)": "a zip archive",
    rb"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    rb"Rar!\x1a\x07": "a RAR archive",
    rb"\x28\xb5\x2f\xfd": "compressed by Zstandard",
    rb"\x04\x22\x4d\x18": "compressed by LZ4",
    rb"\x1f\x9d": "compressed by compress",
    rb"LZIP": "compressed by lzip",
    rb"%PDF-": "a PDF document",
    rb"\xff\xfe\x00\x00|\x00\x00\xfe\xff": "UTF-32 text",
    rb"\xff\xfe|\xfe\xff": "UTF-16 text",
}


class TextError(ValueError):
    """Text that cannot be used. The message is one sentence that a recipe can print as it is."""


def read_lines(path: str | Path) -> list[str]:
    r"""Reads a UTF-8 text file, plain or compressed, into its lines.

    Only a newline (`"\n"` or `"\r\n"`) ends a line. Characters that `str.splitlines` also splits
    at, such as U+2028, occur inside real sentences and would put two parallel files out of step.

    Args:
        path: The file. Gzip, bzip2 and xz are recognised by their first bytes, whatever the name.

    Returns:
        A list of str: the lines in order, empty ones included, without their newlines.

    Raises:
        TextError: The file is missing, empty, damaged or of another format, which is named where
            its first bytes tell, or a line is not UTF-8.

    Example:

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/lines.txt"
    >>> _ = open(path, "wb").write(b"one\r\n\ntwo")
    >>> read_lines(path)
    ['one', '', 'two']
    """
    try:
        data = Path(path).read_bytes()
        for beginning, decompress in _DECOMPRESS.items():
            if re.match(beginning, data):
                data = decompress(data)
                break
    except FileNotFoundError:
        raise TextError(f"{path}: no such file") from None
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise TextError(f"{path}: cannot be read ({error})") from None
    if foreign := _foreign(data):
        expectation = "UTF-8 text, plain or in gzip, bzip2 or xz"
        raise refusal(expectation, foreign, where=path, error=TextError)
    data = data.removeprefix(b"\xef\xbb\xbf")  # a byte order mark is not part of the first word
    if not data:
        raise TextError(f"{path}: the file is empty")
    lines = data.removesuffix(b"\n").split(b"\n")
    return [_decoded(line.removesuffix(b"\r"), path, n) for n, line in enumerate(lines, 1)]


def read_text(paths: Iterable[str | Path]) -> str:
    """Reads text files as one str, every line of which ends in a newline.

    Args:
        paths: List of paths, of files as `read_lines` takes them.

    Raises:
        TextError: As `read_lines`.
    """
    return "".join(f"{line}\n" for path in paths for line in read_lines(path))


def _foreign(data):
    """What a file is that is no UTF-8 text, as far as its first bytes tell, or None."""
    for beginning, name in _FOREIGN.items():
        if re.match(beginning, data):
            return name
    # Without a mark: Latin letters in two bytes, one of which is 0.
    zeros = [data[start:2000:2].count(0) for start in (0, 1)]
    if min(zeros) == 0 and max(zeros) > max(1, len(data[:2000]) // 4):
        return "UTF-16 text"


def read_parallel(source_path: str | Path, target_path: str | Path) -> tuple[list[str], list[str]]:
    """Reads two files whose lines translate each other.

    Args:
        source_path: The source language, a sentence a line, as for `read_lines`.
        target_path: The target language.

    Returns:
        Two lists of str of one length.

    Raises:
        TextError: As `read_lines`, or the files have different numbers of lines.

    Example:

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/lines.txt"
    >>> _ = open(path, "w").write("one\\ntwo\\n")
    >>> read_parallel(path, path)
    (['one', 'two'], ['one', 'two'])
    """
    source, target = read_lines(source_path), read_lines(target_path)
    require(
        len(source) == len(target),
        "parallel files of as many lines",
        f"{source_path} with {len(source):,} and {target_path} with {len(target):,}",
        error=TextError,
    )
    return source, target


def read_pairs(path: str | Path) -> tuple[list[str], list[str]]:
    """Reads tab-separated pairs, `source<tab>target`; further columns are ignored.

    Args:
        path: The file, as for `read_lines`.

    Returns:
        Two lists of str of one length: the first column and the second.

    Raises:
        TextError: As `read_lines`, or a line has no tab.

    Example:

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/pairs.tsv"
    >>> _ = open(path, "w").write("Go.\\tVa !\\tCC BY 2.0\\n")
    >>> read_pairs(path)
    (['Go.'], ['Va !'])
    """
    rows = [line.split("\t") for line in read_lines(path)]
    for number, row in enumerate(rows, 1):
        if len(row) < 2:
            raise refusal(
                "source and target with a tab between them",
                "no tab",
                where=f"{path}, line {number}",
                error=TextError,
            )
    return [row[0] for row in rows], [row[1] for row in rows]


def _decoded(line, path, number):
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextError(
            f"{path}, line {number}: not UTF-8 "
            f"(byte 0x{line[error.start]:02x} at column {error.start + 1})"
        ) from None
