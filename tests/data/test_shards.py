"""Shards: what is made, that making is repeatable and goes on, and that training sees what it would see in a folder."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from hific.cli import main
from hific.data import make_shards as making
from hific.data.datasets import photo_index
from hific.data.image_datamodule import ImageDataModule
from hific.data.make_shards import ShardOptions, make_shards
from hific.data.shards import Shards
from hific.data.source import ImageFolder
from hific.errors import DataNotFoundError, ImageError, OptionError, UsageError
from hific.io.read_image import read_image

WritePhotos = Callable[..., list[Path]]
SMALL = ShardOptions(shard_mb=1)


@pytest.fixture
def folder(write_photos: WritePhotos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eleven photos to train on in four shards, three to validate on, none to test on."""
    monkeypatch.setattr(making, "MEGABYTE", 15_000)
    write_photos(*(f"photos/train/{number}.png" for number in range(11)))
    write_photos(*(f"photos/val/{number}.jpg" for number in range(3)), width=50)
    return tmp_path / "photos"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def datamodule(source: Any, **options: Any) -> ImageDataModule:
    module = ImageDataModule(
        source, **{"crop": 16, "global_batch_size": 4, "seed": 3, "num_workers": 0, "min_scale": 0.5} | options
    )
    module.setup("fit")
    return module


def batches(loader: Any) -> list[bytes]:
    return [batch.numpy().tobytes() for batch in loader]


def test_a_folder_and_its_shards_give_the_same_batches(folder: Path, tmp_path: Path) -> None:
    """Of crops and of whole photos, in the same order; also of pixels, from a URL, and with workers."""
    due = datamodule(ImageFolder(folder), epoch_batches=6)
    whole = [photo.numpy().tobytes() for photo in due.whole_train_photos(7)]
    for store in ("files", "pixels"):
        make_shards(ImageFolder(folder), str(tmp_path / store), ShardOptions(1, store))  # type: ignore[arg-type]
        for root in (tmp_path / store, f"file://{tmp_path / store}"):
            found = datamodule(Shards(root), epoch_batches=6, num_workers=2)
            assert batches(found.train_dataloader()) == batches(due.train_dataloader())
            assert batches(found.val_dataloader()) == batches(due.val_dataloader())
            assert [photo.numpy().tobytes() for photo in found.whole_train_photos(7)] == whole
    assert len(Shards(tmp_path / "files").files("train").shards) == 4


def test_shards_are_webdatasets_tars_and_the_same_each_time(folder: Path, tmp_path: Path) -> None:
    for name, jobs in (("one", 1), ("two", 2)):
        assert make_shards(ImageFolder(folder), str(tmp_path / name), SMALL, jobs=jobs) == (14, [])
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    stored = []
    for shard in Shards(tmp_path / "one").files("train").shards:
        with tarfile.open(tmp_path / "one" / shard) as tar:
            stored += [(member.name, (tar.extractfile(member) or pytest.fail("no file")).read()) for member in tar]
    files = ImageFolder(folder).files("train")
    assert stored == [(f"{number:09d}.png", path.read_bytes()) for number, path in enumerate(files)]


