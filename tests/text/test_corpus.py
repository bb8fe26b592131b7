"""Readers keep every line, and name what is wrong with a file in one sentence."""

import bz2
import gzip
import lzma
import warnings

import pytest

from keras_transformer.text import (
    TextError,
    read_lines,
    read_pairs,
    read_parallel,
    read_table,
    read_text,
)


def write(path, data):
    path.write_bytes(data)
    return path


def fails(function, *paths):
    with pytest.raises(TextError) as error:
        function(*paths)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_only_newlines_end_lines(tmp_path):
    text = "a\u2028b\x85c\x0bd\re\r\n\n  f \n"
    path = write(tmp_path / "x", text.encode())
    assert read_lines(path) == ["a\u2028b\x85c\x0bd\re", "", "  f "]


def test_last_newline_is_optional_but_empty_lines_count(tmp_path):
    assert read_lines(write(tmp_path / "x", b"a\nb")) == ["a", "b"]
    assert read_lines(write(tmp_path / "x", b"a\nb\n\n")) == ["a", "b", ""]
    assert read_lines(write(tmp_path / "x", b"\n")) == [""]


def test_a_text_of_several_files_has_whole_lines(tmp_path):
    one, two = write(tmp_path / "x", b"a\n\nb"), write(tmp_path / "y", gzip.compress(b"c\r\n"))
    assert read_text([one, two]) == "a\n\nb\nc\n"
    assert "no such file" in fails(read_text, [one, tmp_path / "z"])


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files_are_known_by_their_bytes(tmp_path, compress):
    text = "é\nb\n".encode()
    assert read_lines(write(tmp_path / "x.txt", compress(text))) == ["é", "b"]
    assert read_lines(write(tmp_path / "plain.gz", b"a\n")) == ["a"]
    assert "empty" in fails(read_lines, write(tmp_path / "x", compress(b"")))
    long = compress(b" ".join(b"%d" % i for i in range(5000)))
    for cut in (30, len(long) // 2, len(long) - 5):
        assert "cannot be read" in fails(read_lines, write(tmp_path / "x", long[:cut]))
    table = write(tmp_path / f"x.csv.{compress.__module__[:2]}", compress(b"a,b\n"))
    assert read_table(table.rename(table.with_suffix({"lz": ".xz"}.get(table.suffix[1:], ".gz"))))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("Ein Satz, mit Punkt.\n".encode("utf-16"), "UTF-16"),
        ("Ein Satz.\n".encode("utf-16-le"), "UTF-16"),
        ("Ein Satz.\n".encode("utf-16-be"), "UTF-16"),
        ("\ufeff你好\n".encode("utf-16-be"), "UTF-16"),
        ("Ein Satz.\n".encode("utf-32"), "UTF-32"),
        (b"PK\x03\x04\x14\x00\x00\x00", "zip"),
        (b"\x28\xb5\x2f\xfd\x04\x00", "Zstandard"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "7-Zip"),
        (b"%PDF-1.7\n", "PDF"),
    ],
)
def test_other_formats_are_named(tmp_path, data, name):
    assert name in fails(read_lines, write(tmp_path / "x", data))
    assert name in fails(read_lines, write(tmp_path / "x", gzip.compress(data)))


def test_text_may_hold_zeros(tmp_path):
    assert read_lines(write(tmp_path / "x", b"a\0b\n\0\n")) == ["a\0b", "\0"]
    assert read_lines(write(tmp_path / "x", b"\0\0\0\0")) == ["\0" * 4]


def test_bad_files(tmp_path):
    assert "no such file" in fails(read_lines, tmp_path / "missing")
    assert "empty" in fails(read_lines, write(tmp_path / "x", b""))
    assert "empty" in fails(read_lines, write(tmp_path / "x", gzip.compress(b"")))
    damaged = gzip.compress(b"some words " * 100)[:-20]
    assert "cannot be read" in fails(read_lines, write(tmp_path / "x", damaged))
    assert "cannot be read" in fails(read_lines, tmp_path)


def test_a_line_that_is_not_utf8_is_named(tmp_path):
    path = write(tmp_path / "x", b"one\nab\xe9d\nthree\n")
    assert fails(read_lines, path) == f"{path}, line 2: not UTF-8 (byte 0xe9 at column 3)"


def test_parallel_files_must_match(tmp_path):
    source, target = write(tmp_path / "s", b"1\n2\n3\n"), write(tmp_path / "t", b"a\nb\n")
    message = fails(read_parallel, source, target)
    assert "as many lines" in message and "with 3" in message and "with 2" in message
    assert read_parallel(source, source) == (["1", "2", "3"],) * 2


def test_pairs(tmp_path):
    path = write(tmp_path / "p", b"Go.\tVa !\tCC-BY\nHi\tSalut\n")
    assert read_pairs(path) == (["Go.", "Hi"], ["Va !", "Salut"])
    message = fails(read_pairs, write(path, b"a\tb\nno tab\n"))
    assert message.startswith(f"{path}, line 2: ") and "tab" in message


