"""Files of a folder, or below a URL that fsspec opens (s3://, gs://, https://, zip://...::...)."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

from hific.errors import OptionError, in_a_line


def is_url(root: str) -> bool:
    return "://" in root


def file_system(root: str) -> tuple[Any, str]:
    """fsspec's of a URL, and the path in it. OptionError where nothing is installed that opens such a URL."""
    return _file_system(root, os.getpid())


@lru_cache(maxsize=8)
def _file_system(root: str, process: int) -> tuple[Any, str]:
    """Anew in each process, since connections do not survive a fork."""
    try:
        import fsspec
    except ImportError as error:
        raise OptionError(f"{root} needs fsspec: pip install 'hific[shards]'") from error
    try:
        system, path = fsspec.core.url_to_fs(root)
    except (ImportError, ValueError, OSError) as error:
        raise OptionError(f"{root} cannot be opened: {in_a_line(error)}") from error
    return system, path


def read_bytes(root: str, name: str, offset: int = 0, count: int | None = None) -> bytes:
    """Of a file in a folder or below a URL; all of it by default. OSError where it is not there or shorter, and of a
    URL whatever its library raises."""
    if is_url(root):
        system, path = file_system(root)
        there = f"{path.rstrip('/')}/{name}" if path.strip("/") else name
        data: bytes = system.cat_file(there, offset, None if count is None else offset + count)
    else:
        with open(os.path.join(root, name), "rb") as file:
            file.seek(offset)
            data = file.read() if count is None else file.read(count)
    if count is not None and len(data) != count:
        raise OSError(f"{root}/{name} ends too early")
    return data