def test_what_was_interrupted_goes_on_and_nothing_half_made_counts(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_shards(ImageFolder(folder), str(tmp_path / "whole"), SMALL)
    made, write = [], making.make_shard

    def fails_at_the_third(*arguments: Any) -> Any:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(arguments[0].name)
        return write(*arguments)

    monkeypatch.setattr(making, "make_shard", fails_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        make_shards(ImageFolder(folder), str(tmp_path / "again"), SMALL)
    with pytest.raises(DataNotFoundError, match=r"again has no index\.json"):
        Shards(tmp_path / "again").files("train")
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(making, "make_shard", lambda *given: made.append(given[0].name) or write(*given))
    make_shards(ImageFolder(folder), str(tmp_path / "again"), SMALL, progress=lambda *now: told.append(now))
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")
    assert len(made) == len(set(made)) == 5, "each shard is made once"
    assert told[0][0] > 0 and told[-1] == (14, 14)


def test_shards_of_other_photos_are_not_overwritten(folder: Path, tmp_path: Path, write_photos: WritePhotos) -> None:
    make_shards(ImageFolder(folder), str(tmp_path / "made"), SMALL)
    before = contents(tmp_path / "made")
    with pytest.raises(UsageError, match="of other photos, or of other options"):
        make_shards(ImageFolder(folder), str(tmp_path / "made"), ShardOptions(2))
    write_photos("photos/train/more.png")
    with pytest.raises(UsageError, match="of other photos, or of other options"):
        make_shards(ImageFolder(folder), str(tmp_path / "made"), SMALL)
    assert contents(tmp_path / "made") == before


def test_bad_images_are_listed_and_left_out(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cut, none = folder / "train" / "3.png", folder / "train" / "4.png"
    cut.write_bytes(cut.read_bytes()[:2000])
    none.write_bytes(b"no image")
    assert main(["shards", "make", str(folder), str(tmp_path / "made")]) == 1
    listed = (tmp_path / "made" / "bad.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in listed] == ["3.png", "4.png"]
    told = capfd.readouterr().err
    assert told.count("left out:") == 2 and "12 photos in" in told
    assert len(Shards(tmp_path / "made").files("train")) == 9
    assert main(["shards", "make", str(folder), str(tmp_path / "headers"), "--no-check", "--quiet"]) == 1
    assert len(Shards(tmp_path / "headers").files("train")) == 10, "a header alone looks well"


def test_what_cannot_be_done_is_told_in_a_line(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for arguments, told in (
        ([str(tmp_path / "nowhere"), str(tmp_path / "made")], "nowhere is missing"),
        ([str(folder), str(tmp_path / "file" / "below")], "file"),
        ([str(folder), "nothing://made"], "nothing://made cannot be opened"),
    ):
        assert main(["shards", "make", *arguments]) == 2
        error = capfd.readouterr().err
        assert told in error and "Traceback" not in error


def test_damaged_shards_are_told(folder: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    make_shards(ImageFolder(folder), str(made), SMALL)
    photo = Shards(made).files("train")[0]
    (made / photo.shard).write_bytes(b"short")
    with pytest.raises(ImageError, match=r"train-000000\.tar, byte \d+: .*ends too early"):
        photo.read()
    (made / "train.npy").write_bytes(b"damaged")
    with pytest.raises(DataNotFoundError, match="made is damaged"):
        Shards(made).files("train")
    index = json.loads((made / "index.json").read_text())
    for change in ({"version": 2}, {"splits": {"train": {"photos": 1, "shards": ["../../etc/passwd"]}}}):
        (made / "index.json").write_text(json.dumps(index | change))
        with pytest.raises(DataNotFoundError, match=r"index\.json cannot be read"):
            Shards(made).files("train")


def test_a_url_is_made_and_read_by_fsspec(folder: Path, tmp_path: Path) -> None:
    """In memory, as an object store: no folder, and files that are there when they are closed."""
    make_shards(ImageFolder(folder), "memory://bucket/made", SMALL)
    make_shards(ImageFolder(folder), str(tmp_path / "made"), SMALL)
    system = fsspec.filesystem("memory")
    assert {Path(name).name: system.cat_file(name) for name in system.ls("/bucket/made", detail=False)} == contents(
        tmp_path / "made"
    )
    photos = Shards("memory://bucket/made/").files("val")
    for photo, path in zip(photos, ImageFolder(folder).files("val"), strict=True):
        np.testing.assert_array_equal(photo.read(), read_image(path).array)
    with pytest.raises(OptionError, match="nothing://made cannot be opened"):
        Shards("nothing://made").files("train")


def test_a_crop_of_pixels_reads_no_more_than_its_rows(tmp_path: Path) -> None:
    """They are a map of the file: nothing of it is read before it is cut out."""
    pixels = np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    (tmp_path / "photos").mkdir()
    Image.fromarray(pixels).save(tmp_path / "photos" / "0.png")
    make_shards(ImageFolder(tmp_path / "photos"), str(tmp_path / "made"), ShardOptions(store="pixels"))
    image = Shards(tmp_path / "made").files("train")[0].read()
    assert isinstance(image, np.memmap)
    np.testing.assert_array_equal(image[10:20, 30:40], pixels[10:20, 30:40])


def ranks_of(source: Shards, world_size: int, **options: Any) -> list[list[Tensor]]:
    found = []
    for rank in range(world_size):
        module = datamodule(source, **options)
        strategy = SimpleNamespace(root_device=torch.device("cpu"))
        module.trainer = SimpleNamespace(  # type: ignore[assignment]
            global_rank=rank,
            world_size=world_size,
            strategy=strategy,
            fit_loop=SimpleNamespace(
                epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(total=SimpleNamespace(processed=0)))
            ),
        )
        found.append(list(module.train_dataloader()))
    return found


@pytest.mark.parametrize("workers", [0, 2])
def test_two_ranks_have_every_photo_once_in_a_pass(workers: int, tmp_path: Path) -> None:
    """Thirteen photos in batches of four, which they do not divide: whole photos of one color each, so that crops tell
    which they are of. Four passes are thirteen batches."""
    for number in range(13):
        path = tmp_path / "photos" / f"train/{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (10 * number, 0, 0)).save(path)
    make_shards(ImageFolder(tmp_path / "photos", val_fraction=0), str(tmp_path / "made"), ShardOptions())
    ranks = ranks_of(Shards(tmp_path / "made"), 2, num_workers=workers, epoch_batches=13)
    stream = [int(image[0, 0, 0]) // 10 for both in zip(*ranks, strict=True) for share in both for image in share]
    assert len(stream) == 52
    for start in range(0, 52, 13):
        assert Counter(stream[start : start + 13]) == Counter(range(13))
    assert len({tuple(stream[start : start + 13]) for start in range(0, 52, 13)}) == 4, "each pass has its own order"


@pytest.mark.parametrize("length", [2**20 + 1, 1_500_000])
def test_corpora_too_large_to_shuffle_as_a_whole_are_shuffled_all_the_same(length: int) -> None:
    block = 4096
    for pass_number in (0, 5):
        first = [photo_index(7, pass_number * length + place, length) for place in range(block)]
        assert len(set(first)) == block and min(first) >= 0 and max(first) < length
        assert abs(np.mean(first) / length - 0.5) < 0.03 and abs(np.std(first) / length - 12**-0.5) < 0.03
        assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.1
    others = [photo_index(8, place, length) for place in range(block)]
    assert sum(one == other for one, other in zip(others, first, strict=True)) < 5


def test_a_computed_shuffle_has_each_place_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hific.data.datasets.LARGEST_PERMUTATION", 0)
    for length in (1, 2, 3, 17, 64, 65, 1000):
        assert sorted(photo_index(1, 3 * length + place, length) for place in range(length)) == list(range(length))


def test_making_them_needs_no_torch() -> None:
    code = "import sys; from hific.cli.shards import run_shards; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
