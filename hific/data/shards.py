"""Photos in shards: tar files of a gigabyte or so, on a disk or behind a URL, for corpora of more files than a file
system likes and more bytes than a disk has.

    DST/index.json          splits, the shards of each, and how many photos
        train.npy           where each photo lies: shard, offset, bytes, width, height
        train-000000.tar    000000000.jpg 000000001.png ...: the files as they were, or their pixels as .npy

The tars are WebDataset's, which other programs stream. Here a photo is read by its place, as from a folder: so the
order is the data module's, a shuffle of all photos by seed and pass, which resumes at any batch and deals each photo
once to whatever ranks and workers. A URL is asked for the bytes of one photo at a time.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from hific.data.source import SPLITS, Split, data_not_found
from hific.errors import DataNotFoundError, ImageError, OptionError, in_a_line
from hific.io.file_systems import is_url, read_bytes
from hific.io.read_image import read_image

INDEX, FORMAT, VERSION = "index.json", "hific shards", 1
PIXELS = ".npy"
PLACE = np.dtype([("shard", "<u4"), ("offset", "<u8"), ("bytes", "<u8"), ("width", "<u4"), ("height", "<u4")])
"""Of a photo: number of its shard, where its file begins in it, its bytes, its size as stored."""
TREE = "<root>/index.json, <root>/train.npy, <root>/train-000000.tar ..."
ORIGIN = "hific shards make FOLDER DST, of your own photos"


@dataclass(frozen=True)
class StoredPhoto:
    """One photo of a shard; width and height as stored, before any rotation that its file asks for."""

    root: str
    shard: str
    offset: int
    num_bytes: int
    width: int
    height: int

    @property
    def name(self) -> str:
        return f"{self.shard}, byte {self.offset}"

    def __str__(self) -> str:
        return f"{self.root}/{self.name}"

    def read(self) -> NDArray[np.uint8]:
        """uint8 [H, W, 3]; of pixels on a disk a map, of which only what is cut out is read. ImageError where it cannot
        be read."""
        try:
            if self._is_map:
                return self._mapped()
            data = read_bytes(self.root, self.shard, self.offset, self.num_bytes)
        except OSError as error:
            raise ImageError(f"{self}: {in_a_line(error)}") from error
        if data[:6] == b"\x93NUMPY":
            return _checked(np.load(io.BytesIO(data), allow_pickle=False), self)
        return read_image(io.BytesIO(data), name=str(self)).array

    @property
    def _is_map(self) -> bool:
        return not is_url(self.root) and self.num_bytes >= 3 * self.width * self.height and self._has_pixels

    @property
    def _has_pixels(self) -> bool:
        return read_bytes(self.root, self.shard, self.offset, 6) == b"\x93NUMPY"

    def _mapped(self) -> NDArray[np.uint8]:
        # A header of numpy's format is padded to a multiple of 64 bytes; what is behind it are the pixels.
        start = self.offset + self.num_bytes - 3 * self.width * self.height
        shape = (self.height, self.width, 3)
        pixels = np.memmap(os.path.join(self.root, self.shard), np.uint8, "r", start, shape)
        return _checked(pixels, self)


def _checked(pixels: NDArray[Any], photo: StoredPhoto) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8 or pixels.shape != (photo.height, photo.width, 3):
        raise ImageError(f"{photo}: not the pixels that the index says")
    return pixels


class StoredPhotos(Sequence[StoredPhoto]):
    """Of one split; takes 28 bytes a photo."""

    def __init__(self, root: str, shards: Sequence[str], places: NDArray[Any]) -> None:
        self.root, self.shards, self.places = root, tuple(shards), places

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> StoredPhoto: ...
    @overload
    def __getitem__(self, index: slice) -> StoredPhotos: ...
    def __getitem__(self, index: int | slice) -> StoredPhoto | StoredPhotos:
        if isinstance(index, slice):
            return StoredPhotos(self.root, self.shards, self.places[index])
        shard, *numbers = self.places[index].tolist()
        return StoredPhoto(self.root, self.shards[shard], *numbers)

    def by_side(self, minimum_side: int) -> tuple[StoredPhotos, StoredPhotos]:
        """Those whose shorter side is so long, and the others."""
        large = np.minimum(self.places["width"], self.places["height"]) >= minimum_side
        if large.all():  # a map of a file stays one
            return self, self[:0]
        return (StoredPhotos(self.root, self.shards, self.places[chosen]) for chosen in (large, ~large))  # type: ignore[return-value]


class Shards:
    """What `hific shards make` has made, in a folder or below any URL that fsspec opens (s3://, gs://, https://).

    Raises DataNotFoundError where there is no index, or one that is damaged.
    """

    name = "shards"

    def __init__(self, root: str | Path) -> None:
        self.root = str(root).rstrip("/") if is_url(str(root)) else str(Path(root).expanduser())

    def files(self, split: Split) -> StoredPhotos:
        """All photos of a split; none where the shards have none of it."""
        index = read_index(self.root)
        entry = index["splits"].get(split)
        if entry is None:
            return StoredPhotos(self.root, (), np.zeros(0, PLACE))
        try:
            places = self._places(f"{split}.npy")
            if places.dtype != PLACE or len(places) != entry["photos"]:
                raise ValueError("its length is another than index.json says")
            if len(places) and int(places["shard"].max()) >= len(entry["shards"]):
                raise ValueError("it names shards that there are not")
        except (OSError, ValueError, EOFError, TypeError) as error:
            raise self._damaged(f"{split}.npy: {in_a_line(error)}") from error
        return StoredPhotos(self.root, entry["shards"], places)

    def _places(self, name: str) -> NDArray[Any]:
        if is_url(self.root):
            places: NDArray[Any] = np.load(io.BytesIO(read_bytes(self.root, name)), allow_pickle=False)
            return places
        # A map: workers and ranks of a machine share one copy.
        mapped: NDArray[Any] = np.load(os.path.join(self.root, name), mmap_mode="r", allow_pickle=False)
        return mapped

    def _damaged(self, problem: str) -> DataNotFoundError:
        return data_not_found(f"shards: {self.root} is damaged ({problem})", tree=TREE, origin=ORIGIN)


def read_index(root: str) -> dict[str, Any]:
    """index.json. DataNotFoundError where there is none, or not of this format."""
    try:
        index = json.loads(read_bytes(root, INDEX))
        if index["format"] != FORMAT or index["version"] != VERSION:
            raise ValueError(f"format {index['format']}, version {index['version']}")
        for split, entry in index["splits"].items():
            if split not in SPLITS or not isinstance(entry["photos"], int) or not isinstance(entry["shards"], list):
                raise ValueError(f"split {split}")
            if any(os.path.basename(name) != name for name in entry["shards"]):
                raise ValueError("names of shards that lead elsewhere")
    except OptionError:
        raise
    except FileNotFoundError as error:
        raise data_not_found(f"shards: {root} has no {INDEX}", tree=TREE, origin=ORIGIN) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"shards: {root}/{INDEX} cannot be read ({in_a_line(error)})"
        raise data_not_found(problem, tree=TREE, origin=ORIGIN) from error
    found: dict[str, Any] = index
    return found
