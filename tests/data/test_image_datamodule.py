from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from hific.data.image_datamodule import ImageDataModule, spread_evenly
from hific.data.published import BundledPhotos
from hific.data.source import ImageFolder, ImageSource, Split
from hific.errors import DataNotFoundError, OptionError
from hific.io.read_image import read_image

WritePhotos = Callable[..., list[Path]]


class Listed:
    """A source of given files: those named are for training, the rest for nothing."""

    name = "listed"

    def __init__(self, **splits: list[Path]) -> None:
        self.splits = splits

    def files(self, split: Split) -> list[Path]:
        return self.splits.get(split, [])


def datamodule(source: ImageSource, **options: Any) -> ImageDataModule:
    return ImageDataModule(source, **{"crop": 32, "global_batch_size": 4, "seed": 0, "num_workers": 0} | options)


def train_batches(source: ImageSource, **options: Any) -> list[Tensor]:
    data = datamodule(source, **options)
    data.setup("fit")
    return list(data.train_dataloader())


def test_batches_are_bytes_until_they_are_transferred(write_photos: WritePhotos) -> None:
    (batch,) = train_batches(Listed(train=write_photos("0.png", "1.png")))
    assert batch.shape == (4, 3, 32, 32) and batch.dtype == torch.uint8
    image = datamodule(Listed()).on_after_batch_transfer(batch, 0)
    assert image.dtype == torch.float32
    assert torch.equal((image * 255).round().to(torch.uint8), batch) and image.max() <= 1


def test_workers_change_nothing(write_photos: WritePhotos) -> None:
    source = Listed(train=write_photos(*(f"{n}.png" for n in range(7))))
    alone = train_batches(source, min_scale=0.5, epoch_batches=6)
    shared = train_batches(source, min_scale=0.5, epoch_batches=6, num_workers=2)
    assert len(alone) == 6 and all(torch.equal(one, two) for one, two in zip(alone, shared, strict=True))
    assert not torch.equal(alone[0], train_batches(source, min_scale=0.5, epoch_batches=6, seed=1)[0])


@pytest.mark.parametrize(("epoch_batches", "world_size", "length"), [(None, 1, 3), (None, 2, 3), (50, 1, 50)])
def test_an_epoch_is_one_pass_rounded_up_unless_set(
    epoch_batches: int | None, world_size: int, length: int, write_photos: WritePhotos
) -> None:
    data = datamodule(Listed(train=write_photos(*(f"{n}.png" for n in range(9)))), epoch_batches=epoch_batches)
    data.setup("fit")
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        global_rank=world_size - 1, world_size=world_size, strategy=SimpleNamespace(root_device=torch.device("cpu"))
    )
    assert len(data.train_dataloader()) == length


