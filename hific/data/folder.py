"""Any folder of photos, or several: split by subfolders where there are some, else by a hash of the file's name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

from hific.data.source import ImageSource, Split, data_not_found, list_images

SPLITS: tuple[Split, ...] = ("train", "val", "test")
TREE = """
<root>/train/, <root>/val/, <root>/test/    images at any depth; val and test may be absent
or
<root>/                                     images at any depth, split by a hash of their names
"""
ORIGIN = "your own photos: data.root=FOLDER, or data.root=[FOLDER,FOLDER]"


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
            raise data_not_found(f"folder: {root} is missing", tree=TREE, origin=ORIGIN)
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
        raise data_not_found(f"folder: {folder} holds no image", tree=TREE, origin=ORIGIN)
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
