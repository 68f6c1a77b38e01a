"""What a failed or killed write leaves, and says."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hific.io import write_whole as module
from hific.io.write_whole import write_whole


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
