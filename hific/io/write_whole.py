"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from hific.errors import FileRefusedError

_PREFIX, _SUFFIX = ".hific-", ".part"
ABANDONED = 24 * 3600  # seconds


def check_target(path: Path, *, force: bool) -> None:
    """Raises FileRefusedError if `path` exists and may not be replaced; a device or a pipe never is."""
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
        check_target(path, force=force)
        os.replace(partial, target)
    except OSError as error:
        # Of what was asked for: nobody knows the partial file.
        if str(partial) in (error.filename, error.filename2):
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


@cache
def _remove_abandoned(folder: Path) -> None:
    """Partial files of killed processes: old ones, since another machine's may be at work there. Once a folder."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX):
                with suppress(OSError):
                    if time.time() - entry.stat().st_mtime > ABANDONED:
                        os.unlink(entry.path)
