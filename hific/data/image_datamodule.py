"""Photos of one source as batches for Lightning: loaders for training, validation and test."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from hific.cores import usable_cores
from hific.data.datasets import Photo, PhotoReader, PositionBatchSampler, ResumableLoader, TrainingCrops, WholePhotos
from hific.data.shards import Shards, StoredPhoto, StoredPhotos
from hific.data.source import HeaderScan, ImageSource, Split, scan_headers
from hific.data.transforms import RandomCrop, center_crop, downscale
from hific.errors import DataNotFoundError, OptionError

MOST_WORKERS = 4
FEW_PHOTOS = 5


class ImageDataModule(LightningDataModule):
    """Training crops in a resumable order; whole photos, cropped to the center, for validation and test.

    Batches leave the workers as uint8 and arrive in the module as float32 in [0, 1]: [global_batch_size / ranks, 3,
    crop, crop] in training; [1, 3, H, W] with H and W at most `eval_crop` (None: whole photos) in validation and test,
    in the order of the source. Photos with a side below `crop` are left out of training and counted in the log; files
    whose header cannot be read are named in a warning and left out; those found damaged later are named in the log and
    replaced by the next photo.

    Which crops a training batch holds is a pure function of `seed`, the trainer's count of batches and the rank (see
    `sample_order`): a resumed run goes on exactly where it stopped, within an epoch too, with any number of workers.
    The count is `trainer.fit_loop.epoch_loop.batch_progress.total.processed`. The trainer needs
    `use_distributed_sampler=False`, since ranks share the work here already; under DDP validation and test photos are
    dealt to the ranks, the first ones twice if the count does not divide. `overfit_batches` only shortens epochs here:
    the stream of crops runs on over them.

    Arguments besides those of `RandomCrop`:
        source: where the files are and which split is which.
        root: the place that a configuration names once and hands to its source; used here for messages only.
        global_batch_size: crops a batch, of all ranks together, which have equal shares of it.
        double_batch_from: the batch from which on batches hold twice `global_batch_size` crops: HiFiC's second stage
            gives one half to the discriminator alone. None for never.
        epoch_batches: batches an epoch; None for one pass over the photos, rounded up. Small sets are passed over
            several times in an epoch, large ones may be parted into many.
        clahe: equalize each photo first, as the paper does, in every split.
        max_val_photos: that are validated on, spread evenly over the split; None for all. Testing takes all.
        num_workers: processes that load; None for as many as there are processors, at most 4; 0 for none.
        prefetch_batches: batches that each worker holds ready.
        cache_mb: decoded training photos that each process keeps, in MiB.
        pin_memory: None for where the trainer is on a CUDA device.

    `setup` raises `DataNotFoundError` where the source lacks its files, where it has none to train on, and where none
    of them can be used. A set without a val or test split has no loader for it, and Lightning skips that stage.
    """

    def __init__(
        self,
        source: ImageSource | Shards,
        *,
        crop: int,
        global_batch_size: int,
        seed: int,
        root: str | Path | Sequence[str] | dict[str, str] | None = None,
        double_batch_from: int | None = None,
        epoch_batches: int | None = None,
        min_scale: float = 1.0,
        max_scale: float = 1.0,
        flip: bool = True,
        clahe: bool = False,
        eval_crop: int | None = 512,
        max_val_photos: int | None = None,
        num_workers: int | None = None,
        prefetch_batches: int = 4,
        cache_mb: int = 128,
        pin_memory: bool | None = None,
    ) -> None:
        super().__init__()
        _check_counts(
            global_batch_size=(global_batch_size, 1),
            seed=(seed, 0),
            epoch_batches=(epoch_batches, 1),
            eval_crop=(eval_crop, 1),
            max_val_photos=(max_val_photos, 1),
            num_workers=(num_workers, 0),
            prefetch_batches=(prefetch_batches, 1),
            cache_mb=(cache_mb, 0),
        )
        self.source, self.root = source, root
        self.transform = RandomCrop(crop, min_scale, max_scale, flip)
        self.global_batch_size, self.seed, self.epoch_batches = global_batch_size, seed, epoch_batches
        self.double_batch_from = double_batch_from
        self.clahe, self.eval_crop, self.max_val_photos = clahe, eval_crop, max_val_photos
        self.num_workers = _default_workers() if num_workers is None else num_workers
        self.prefetch_batches, self.cache_mb, self.pin_memory = prefetch_batches, cache_mb, pin_memory
        self._photos: dict[Split, Sequence[Photo]] = {}

    def setup(self, stage: str) -> None:
        splits: dict[str, tuple[Split, ...]] = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}
        for split in splits.get(stage, ()):
            if split not in self._photos:
                self._photos[split] = self._usable_photos(split)
        if stage == "fit" and len(self._photos["train"]) < FEW_PHOTOS:
            rank_zero_warn(
                f"only {len(self._photos['train'])} photos to train on, {len(self._photos['val'])} to validate on and "
                f"{self._num_test_photos()} to test on: folders train, val and test split photos as you like"
            )

    def train_dataloader(self) -> DataLoader[Tensor]:
        reader = PhotoReader(self._photos["train"], clahe=self.clahe, cache_mb=self.cache_mb)
        dataset = TrainingCrops(reader, self.transform, seed=self.seed)
        rank, world_size = self._rank_and_world_size()
        num_batches = self.epoch_batches or -(-len(dataset) // self.global_batch_size)
        sampler = PositionBatchSampler(
            self.batch_size_of_rank(world_size),
            num_batches,
            self._batches_done,
            rank=rank,
            world_size=world_size,
            double_from=self.double_batch_from,
        )
        return ResumableLoader(
            dataset,
            batch_sampler=sampler,
            num_workers=self.num_workers,
            prefetch_factor=self.prefetch_batches if self.num_workers else None,
            persistent_workers=self.num_workers > 0,
            pin_memory=self._pins_memory(),
            generator=self._own_generator(),
            worker_init_fn=_leave_signals_to_the_trainer,
        )

    def val_dataloader(self) -> DataLoader[Tensor] | list[DataLoader[Tensor]]:
        return self._whole_photos("val")

    def test_dataloader(self) -> DataLoader[Tensor] | list[DataLoader[Tensor]]:
        return self._whole_photos("test")

    def batch_size_of_rank(self, world_size: int) -> int:
        """Crops a rank and batch. OptionError where the ranks cannot have equal shares."""
        if self.global_batch_size % world_size:
            raise OptionError(
                f"data.global_batch_size={self.global_batch_size} does not divide into {world_size} equal parts: "
                "trainer.devices= (times trainer.num_nodes) is a divisor of it"
            )
        return self.global_batch_size // world_size

    def whole_train_photos(self, count: int) -> Iterable[Tensor]:
        """Up to `count` training photos, float32 [1, 3, H, W] in [0, 1], the center of at most `eval_crop` a side.

        The photos are spread over the set and taken at scales 1, 3/4 and 1/2 in turn; a set of fewer photos gives each
        of them at up to three scales. The same on all ranks; read anew whenever they are gone through.
        """
        return _WholeTrainPhotos(PhotoReader(self._photos["train"], clahe=self.clahe), count, self.eval_crop)

    def on_after_batch_transfer(self, batch: Tensor, dataloader_idx: int) -> Tensor:
        return batch.to(torch.float32).div_(255) if batch.dtype == torch.uint8 else batch

    def _num_test_photos(self) -> int:
        try:
            return len(self.source.files("test"))
        except DataNotFoundError:
            return 0

    def _usable_photos(self, split: Split) -> Sequence[Photo]:
        files, minimum_side = self.source.files(split), self.transform.crop if split == "train" else 1
        place = self.source.name if self.root is None else f"{self.source.name} ({self.root})"
        scan = (
            _scan_index(files, minimum_side) if isinstance(files, StoredPhotos) else scan_headers(files, minimum_side)
        )
        rank_zero_info(f"{place}, {split}: {len(scan.usable)} photos")
        if scan.too_small:
            rank_zero_info(f"{place}, {split}: {len(scan.too_small)} skipped, smaller than {self.transform.crop}")
        if scan.unreadable:
            names = ", ".join(str(path) for path in scan.unreadable)
            rank_zero_warn(f"{place}, {split}: {len(scan.unreadable)} files skipped, not readable as images: {names}")
        if files and not scan.usable:
            small = f"{len(scan.too_small)} smaller than the crop of {self.transform.crop}"
            problem = f"none of {len(files)} photos can be used: {small}, {len(scan.unreadable)} unreadable"
            raise DataNotFoundError(f"{place}, {split}: {problem}")
        if not files and split == "train":
            raise DataNotFoundError(f"{place} has no photos to train on: it is a set for evaluation")
        return scan.usable

    def _whole_photos(self, split: Split) -> DataLoader[Tensor] | list[DataLoader[Tensor]]:
        photos = self._photos[split]
        if split == "val" and self.max_val_photos is not None:
            photos = spread_evenly(photos, self.max_val_photos)
        dataset = WholePhotos(PhotoReader(photos, clahe=self.clahe), most=self.eval_crop)
        if not len(dataset):
            return []
        rank, world_size = self._rank_and_world_size()
        sampler: DistributedSampler[Tensor] | None = None
        if world_size > 1:
            sampler = DistributedSampler(dataset, num_replicas=world_size, rank=rank, shuffle=False)
        return DataLoader(
            dataset,
            batch_size=1,
            sampler=sampler,
            num_workers=min(self.num_workers, len(dataset)),
            pin_memory=self._pins_memory(),
            generator=self._own_generator(),
            worker_init_fn=_leave_signals_to_the_trainer,
        )

    def _batches_done(self) -> int:
        # Of the trainer's counters only this one is right on every way into a resume: a checkpoint written at the end
        # of a batch has not counted it as completed yet, and `ready` keeps counting a batch that was interrupted.
        if self.trainer is None:
            return 0
        total: Any = self.trainer.fit_loop.epoch_loop.batch_progress.total
        return int(total.processed)

    def _rank_and_world_size(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def _pins_memory(self) -> bool:
        if self.pin_memory is None:
            return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return self.pin_memory

    def _own_generator(self) -> torch.Generator:
        # A loader draws a number for its workers at each start; from torch's global generator that would shift the
        # random numbers of a resumed run against those of an unbroken one.
        return torch.Generator().manual_seed(self.seed)


@dataclass(frozen=True)
class _WholeTrainPhotos:
    reader: PhotoReader
    count: int
    eval_crop: int | None

    def __iter__(self) -> Iterator[Tensor]:
        photos = min(self.count, len(self.reader))
        for turn in range(min(self.count, 3 * photos)):
            image = self.reader.read((turn % photos) * len(self.reader) // photos)
            scaled = downscale(image, (1.0, 0.75, 0.5)[(turn + turn // photos) % 3])
            yield torch.from_numpy(center_crop(scaled, self.eval_crop).copy()).permute(2, 0, 1)[None].float() / 255


def _scan_index(photos: StoredPhotos, minimum_side: int) -> HeaderScan[StoredPhoto]:
    usable, too_small = photos.by_side(minimum_side)
    return HeaderScan(usable, too_small, ())


def spread_evenly(photos: Sequence[Photo], most: int) -> tuple[Photo, ...]:
    """At most so many, from first to last, always the same."""
    count = min(most, len(photos))
    return tuple(photos[index * len(photos) // count] for index in range(count))


def _check_counts(**options: tuple[int | None, int]) -> None:
    """Each a value, or None, and the least that it may be."""
    for name, (value, least) in options.items():
        if value is not None and value < least:
            raise OptionError(f"data.{name}={value} must be {least} or more")


def _default_workers() -> int:
    return min(MOST_WORKERS, usable_cores())


def _leave_signals_to_the_trainer(worker: int) -> None:
    """In a loader's worker. A signal to the whole group, as terminals and schedulers send it, reaches the trainer too:
    it stops behind its batch, needs the workers until then, and ends them itself."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