def test_small_photos_are_counted_and_unreadable_ones_named(
    write_photos: WritePhotos, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    large, small = write_photos("0.png"), write_photos("1.png", "2.png", width=90, height=31)
    Path(tmp_path, "broken.png").write_bytes(b"no image")
    files = [*small, tmp_path / "broken.png", *large]
    with caplog.at_level(logging.INFO), pytest.warns(UserWarning, match=r"1 files skipped.*broken\.png"):
        (batch,) = train_batches(Listed(train=files))
    assert "listed, train: 2 skipped, smaller than 32" in caplog.text and "train: 1 photos" in caplog.text
    assert len(batch) == 4


def test_damage_found_in_a_worker_reaches_the_log_of_the_run(write_photos: WritePhotos, tmp_path: Path) -> None:
    paths = write_photos("0.png", "1.png")
    paths[0].write_bytes(paths[0].read_bytes()[:2000])
    handler = logging.FileHandler(tmp_path / "run.log")
    logging.getLogger().addHandler(handler)
    try:
        batches = train_batches(Listed(train=paths), num_workers=1, epoch_batches=2)
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    only = train_batches(Listed(train=[paths[1], paths[1]]), epoch_batches=2)
    assert all(torch.equal(one, two) for one, two in zip(batches, only, strict=True))
    told = [line for line in Path(tmp_path, "run.log").read_text().splitlines() if "instead" in line]
    assert len(told) == 1 and str(paths[0]) in told[0] and told[0].endswith("; 1.png is used instead")


def test_a_set_without_photos_to_train_on_is_refused(write_photos: WritePhotos, tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="no photos to train on"):
        datamodule(Listed(test=write_photos("0.png"))).setup("fit")
    small = write_photos("1.png", width=20)
    with pytest.raises(DataNotFoundError, match=r"listed \(/some/root\).*1 smaller than the crop of 32"):
        datamodule(Listed(train=small), root="/some/root").setup("fit")
    with pytest.raises(DataNotFoundError, match="nowhere is missing"):
        datamodule(ImageFolder(tmp_path / "nowhere")).setup("test")


def test_evaluation_photos_come_whole_or_as_their_center_in_order(write_photos: WritePhotos) -> None:
    paths = write_photos("b.png", "a.png", width=40, height=24)  # smaller than the crop, which is for training
    for most, columns in ((None, slice(0, 40)), (30, slice(5, 35))):
        data = datamodule(Listed(val=paths, test=paths), eval_crop=most, num_workers=1)
        data.setup("validate")
        data.setup("test")
        for loader in (data.val_dataloader(), data.test_dataloader()):
            for path, batch in zip(paths, loader, strict=True):
                expected = torch.from_numpy(read_image(path).array[:, columns]).permute(2, 0, 1)
                assert isinstance(batch, Tensor) and torch.equal(batch, expected[None])


def test_two_ranks_share_evaluation_photos(write_photos: WritePhotos) -> None:
    paths = write_photos("0.png", "1.png", "2.png")
    data = datamodule(Listed(test=paths))
    data.setup("test")
    whole = [batch.numpy().tobytes() for batch in data.test_dataloader()]
    shares = []
    for rank in range(2):
        data.trainer = SimpleNamespace(  # type: ignore[assignment]
            global_rank=rank, world_size=2, strategy=SimpleNamespace(root_device=torch.device("cpu"))
        )
        shares.append([batch.numpy().tobytes() for batch in data.test_dataloader()])
    assert shares == [[whole[0], whole[2]], [whole[1], whole[0]]]


class Sizes(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.shapes: dict[str, list[tuple[int, ...]]] = {"train": [], "val": [], "test": []}

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.shapes["train"].append(tuple(batch.shape))
        return self.weight * batch.mean()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.shapes["val"].append(tuple(batch.shape))

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        self.shapes["test"].append(tuple(batch.shape))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def quiet_trainer(tmp_path: Path, **options: Any) -> Trainer:
    return Trainer(
        default_root_dir=tmp_path, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False, **options,
    )  # fmt: skip


def test_the_bundled_photos_train_validate_and_test(tmp_path: Path) -> None:
    data = datamodule(BundledPhotos(), crop=64, epoch_batches=3, min_scale=0.5, max_scale=0.75, clahe=True)
    trainer, module = quiet_trainer(tmp_path, max_epochs=2, num_sanity_val_steps=0), Sizes()
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    assert module.shapes["train"] == [(4, 3, 64, 64)] * 6
    assert module.shapes["val"] == [(1, 3, 427, 512)] * 2
    assert module.shapes["test"] == [(1, 3, 512, 512), (1, 3, 300, 451)]


def test_a_set_to_train_on_needs_no_other_split(write_photos: WritePhotos, tmp_path: Path) -> None:
    data, module = datamodule(Listed(train=write_photos("0.png"))), Sizes()
    trainer = quiet_trainer(tmp_path, max_steps=2)
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    assert {split: len(shapes) for split, shapes in module.shapes.items()} == {"train": 2, "val": 0, "test": 0}


@pytest.mark.parametrize("wrong", [{"global_batch_size": 0}, {"epoch_batches": 0}, {"seed": -1}, {"crop": 0}])
def test_impossible_options_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        datamodule(Listed(), **wrong)


def test_whole_training_photos_are_spread_over_the_set_and_the_scales(write_photos: WritePhotos) -> None:
    data = datamodule(Listed(train=write_photos(*(f"{n}.png" for n in range(10)), width=60, height=40)), eval_crop=48)
    data.setup("fit")
    photos = list(data.whole_train_photos(6))
    assert [tuple(photo.shape) for photo in photos] == 2 * [(1, 3, 40, 48), (1, 3, 30, 45), (1, 3, 20, 30)]
    assert len({photo[..., :20, :30].mean().item() for photo in photos}) == 6
    everything = list(data.whole_train_photos(1000))
    assert len(everything) == 30
    # Each of the ten photos at each of the three scales.
    assert len({photo.mean().item() for photo in everything}) == 30


def test_ranks_have_equal_shares_of_a_batch() -> None:
    data = datamodule(Listed(), global_batch_size=8)
    assert [data.batch_size_of_rank(ranks) for ranks in (1, 2, 8)] == [8, 4, 1]
    with pytest.raises(OptionError, match="global_batch_size=8 does not divide into 3"):
        data.batch_size_of_rank(3)


def test_validation_is_capped_and_testing_is_not(write_photos: WritePhotos) -> None:
    paths = write_photos(*(f"{number}.png" for number in range(10)))
    data = datamodule(Listed(val=paths, test=paths), max_val_photos=4)
    data.setup("validate")
    data.setup("test")
    assert (len(data.val_dataloader()), len(data.test_dataloader())) == (4, 10)
    assert spread_evenly(paths, 4) == tuple(paths[index] for index in (0, 2, 5, 7))
    assert spread_evenly(paths, 20) == tuple(paths)


def test_few_photos_are_said(write_photos: WritePhotos) -> None:
    with pytest.warns(UserWarning, match="only 2 photos to train on, 1 to validate on and 0 to test on"):
        datamodule(Listed(train=write_photos("0.png", "1.png"), val=write_photos("2.png"))).setup("fit")
