"""Readers of text corpora, plain or gzipped. A bad line is named by file, number and reason."""

import csv
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


def read_table(path, text_column=None, label_column=None, classes=None):
    """Reads a table of texts and their labels.

    A file named `.csv` or `.csv.gz` has commas between its columns, and quotes around fields with
    commas, quotes or line ends (which become spaces); any other has tabs, and quotes are text.

    Args:
        path: The file, as for `read_lines`.
        text_column: Name of a column in the first line, or its position from 1. Default: 1.
        label_column: The same. Default: 2. Only a name makes the first line a header.
        classes: The labels that may occur. Default `None`: any.

    Returns:
        Two lists of str of one length: texts and labels.

    Raises:
        TextError: As `read_lines`; a column that is not there, a row that ends before it, an
            empty text or label, a label that is not among `classes`, or quotes that do not match.

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
    if not all(isinstance(column, int) for column in columns):
        columns = _find_columns(path, next(rows)[1], columns)
    if min(columns) < 1:
        raise TextError(f"{path}: expected the position of a column from 1, found {min(columns)}")
    texts, labels = [], []
    for number, row in rows:
        where = f"{path}, line {number}"
        if len(row) < max(columns):
            raise TextError(f"{where}: expected at least {max(columns)} columns, found {len(row)}")
        text, label = (row[column - 1].strip() for column in columns)
        for what, field, column in zip(("text", "label"), (text, label), columns, strict=True):
            if not field:
                raise TextError(f"{where}: expected a {what} in column {column}, found none")
        if classes is not None and label not in classes:
            raise TextError(
                f"{where}: expected one of the labels {_some(classes)}, found {label!r}"
            )
        texts.append(text)
        labels.append(label)
    if not texts:
        raise TextError(f"{path}: expected texts with labels after the header, found none")
    return texts, labels


def _is_csv(path):
    return str(path).lower().removesuffix(".gz").endswith(".csv")


def _tab_rows(path):
    """Yields `(line number, fields)`."""
    return enumerate((line.split("\t") for line in read_lines(path)), 1)


def _csv_rows(path):
    """Yields `(number of its first line, fields)`."""
    reader = csv.reader((line + "\n" for line in read_lines(path)), strict=True)
    number = 1
    try:
        for row in reader:
            yield number, [field.replace("\n", " ") for field in row]
            number = reader.line_num + 1
    except csv.Error as error:
        raise TextError(
            f"{path}, line {number}: expected comma-separated fields, found {error}"
        ) from None


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
