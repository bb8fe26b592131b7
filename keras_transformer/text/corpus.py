"""Readers of text corpora, plain or compressed. A bad line is named by file, number and reason."""

import bz2
import csv
import gzip
import lzma
import math
import re
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np

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


def read_lines(path):
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
        raise TextError(
            f"{path}: expected UTF-8 text, plain or in gzip, bzip2 or xz, found {foreign}"
        )
    data = data.removeprefix(b"\xef\xbb\xbf")  # a byte order mark is not part of the first word
    if not data:
        raise TextError(f"{path}: the file is empty")
    lines = data.removesuffix(b"\n").split(b"\n")
    return [_decode(line.removesuffix(b"\r"), path, n) for n, line in enumerate(lines, 1)]


def read_text(paths):
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


def read_table(
    path, text_column=None, label_column=None, classes=None, header=False, numbers=False
):
    """Reads a table of texts and their labels.

    A file named `.csv`, or so before `.gz`, `.bz2` or `.xz`, has commas between its columns, and
    quotes around fields with commas, quotes or line ends (which become spaces); any other has tabs,
    and quotes are text. All lines have as many columns as the first.

    Args:
        path: The file, as for `read_lines`.
        text_column: Name of a column in the first line, or its position from 1. Default: 1.
        label_column: The same, another column. Default: 2. A name makes the first line a header.
        classes: The labels that may occur. Default `None`: any.
        header: Whether the first line is a header where columns have no names, too. Default
            `False`; a first line that looks like one, for its label is no other line's, is read as
            text with a warning.
        numbers: Whether labels are finite numbers, and float in what is returned. Default `False`.

    Returns:
        Two lists of one length: texts, str, and labels, str or float.

    Raises:
        TextError: As `read_lines`; a column that is not there or asked for twice, a row of more or
            fewer columns than the first, an empty text or label, a label that is not among
            `classes` or no number where `numbers` are asked for, or quotes that do not match.

    Example:

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/reviews.csv"
    >>> _ = open(path, "w").write('stars,review\\n5,"Good, cheap."\\n1,Bad.\\n')
    >>> read_table(path, text_column="review", label_column="stars")
    (['Good, cheap.', 'Bad.'], ['5', '1'])
    >>> read_table(path, text_column=2, label_column=1, classes=["1", "5"])
    Traceback (most recent call last):
    keras_transformer.text.corpus.TextError: /tmp/reviews.csv, line 1: expected one of the labels...
    """
    rows = _csv_rows(path) if _is_csv(path) else _tab_rows(path)
    columns = [
        default if column is None else column
        for default, column in enumerate((text_column, label_column), 1)
    ]
    columns = [int(c) if str(c).isdecimal() else c for c in columns]
    named = not all(isinstance(column, int) for column in columns)
    width = None
    if named or header:
        names = next(rows)[1]
        columns, width = _find_columns(path, names, columns), len(names)
    if min(columns) < 1:
        raise TextError(f"{path}: expected the position of a column from 1, found {min(columns)}")
    if columns[0] == columns[1]:
        raise TextError(
            f"{path}: expected text and label in two columns, found both in column {columns[0]}"
        )
    texts, labels = [], []
    for number, row in rows:
        where = f"{path}, line {number}"
        if len(row) < max(columns):
            raise TextError(f"{where}: expected at least {max(columns)} columns, found {len(row)}")
        width = width or len(row)
        if len(row) != width:
            raise TextError(f"{where}: expected {width} columns as in line 1, found {len(row)}")
        text, label = (row[column - 1].strip() for column in columns)
        for what, field, column in zip(("text", "label"), (text, label), columns, strict=True):
            if not field:
                raise TextError(f"{where}: expected a {what} in column {column}, found none")
        if classes is not None and label not in classes:
            raise TextError(
                f"{where}: expected one of the labels {_some(classes)}, found {label!r}"
            )
        texts.append(text)
        labels.append(_number(label, where) if numbers else label)
    if not texts:
        raise TextError(f"{path}: expected texts with labels after the header, found none")
    if not (named or header) and _looks_like_header(labels):
        warnings.warn(
            f"{path}, line 1: the label {labels[0]!r} is no other line's. If this is a header, "
            "header=True, or a recipe's --header, leaves it out",
            stacklevel=2,
        )
    return texts, labels


def _number(label, where):
    """A label as a float that is finite in single precision too."""
    try:
        number = math.nan if "_" in label else float(label)  # Python alone reads 1_000
    except ValueError:
        number = math.nan
    if not abs(number) <= np.finfo("float32").max:
        raise TextError(f"{where}: expected a finite number as label, found {label!r}")
    return number


def _looks_like_header(labels):
    """Whether the first label is alone among others that are not, and is no number."""
    try:
        float(labels[0])
    except ValueError:
        return labels.count(labels[0]) == 1 < len(labels)
    return False


def _is_csv(path):
    return re.search(r"\.csv(\.gz|\.bz2|\.xz)?$", str(path).lower()) is not None


def _tab_rows(path):
    """Yields `(line number, fields)`."""
    return enumerate((line.split("\t") for line in read_lines(path)), 1)


def _csv_rows(path):
    """An iterator over `(number of its first line, fields)`."""
    reader = csv.reader((line + "\n" for line in read_lines(path)), strict=True)
    rows, number = [], 1
    limit = csv.field_size_limit(sys.maxsize)  # which is everybody's
    try:
        for row in reader:
            rows.append((number, [field.replace("\n", " ") for field in row]))
            number = reader.line_num + 1
    except csv.Error as error:
        raise TextError(
            f"{path}, line {number}: expected comma-separated fields, found {error}"
        ) from None
    finally:
        csv.field_size_limit(limit)
    return iter(rows)


def _find_columns(path, header, columns):
    """The positions of columns that may be given by name."""
    for column in columns:
        if isinstance(column, str) and column not in header:
            raise TextError(
                f"{path}, line 1: expected a column named {column!r}, found {_some(header)}"
            )
    return [c if isinstance(c, int) else header.index(c) + 1 for c in columns]


def _some(names, count=20):
    names = list(map(str, names))
    return ", ".join(names[:count]) + (f" and {len(names) - count:,} more" if names[count:] else "")


def _decode(line, path, number):
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextError(
            f"{path}, line {number}: not UTF-8 "
            f"(byte 0x{line[error.start]:02x} at column {error.start + 1})"
        ) from None
