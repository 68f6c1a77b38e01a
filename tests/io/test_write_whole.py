"""What a failed or killed write leaves, and says."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hific.errors import FileRefusedError
from hific.io import write_whole as module
from hific.io.write_whole import check_target, write_whole


def test_errors_name_what_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(partial: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(partial), None, str(target))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match=r"photo\.hfc") as error:
        write_whole(tmp_path / "photo.hfc", b"abc")
    assert ".part" not in str(error.value) and error.value.errno == errno.EXDEV
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_files_is_named_by_the_file(tmp_path: Path) -> None:
    name = tmp_path / ("x" * 400)
    with pytest.raises(OSError, match=r"(?i)name too long") as error:
        write_whole(name / "photo.hfc", b"abc")
    assert ".part" not in str(error.value)


def test_what_killed_runs_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    old, young, other = (tmp_path / name for name in (".hific-1-ab.part", ".hific-2-cd.part", "mine.part"))
    for path in (old, young, other):
        path.write_bytes(b"half")
    day_before = os.stat(young).st_mtime - module.ABANDONED - 60
    for path in (old, other):
        os.utime(path, (day_before, day_before))
    write_whole(tmp_path / "photo.hfc", b"abc")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hific-2-cd.part", "mine.part", "photo.hfc"]


def test_where_nothing_can_be_written_is_known_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    for path in (tmp_path / "file" / "photo.hfc", tmp_path / "file" / "below" / "photo.hfc"):
        with pytest.raises(FileRefusedError, match="file is not a folder: write elsewhere with -o"):
            check_target(path, force=True)
    check_target(tmp_path / "not" / "yet" / "photo.hfc", force=False)
    assert [one.name for one in tmp_path.iterdir()] == ["file"], "nothing is made"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    for path in (tmp_path / "photo.hfc", tmp_path / "new" / "photo.hfc"):
        with pytest.raises(FileRefusedError, match=f"no permission to write into {tmp_path}: write elsewhere with -o"):
            check_target(path, force=True)
