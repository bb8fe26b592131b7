"""Tables of texts and their labels. A bad line is named by file, number and reason."""

import csv
import functools
import math
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_transformer.checks import refusal, require, some
from keras_transformer.text.corpus import TextError, read_lines

refuse = functools.partial(refusal, error=TextError)
expect = functools.partial(require, error=TextError)


def read_table(
    path: str | Path,
    text_column: str | int | None = None,
    label_column: str | int | None = None,
    classes: Sequence[str] | None = None,
    header: bool = False,
    numbers: bool = False,
) -> tuple[list[str], list[Any]]:
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
    asked = [int(c) if str(c).isdecimal() else c for c in columns]
    named = not all(isinstance(column, int) for column in asked)
    width, names = None, []
    if named or header:
        names = next(rows)[1]
        width = len(names)
    columns = _find_columns(path, names, asked)
    expect(min(columns) > 0, "the position of a column from 1", str(min(columns)), where=path)
    twice = f"both in column {columns[0]}"
    expect(columns[0] != columns[1], "text and label in two columns", twice, where=path)
    texts, labels = [], []
    for number, row in rows:
        where = f"{path}, line {number}"
        if len(row) < max(columns):
            raise refuse(f"at least {max(columns)} columns", str(len(row)), where=where)
        width = width or len(row)
        if len(row) != width:
            raise refuse(f"{width} columns as in line 1", str(len(row)), where=where)
        text, label = (row[column - 1].strip() for column in columns)
        for what, field, column in zip(("text", "label"), (text, label), columns, strict=True):
            if not field:
                raise refuse(f"a {what} in column {column}", "none", where=where)
        if classes is not None and label not in classes:
            raise refuse(f"one of the labels {some(classes)}", repr(label), where=where)
        texts.append(text)
        labels.append(_number(label, where) if numbers else label)
    expect(texts, "texts with labels after the header", "none", where=path)
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
        raise refuse("a finite number as label", repr(label), where=where)
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
        where = f"{path}, line {number}"
        raise refuse("comma-separated fields", str(error), where=where) from None
    finally:
        csv.field_size_limit(limit)
    return iter(rows)


def _find_columns(path, header, columns):
    """The positions of columns that may be given by name."""
    for column in columns:
        if isinstance(column, str) and column not in header:
            raise refuse(f"a column named {column!r}", some(header), where=f"{path}, line 1")
    return [c if isinstance(c, int) else header.index(c) + 1 for c in columns]
