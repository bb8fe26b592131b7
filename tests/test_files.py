import errno
import os

import pytest

from keras_transformer.files import (
    UNFINISHED,
    digest,
    remove_unfinished,
    write_whole,
    written_whole,
)


def test_a_file_is_what_it_was_until_all_is_written(tmp_path):
    path = tmp_path / "a.txt"
    write_whole(path, "before")
    with written_whole(path) as unfinished:
        unfinished.write_text("after")
        assert path.read_text() == "before"
        assert unfinished.suffix == path.suffix
    assert path.read_text() == "after"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError(errno.ENOSPC, "full")])
def test_what_fails_leaves_what_was_there_and_nothing_else(tmp_path, error):
    path = tmp_path / "a"
    write_whole(path, b"before")
    with pytest.raises((KeyboardInterrupt, ValueError, OSError)), written_whole(path) as unfinished:
        unfinished.write_text("half")
        raise error
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("operation", ["fsync", "replace"])
def test_a_full_disk_is_one_sentence_with_the_path(tmp_path, monkeypatch, operation):
    def fail(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a"
    write_whole(path, "before")
    monkeypatch.setattr(os, operation, fail)
    with pytest.raises(OSError, match=r"/a could not be written: No space left on device$"):
        write_whole(path, "after")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["a"]


def test_the_file_is_on_the_disk_before_it_has_its_name_and_the_name_before_it_is_said(
    tmp_path, monkeypatch
):
    done = []
    monkeypatch.setattr(os, "fsync", lambda file: done.append(os.readlink(f"/proc/self/fd/{file}")))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("named"), replace(*paths)))
    write_whole(tmp_path / "a", "text")
    assert done == [str(tmp_path / f"{UNFINISHED}a"), "named", str(tmp_path)]


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / "below").mkdir()
    for name in ("a", f"{UNFINISHED}a", f"below/{UNFINISHED}b"):
        (tmp_path / name).write_text("")
    remove_unfinished(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "below"]


def test_a_digest_is_of_what_a_file_holds(tmp_path):
    for name, text in (("a", "text"), ("b", "text"), ("c", "Text")):
        write_whole(tmp_path / name, text)
    a, b, c = (digest(tmp_path / name) for name in "abc")
    assert a == b != c
