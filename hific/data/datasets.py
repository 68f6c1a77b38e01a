"""Photos as tensors: training crops by position, whole photos by number; the loader of crops."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hific.data.sample_order import PositionBatchSampler, augmentation_generator, photo_index
from hific.data.transforms import RandomCrop, center_crop, equalize_lightness
from hific.errors import ImageError
from hific.io.read_image import read_image

# A log, not Python's warnings: it reaches the run's own log file from within a worker, where warnings may be lost.
log = logging.getLogger(__name__)


class PhotoReader:
    """Reads photo number i as uint8 [H, W, 3], equalized if `clahe`.

    A photo that cannot be decoded is replaced by the next one that can, always by the same; each process says so once
    in its log, at level warning. If none can, the last `ImageError` is raised.

    Up to `cache_mb` of decoded photos are kept in each process: small sets are then decoded once, and large ones gain
    what fits. None is ever evicted, since a shuffled pass over more than fits would evict every photo before its next
    use.
    """

    def __init__(self, files: Sequence[Path], *, clahe: bool = False, cache_mb: int = 0) -> None:
        self.files = tuple(files)
        self.clahe = clahe
        self._free_bytes = cache_mb * 2**20
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._damaged: set[int] = set()

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> NDArray[np.uint8]:
        if not 0 <= index < len(self.files):
            raise IndexError(f"photo {index} of {len(self.files)}")
        for offset in range(len(self.files) - 1):
            candidate = (index + offset) % len(self.files)
            try:
                return self._read_one(candidate)
            except ImageError as error:
                self._report(candidate, error)
        return self._read_one((index - 1) % len(self.files))

    def _report(self, index: int, error: ImageError) -> None:
        if index not in self._damaged:
            self._damaged.add(index)
            log.warning("%s; %s is used instead", error, self.files[(index + 1) % len(self.files)].name)

    def _read_one(self, index: int) -> NDArray[np.uint8]:
        if index in self._kept:
            return self._kept[index]
        image = read_image(self.files[index]).array
        image = equalize_lightness(image) if self.clahe else image
        if image.nbytes <= self._free_bytes:
            self._kept[index] = image
            self._free_bytes -= image.nbytes
        return image


class TrainingCrops(Dataset[Tensor]):
    """The crop at a position of the run's stream (see `sample_order`): uint8 [3, crop, crop]."""

    def __init__(self, reader: PhotoReader, transform: RandomCrop, *, seed: int) -> None:
        self.reader, self.transform, self.seed = reader, transform, seed

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, position: int) -> Tensor:
        image = self.reader.read(photo_index(self.seed, position, len(self.reader)))
        return _to_tensor(self.transform(image, augmentation_generator(self.seed, position)))


class WholePhotos(Dataset[Tensor]):
    """Photos in the order of their source, the center of at most `most` pixels a side: uint8 [3, H, W]."""

    def __init__(self, reader: PhotoReader, *, most: int | None) -> None:
        self.reader, self.most = reader, most

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: int) -> Tensor:
        return _to_tensor(center_crop(self.reader.read(index), self.most))


def _to_tensor(image: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


class ResumableLoader(DataLoader[Tensor]):
    """A loader whose place in the stream is the trainer's own count of batches, so that it has no state to restore.

    What it stores in a checkpoint is what the stream depends on besides: on a resume with other values the run goes
    on, but not as the unbroken one would have, and a warning says so.
    """

    dataset: TrainingCrops

    def state_dict(self) -> dict[str, Any]:
        sampler = self.batch_sampler
        assert isinstance(sampler, PositionBatchSampler)
        return {
            "seed": self.dataset.seed,
            "photos": len(self.dataset),
            "batch": sampler.batch_size * sampler.world_size,
            "epoch_batches": sampler.num_batches,
            "double_from": sampler.double_from,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        changed = {name: (state.get(name), now) for name, now in self.state_dict().items() if state.get(name) != now}
        if changed:
            listed = ", ".join(f"{name} {before} -> {now}" for name, (before, now) in changed.items())
            rank_zero_warn(f"the resumed run draws other batches than an unbroken one would: {listed}")
