"""What a set of photos is to the rest of the project: a name, the files of each split, and what headers say of them.

And the set that needs no name: any folder of photos, or several, split by subfolders where there are some, else by a
hash of the file's name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from textwrap import indent
from typing import Generic, Literal, Protocol, TypeVar

from hific.errors import DataNotFoundError, ImageError
from hific.io.read_image import image_size, image_suffixes

Split = Literal["train", "val", "test"]
Kind = TypeVar("Kind", covariant=True)


class ImageSource(Protocol):
    """A set of photos on disk; it lists files and reads none of them.

    `files` gives the same list, in the same order, on every machine that holds the same files. It is empty for a split
    that the set does not have, and raises `DataNotFoundError` for one that it has but that is missing or incomplete.
    """

    name: str

    def files(self, split: Split) -> Sequence[Path]: ...


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
class HeaderScan(Generic[Kind]):
    """`usable` keeps the order given; `unreadable` files have no header of a format that is read."""

    usable: Sequence[Kind]
    too_small: Sequence[Kind]
    unreadable: Sequence[Kind]


def scan_headers(files: Sequence[Path], minimum_side: int) -> HeaderScan[Path]:
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


SPLITS: tuple[Split, ...] = ("train", "val", "test")
FOLDER_TREE = """
<root>/train/, <root>/val/, <root>/test/    images at any depth; val and test may be absent
or
<root>/                                     images at any depth, split by a hash of their names
"""
FOLDER_ORIGIN = "your own photos: data.root=FOLDER, or data.root=[FOLDER,FOLDER]"


class ImageFolder:
    """Photos below one root or several; each root is split by itself.

    A root with folders named `train`, `val` or `test` gives each split its folder. Where only `val` is absent,
    `val_fraction` of `train` is taken for it, so that a run always has something to validate on. Any other root is
    flat. Fractions are drawn by the SHA-256 of the path inside the folder: a photo keeps its split when others are
    added. Small folders are the exception: of three or more photos at least one is validated on and one tested on.

    Raises `DataNotFoundError` for a root that is missing or holds no image, `ValueError` for a root inside another
    (one photo could be in two splits) and for fractions that leave nothing to train on.
    """

    name = "folder"

    def __init__(
        self, root: str | Path | Iterable[str | Path], *, val_fraction: float = 0.05, test_fraction: float = 0.05
    ) -> None:
        if min(val_fraction, test_fraction) < 0 or val_fraction + test_fraction >= 1:
            raise ValueError(f"folder: val_fraction {val_fraction} and test_fraction {test_fraction} leave no train")
        self.roots = [Path(one).expanduser() for one in ([root] if isinstance(root, str | Path) else root)]
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        _refuse_nested(self.roots)

    def files(self, split: Split) -> list[Path]:
        return [path for root in self.roots for path in self._root_files(root, split)]

    def _root_files(self, root: Path, split: Split) -> list[Path]:
        if not root.is_dir():
            raise data_not_found(f"folder: {root} is missing", tree=FOLDER_TREE, origin=FOLDER_ORIGIN)
        if not any((root / name).is_dir() for name in SPLITS):
            return _split_by_hash(root, self.val_fraction, self.test_fraction)[split]
        if (root / split).is_dir():
            whole_train = split != "train" or (root / "val").is_dir()
            return _require_images(root / split) if whole_train else self._split_train(root)["train"]
        return self._split_train(root)["val"] if split == "val" and (root / "train").is_dir() else []

    def _split_train(self, root: Path) -> dict[Split, list[Path]]:
        return _split_by_hash(root / "train", self.val_fraction, 0.0)


def _require_images(folder: Path) -> list[Path]:
    found = list_images(folder)
    if not found:
        raise data_not_found(f"folder: {folder} holds no image", tree=FOLDER_TREE, origin=FOLDER_ORIGIN)
    return found


def _split_by_hash(folder: Path, val: float, test: float) -> dict[Split, list[Path]]:
    """Images by the fraction that the hash of their path inside `folder` is: val below `val`, test from `1 - test`."""
    fractions = {path: _hash_fraction(path.relative_to(folder).as_posix()) for path in _require_images(folder)}
    chosen: dict[Path, Split] = {
        path: "val" if fraction < val else "test" if fraction >= 1 - test else "train"
        for path, fraction in fractions.items()
    }
    if len(chosen) >= 3:
        lowest, *_, highest = sorted(fractions, key=lambda path: fractions[path])
        chosen |= {lowest: "val"} if val else {}
        chosen |= {highest: "test"} if test else {}
    return {split: [path for path in chosen if chosen[path] == split] for split in SPLITS}


def _hash_fraction(name: str) -> float:
    return int.from_bytes(sha256(os.fsencode(name)).digest()[:6], "big") / 2**48


def _refuse_nested(roots: list[Path]) -> None:
    resolved = [root.resolve() for root in roots]
    for number, root in enumerate(resolved):
        for other in resolved[:number] + resolved[number + 1 :]:
            if root.is_relative_to(other):
                raise ValueError(f"folder: {root} is inside {other}: a photo could be in two splits")


class CombinedSource:
    """The files of each source in turn; every photo is drawn equally often, whichever set it is from."""

    def __init__(self, sources: Sequence[ImageSource]) -> None:
        self.sources = tuple(sources)
        self.name = "+".join(source.name for source in self.sources)

    def files(self, split: Split) -> list[Path]:
        return [path for source in self.sources for path in source.files(split)]
