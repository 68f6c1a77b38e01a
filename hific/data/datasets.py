"""Photos as tensors: training crops by position, whole photos by number; the order and the loader of crops.

Which photo and which augmentation each place in a training run gets are pure functions of (seed, global batch, rank):

    batch b of rank r, slot s  ->  position p = (b * world_size + r) * batch_size + s    (until batches double)
    position p of n photos     ->  pass p // n, photo permutation(seed, pass)[p % n], generator(seed, p)

The stream of positions runs through from the first batch of a run to its last, over passes and epochs alike, so a run
that is resumed needs to know nothing but how many batches were done. It does not depend on the number of workers, and
two ranks of batch size B see together what one of batch size 2 B sees alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from hific.data.shards import StoredPhoto
from hific.data.transforms import RandomCrop, center_crop, equalize_lightness
from hific.errors import ImageError
from hific.io.read_image import read_image

# First word of a seed sequence, so that the two kinds of randomness never share a stream.
ORDER, AUGMENTATION = 1, 2


LARGEST_PERMUTATION = 2**20
"""Photos whose order is drawn as a whole, 8 bytes each in every process; that of more is computed place by place."""


@lru_cache(maxsize=2)  # a batch lies in two passes at most, unless it is larger than the set
def permutation(seed: int, pass_number: int, length: int) -> NDArray[np.int64]:
    """The order of `length` photos in one pass: a shuffle of 0 .. length - 1."""
    return np.random.default_rng((ORDER, seed, pass_number)).permutation(length)


def photo_index(seed: int, position: int, length: int) -> int:
    """Which of `length` photos stands at a position; each occurs once in every pass."""
    pass_number, place = divmod(position, length)
    if length > LARGEST_PERMUTATION:
        return permuted(seed, pass_number, place, length)
    return int(permutation(seed, pass_number, length)[place])


def permuted(seed: int, pass_number: int, place: int, length: int) -> int:
    """What a shuffle of 0 .. length - 1 has at a place, without the others: a Feistel network over the next even power
    of two, gone through again until it falls below `length` (Black and Rogaway 2002), four times on average at most."""
    bits = max(1, -(-(length - 1).bit_length() // 2))
    mask, found = (1 << bits) - 1, place
    keys = _feistel_keys(seed, pass_number)
    while True:
        left, right = found >> bits, found & mask
        for key in keys:
            left, right = right, left ^ (_mixed(right ^ key) & mask)
        found = left << bits | right
        if found < length:
            return found


@lru_cache(maxsize=2)
def _feistel_keys(seed: int, pass_number: int) -> tuple[int, ...]:
    return tuple(int(key) for key in np.random.SeedSequence((ORDER, seed, pass_number)).generate_state(6, np.uint64))


def _mixed(value: int) -> int:
    """64 bits, each depending on all: the finalizer of splitmix64 (Steele et al. 2014)."""
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    value = (value ^ value >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    return value ^ value >> 31


def augmentation_generator(seed: int, position: int) -> np.random.Generator:
    """The source of all that is random about the sample at a position."""
    return np.random.default_rng((AUGMENTATION, seed, position))


class PositionBatchSampler(Sampler[list[int]]):
    """Batches of positions for one rank, `num_batches` an epoch, from the batch that `first_batch()` names.

    `first_batch` is asked whenever an epoch begins or a run is resumed: the count of batches done so far. On a resume
    within an epoch the trainer ends the epoch where it would have ended, before this sampler does. From batch number
    `double_from` on batches hold twice as many positions: those that follow in the same stream.
    """

    def __init__(
        self,
        batch_size: int,
        num_batches: int,
        first_batch: Callable[[], int],
        *,
        rank: int = 0,
        world_size: int = 1,
        double_from: int | None = None,
    ) -> None:
        self.batch_size, self.num_batches, self.first_batch = batch_size, num_batches, first_batch
        self.rank, self.world_size, self.double_from = rank, world_size, double_from

    def __iter__(self) -> Iterator[list[int]]:
        first = self.first_batch()
        return (self._positions(batch) for batch in range(first, first + self.num_batches))

    def __len__(self) -> int:
        return self.num_batches

    def _positions(self, batch: int) -> list[int]:
        doubled = 0 if self.double_from is None else max(0, batch - self.double_from)
        is_double = self.double_from is not None and batch >= self.double_from
        size = self.batch_size * (2 if is_double else 1)
        # All ranks' positions of the batches before this one; each of those that are doubled counts once more.
        start = (batch + doubled) * self.world_size * self.batch_size + self.rank * size
        return list(range(start, start + size))


# A log, not Python's warnings: it reaches the run's own log file from within a worker, where warnings may be lost.
log = logging.getLogger(__name__)


Photo = Path | StoredPhoto
"""A file, or a place in a shard."""


class PhotoReader:
    """Reads photo number i as uint8 [H, W, 3], equalized if `clahe`.

    A photo that cannot be decoded is replaced by the next one that can, always by the same; each process says so once
    in its log, at level warning. If none can, the last `ImageError` is raised.

    Up to `cache_mb` of decoded photos are kept in each process: small sets are then decoded once, and large ones gain
    what fits. None is ever evicted, since a shuffled pass over more than fits would evict every photo before its next
    use.
    """

    def __init__(self, files: Sequence[Photo], *, clahe: bool = False, cache_mb: int = 0) -> None:
        self.files = files
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
        file = self.files[index]
        image = file.read() if isinstance(file, StoredPhoto) else read_image(file).array
        image = equalize_lightness(image) if self.clahe else image
        if image.nbytes <= self._free_bytes and not isinstance(image, np.memmap):
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
