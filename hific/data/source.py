"""What a set of photos is to the rest of the project: a name, the files of each split, and what headers say of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Literal, Protocol

from hific.errors import DataNotFoundError, ImageError
from hific.io.read_image import image_size, image_suffixes

Split = Literal["train", "val", "test"]


class ImageSource(Protocol):
    """A set of photos on disk; it lists files and reads none of them.

    `files` gives the same list, in the same order, on every machine that holds the same files. It is empty for a split
    that the set does not have, and raises `DataNotFoundError` for one that it has but that is missing or incomplete.
    """

    name: str

    def files(self, split: Split) -> list[Path]: ...


def data_not_found(problem: str, *, tree: str, origin: str) -> DataNotFoundError:
    """The error to raise: `problem` in one sentence, `tree` as it should look, `origin` as an address or a command."""
    return DataNotFoundError(f"{problem}\nexpected:\n{indent(tree.strip(), '    ')}\nobtained from: {origin}")


def list_images(folder: Path) -> list[Path]:
    """All image files below `folder`, links followed, sorted by their path relative to it; empty if there is none.

    Each real file once, whatever links lead to it: a photo must not be in two splits. Its own path stands for it where
    that lies below `folder`, else the first.
    """
    suffixes = image_suffixes()
    found: list[Path] = []
    for directory, names in _walk(folder):
        paths = (Path(directory, name) for name in names if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in suffixes]
    ordered = sorted(found, key=lambda path: (path.is_symlink(), path.relative_to(folder).as_posix()))
    once = {os.path.realpath(path): path for path in reversed(ordered)}
    return sorted(once.values(), key=lambda path: path.relative_to(folder).as_posix())


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Each folder and the names of its files, through links too, but each real folder once: links come last."""
    visited = {os.path.realpath(folder)}
    waiting = [folder]
    while waiting:
        linked: list[str] = []
        for directory, subfolders, names in os.walk(waiting.pop(0)):
            # Archives packed on a Mac bring a __MACOSX folder of files that have image names and hold no image.
            subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and name != "__MACOSX")
            for name in list(subfolders):
                path = os.path.join(directory, name)
                if os.path.islink(path):
                    subfolders.remove(name)
                    linked.append(path)
                elif os.path.realpath(path) in visited:
                    subfolders.remove(name)
                else:
                    visited.add(os.path.realpath(path))
            yield directory, names
        for path in linked:
            real = os.path.realpath(path)
            if real not in visited:
                visited.add(real)
                waiting.append(Path(path))


def require_files(files: Iterable[Path], *, name: str, tree: str, origin: str) -> list[Path]:
    """The files as a list; `DataNotFoundError` with the count and the first missing one if any is not there."""
    files = list(files)
    missing = [path for path in files if not path.is_file()]
    if missing:
        problem = f"{name}: {len(missing)} of {len(files)} files are missing, the first is {missing[0]}"
        raise data_not_found(problem, tree=tree, origin=origin)
    return files


def require_count(found: list[Path], expected: int, *, where: Path, name: str, tree: str, origin: str) -> list[Path]:
    """`found` itself; `DataNotFoundError` if it has fewer than `expected` files: a download or unpacking broke off."""
    if len(found) < expected:
        problem = f"{name}: {where} " + (f"has {len(found)} images of {expected}" if where.is_dir() else "is missing")
        raise data_not_found(problem, tree=tree, origin=origin)
    return found


# Opening a file waits for the disk or the network far more than for Python.
THREADS = 8


@dataclass(frozen=True)
class HeaderScan:
    """`usable` keeps the order given; `unreadable` files have no header of a format that is read."""

    usable: tuple[Path, ...]
    too_small: tuple[Path, ...]
    unreadable: tuple[Path, ...]


def scan_headers(files: Sequence[Path], minimum_side: int) -> HeaderScan:
    """Sorts files by whether their shorter side, before or after rotation, is at least `minimum_side` pixels.

    About 0.1 ms a file on a local disk. A header says nothing on the pixels: a file cut off in its middle is found
    when it is read.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        sides = list(pool.map(_shorter_side, files))
    known = [(path, side) for path, side in zip(files, sides, strict=True) if side is not None]
    return HeaderScan(
        usable=tuple(path for path, side in known if side >= minimum_side),
        too_small=tuple(path for path, side in known if side < minimum_side),
        unreadable=tuple(path for path, side in zip(files, sides, strict=True) if side is None),
    )


def _shorter_side(path: Path) -> int | None:
    try:
        return min(image_size(path))
    except ImageError:
        return None
