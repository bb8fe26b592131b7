"""Readers of text corpora, plain or gzipped. A bad line is named by file, number and reason."""

import gzip
import zlib
from pathlib import Path


class TextError(ValueError):
    """Text that cannot be used. The message is one sentence that a recipe can print as it is."""


def read_lines(path):
    r"""Reads a UTF-8 text file, plain or gzipped, into its lines.

    Only a newline (`"\n"` or `"\r\n"`) ends a line. Characters that `str.splitlines` also splits
    at, such as U+2028, occur inside real sentences and would put two parallel files out of step.

    Args:
        path: The file. Gzip is recognised by its first bytes, whatever the name.

    Returns:
        A list of str: the lines in order, empty ones included, without their newlines.

    Raises:
        TextError: The file is missing, empty or damaged, or a line is not UTF-8.

    Example:

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/lines.txt"
    >>> _ = open(path, "wb").write(b"one\r\n\ntwo")
    >>> read_lines(path)
    ['one', '', 'two']
    """
    try:
        data = Path(path).read_bytes()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
    except FileNotFoundError:
        raise TextError(f"{path}: no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise TextError(f"{path}: cannot be read ({error})") from None
    data = data.removeprefix(b"\xef\xbb\xbf")  # a byte order mark is not part of the first word
    if not data:
        raise TextError(f"{path}: the file is empty")
    lines = data.removesuffix(b"\n").split(b"\n")
    return [_decode(line.removesuffix(b"\r"), path, n) for n, line in enumerate(lines, 1)]


def read_parallel(source_path, target_path):
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
    if len(source) != len(target):
        raise TextError(
            f"{source_path} has {len(source):,} lines and {target_path} has {len(target):,}: "
            "parallel files need the same number"
        )
    return source, target


def read_pairs(path):
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
            raise TextError(
                f"{path}, line {number}: expected source and target with a tab between them, "
                "found no tab"
            )
    return [row[0] for row in rows], [row[1] for row in rows]


def _decode(line, path, number):
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextError(
            f"{path}, line {number}: not UTF-8 "
            f"(byte 0x{line[error.start]:02x} at column {error.start + 1})"
        ) from None
