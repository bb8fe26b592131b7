"""Readers keep every line, and name what is wrong with a file in one sentence."""

import gzip

import pytest

from keras_transformer.text import TextError, read_lines, read_pairs, read_parallel


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


def test_gzip_is_known_by_its_bytes(tmp_path):
    named_otherwise = write(tmp_path / "x.txt", gzip.compress("é\nb\n".encode()))
    assert read_lines(named_otherwise) == ["é", "b"]
    assert read_lines(write(tmp_path / "plain.gz", b"a\n")) == ["a"]


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
    assert f"{source} has 3 lines" in message and f"{target} has 2" in message
    assert read_parallel(source, source) == (["1", "2", "3"],) * 2


def test_pairs(tmp_path):
    path = write(tmp_path / "p", b"Go.\tVa !\tCC-BY\nHi\tSalut\n")
    assert read_pairs(path) == (["Go.", "Hi"], ["Va !", "Salut"])
    message = fails(read_pairs, write(path, b"a\tb\nno tab\n"))
    assert message.startswith(f"{path}, line 2: ") and "tab" in message
