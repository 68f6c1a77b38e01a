"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from hific.errors import FileRefusedError


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
    partial = target.with_name(f".hific-{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with open(partial, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        check_target(path, force=force)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
