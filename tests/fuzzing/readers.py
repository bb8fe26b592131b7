"""Files of text: lines, parallel files, pairs and tables."""

import bz2
import csv
import gzip
import io
import lzma

from hypothesis import strategies as st

from fuzzing import mutation
from fuzzing.judging import Target
from keras_transformer.text import read_lines, read_pairs, read_parallel, read_table
from keras_transformer.text.corpus import read_text

PLAIN = "A dog runs.\tEin Hund rennt.\r\nŠ…\t\u2028x\n😀\t,\n".encode()
TABLE = b'text,label\n"Good, cheap.",5\n"A ""b""\nc",1\nBad.,2\n'
COMPRESS = [
    lambda data: data,
    lambda data: gzip.compress(data, mtime=0),
    bz2.compress,
    lzma.compress,
]
COLUMNS = None, 1, 2, 3, 0, -1, "1", "2", "text", "label", "", "²"


def broken_file(rng, seeds):
    """A file, compressed or not, broken before that or after."""
    data, compress = rng.choice(seeds), rng.choice(COMPRESS)
    if rng.random() < 0.6:
        data = mutation.mutated(rng, data)
    data = compress(data)
    return mutation.mutated(rng, data) if rng.random() < 0.3 else data


def lines(folder):
    path = folder / "lines.txt"
    seeds = [PLAIN, b"one\ntwo\n", "über".encode("utf-16"), "über".encode("utf-8-sig"), b""]

    def whole(found):
        assert found and not any("\n" in line for line in found)
        assert read_text([path]) == "".join(f"{line}\n" for line in found)

    def parallel(found):
        assert found[0] == found[1]

    def in_columns(found):
        assert len(found[0]) == len(found[1]) > 0

    readers = [
        (read_lines, whole),
        (lambda path: read_parallel(path, path), parallel),
        (read_pairs, in_columns),
    ]

    def check(example):
        which, data = example
        path.write_bytes(data)
        read, look = readers[which]
        look(read(path))

    return lambda rng: (rng.randrange(3), broken_file(rng, seeds)), check


def written_lines(folder):
    """Lines come back as they were written."""
    path = folder / "lines.txt"
    line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=20)
    source = st.tuples(
        st.lists(line, min_size=1, max_size=6), st.sampled_from(COMPRESS), st.booleans()
    )

    def check(example):
        written, compress, ends = example
        data = "\n".join(written).encode() + b"\n" * ends
        path.write_bytes(compress(data))
        found = read_lines(path)
        if not ends and not written[-1]:
            written = written[:-1]  # the newline before it is the end of the last line
        expected = [line.removesuffix("\r") for line in written]
        expected[0] = expected[0].removeprefix("\ufeff")
        assert found == expected, found

    return source, check


def tables(folder):
    def source(rng):
        data = broken_file(rng, [TABLE, PLAIN, b"a\tb\nc\td\n"])
        columns = (rng.choice(COLUMNS), rng.choice(COLUMNS)) if rng.random() < 0.3 else (None, None)
        classes = ["5", "1", "2"] if rng.random() < 0.2 else None
        name = "t.csv" if data in (TABLE,) or rng.random() < 0.7 else "t.tsv"
        return data, name, *columns, classes, rng.random() < 0.3, rng.random() < 0.1

    def check(example):
        data, name, *options = example
        path = folder / name
        path.write_bytes(data)
        texts, labels = read_table(path, *options)
        assert 0 < len(texts) == len(labels)
        assert all(text == text.strip() and text for text in texts)

    return source, check


def written_tables(folder):
    """Cells come back as they were written."""
    cell = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=9)
    cell = cell.map(str.strip).filter(bool)
    source = st.lists(st.tuples(cell, cell), min_size=1, max_size=5)
    path = folder / "t.csv"

    def check(rows):
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("text", "label"), *rows])
        path.write_text(text.getvalue(), newline="")
        texts, labels = read_table(path, "text", "label")
        assert list(zip(texts, labels, strict=True)) == rows

    return source, check


TARGETS = {
    "lines": Target(150_000, lines),
    "lines, written": Target(6_000, written_lines),
    "tables": Target(100_000, tables),
    "tables, written": Target(6_000, written_tables),
}