def test_tables_have_tabs_or_commas(tmp_path):
    tabs = write(tmp_path / "x.tsv", b' He said: "no", twice\tneg\nb\tpos\n')
    commas = b'" He said: ""no"", twice",neg\r\nb,pos\r\n'
    expected = ['He said: "no", twice', "b"], ["neg", "pos"]
    assert read_table(tabs) == expected
    assert read_table(write(tmp_path / "x.csv", commas)) == expected
    assert read_table(write(tmp_path / "y.csv.gz", gzip.compress(commas))) == expected


def test_table_columns_by_name_or_position(tmp_path):
    path = write(tmp_path / "x", b"id\tstars\treview\n1\t5\tgood\n2\t1\tbad\n")
    expected = ["good", "bad"], ["5", "1"]
    assert read_table(path, "review", "stars") == expected
    assert read_table(path, 3, "stars") == read_table(path, "3", "stars") == expected
    assert read_table(path, 3, 2) == (["review", *expected[0]], ["stars", *expected[1]])


@pytest.mark.parametrize(
    ("data", "columns", "said"),
    [
        (b"a\tb\nc\n", (), ", line 2: expected at least 2 columns. Received: 1"),
        (b"a\tb\n\nc\td\n", (), ", line 2: expected at least 2 columns. Received: 1"),
        (b"a\tb\n  \tc\n", (), ", line 2: expected a text in column 1. Received: none"),
        (b"a\tb\nc\t\n", (), ", line 2: expected a label in column 2. Received: none"),
        (b"t\tl\na\tb\n", ("t", "label"), "1: expected a column named 'label'. Received: t, l"),
        (b"t\tl\n", ("t", "l"), "after the header. Received: none"),
        (b"t\tl\n", (1, 0), "from 1. Received: 0"),
        (b"t\tl\n", (1, 3), ", line 1: expected at least 3 columns. Received: 2"),
        (b"t\tl\na, b\tc\td\n", (), ", line 2: expected 2 columns as in line 1. Received: 3"),
        (b"t\tl\tn\na\tb\n", (), ", line 2: expected 3 columns as in line 1. Received: 2"),
        (b"t\tl\n1\t2\t3\n", ("t", "l"), ", line 2: expected 2 columns as in line 1. Received: 3"),
        (b"t\tl\na\tb\n", (2, "l"), "in two columns. Received: both in column 2"),
        (b"t\tl\na\tb\n", (1, 1), "in two columns. Received: both in column 1"),
        (
            b"t\ta\nt\tc\n",
            (1, 2, ["a", "b"]),
            ", line 2: expected one of the labels a, b. Received: 'c'",
        ),
    ],
)
def test_bad_tables(tmp_path, data, columns, said):
    path = write(tmp_path / "x", data)
    message = fails(read_table, path, *columns)
    assert message.startswith(str(path)) and message.endswith(said)


def test_csv_lines_inside_quotes_count(tmp_path):
    path = write(tmp_path / "x.csv", b'"two\nlines",a\nb,c\nd\n')
    assert "line 4: expected at least 2 columns" in fails(read_table, path)
    more = write(path, b'"two\nlines",a\nNot good, really,neg\n')
    assert "line 3: expected 2 columns as in line 1. Received: 3" in fails(read_table, more)
    assert read_table(write(path, b'"two\nlines",a\nb,c\n'))[0] == ["two lines", "b"]
    assert "line 2: expected comma-separated" in fails(read_table, write(path, b'a,b\n"c,d\ne,f\n'))


def test_long_fields_are_read(tmp_path):
    text = "word " * 60_000
    path = write(tmp_path / "x.csv", f'"{text}",a\nb,a\n'.encode())
    assert read_table(path) == ([text.strip(), "b"], ["a", "a"])


def test_labels_as_numbers(tmp_path):
    path = write(tmp_path / "x", b"a\t1\nb\t-.5\nc\t 2.5e1 \n")
    assert read_table(path, numbers=True) == (["a", "b", "c"], [1.0, -0.5, 25.0])
    for found in ("nan", "inf", "-Infinity", "1e999", "1_0", "0x1", "1,5", "none"):
        write(path, f"label\ta\n1\tb\n{found}\tc\n".encode())
        message = f"line 3: expected a finite number as label. Received: '{found}'"
        with pytest.raises(TextError, match=message):
            read_table(path, text_column="a", label_column="label", numbers=True)


def test_a_first_line_that_looks_like_a_header(tmp_path):
    path = write(tmp_path / "x", b"text\tlabel\na\tpos\nb\tneg\nc\tpos\n")
    with pytest.warns(UserWarning, match=r"line 1: the label 'label' is no other line's"):
        assert read_table(path)[1] == ["label", "pos", "neg", "pos"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_table(path, header=True) == (["a", "b", "c"], ["pos", "neg", "pos"])
        assert read_table(path, header=True, text_column="text")[1] == ["pos", "neg", "pos"]
        read_table(write(path, b"a\tpos\nb\tneg\nc\tpos\n"))
        read_table(write(path, b"a\t0.5\nb\t0.25\nc\t0.125\n"))
