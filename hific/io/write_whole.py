"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from hific.errors import FileRefusedError

_PREFIX, _SUFFIX = ".hific-", ".part"
ABANDONED = 24 * 3600  # seconds


def check_target(path: Path, *, force: bool) -> None:
    """Raises FileRefusedError if `path` exists and may not be replaced, as a device or a pipe never may, or if its
    folder cannot be made or written into."""
    _check_replaceable(path, force=force)
    folder = Path(os.path.realpath(path)).parent
    while not os.path.lexists(folder):  # what there is of it already
        folder = folder.parent
    if not folder.is_dir():
        raise FileRefusedError(f"{path}: {folder} is not a folder: write elsewhere with -o")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileRefusedError(f"{path}: no permission to write into {folder}: write elsewhere with -o")


def _check_replaceable(path: Path, *, force: bool) -> None:
    if path.exists() and not path.is_file():
        raise FileRefusedError(f"{path} is not a regular file")
    if not force and path.exists():
        raise FileRefusedError(
            f"{path} exists: write elsewhere with -o NAME or -o FOLDER/, or overwrite it with --force"
        )


def write_whole(path: Path, data: bytes | str, *, force: bool = True) -> None:
    """Writes beside the target, to disk, then renames: after a crash or Ctrl-C there is the old file, the new one, or
    none. Text is UTF-8. Folders are made. Through a symbolic link the file that it leads to is replaced.
    """
    content = data.encode() if isinstance(data, str) else data
    write_whole_by(path, lambda file: file.write(content), force=force)


def write_whole_by(path: Path, write: Callable[[BinaryIO], object], *, force: bool = True) -> None:
    """The same with what `write` puts into the file."""
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target.parent)
    partial = target.with_name(f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}")
    try:
        with open(partial, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        _check_replaceable(path, force=force)
        os.replace(partial, target)
    except OSError as error:
        # Of what was asked for: nobody knows the partial file.
        if str(partial) in (error.filename, error.filename2):
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_folder_whole(path: Path, files: Mapping[str, bytes], *, check: Callable[[Path], object]) -> None:
    """A folder of `files`, by their relative paths, in place of what is at `path`: `check` raises where that must stay.

    Written beside it, to disk, then renamed: after a crash there is the old folder, the new one, or for the moment
    between two renames the old one under a name of ours.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target.parent)
    partial, old = (
        target.with_name(f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}") for _ in ("partial", "old")
    )
    try:
        for name, content in files.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            with open(partial / name, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        check(path)
        if target.exists():
            os.replace(target, old)
        try:
            os.replace(partial, target)
        except OSError:
            if old.exists():
                os.replace(old, target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@cache
def _remove_abandoned(folder: Path) -> None:
    """Partial files of killed processes: old ones, since another machine's may be at work there. Once a folder."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX):
                with suppress(OSError):
                    if time.time() - entry.stat().st_mtime > ABANDONED:
                        if entry.is_dir(follow_symlinks=False):
                            shutil.rmtree(entry.path)
                        else:
                            os.unlink(entry.path)
