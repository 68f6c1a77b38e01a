from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hific.data.datasets import PhotoReader, TrainingCrops, WholePhotos
from hific.data.source import scan_headers
from hific.data.transforms import RandomCrop, equalize_lightness
from hific.errors import ImageError
from hific.io.read_image import read_image

WritePhotos = Callable[..., list[Path]]


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_headers_tell_small_and_unreadable_files_apart(write_photos: WritePhotos, tmp_path: Path) -> None:
    large = write_photos("a.png", "b.jpg")
    small = write_photos("small.png", width=31, height=90)
    Path(tmp_path, "broken.png").write_bytes(b"\x89PNG no more than that")
    Path(tmp_path, "empty.jpg").touch()
    broken = (tmp_path / "broken.png", tmp_path / "empty.jpg")
    scan = scan_headers([broken[0], large[1], *small, large[0], broken[1]], minimum_side=32)
    assert (scan.usable, scan.too_small, scan.unreadable) == ((large[1], large[0]), (small[0],), broken)


def test_a_damaged_photo_is_replaced_by_the_next_and_named_once(
    write_photos: WritePhotos, caplog: pytest.LogCaptureFixture
) -> None:
    paths = write_photos("0.png", "1.png", "2.png", "3.png")
    whole = [read_image(path).array for path in paths]
    cut_in_half(paths[1])
    cut_in_half(paths[3])
    reader = PhotoReader(paths)
    for index, expected in ((1, 2), (3, 0), (2, 2), (1, 2)):
        np.testing.assert_array_equal(reader.read(index), whole[expected])
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 2
    assert str(paths[1]) in told[0] and told[0].endswith("; 2.png is used instead")
    assert str(paths[3]) in told[1] and told[1].endswith("; 0.png is used instead")


def test_where_no_photo_can_be_read_the_error_names_one(write_photos: WritePhotos) -> None:
    paths = write_photos("0.png", "1.png")
    for path in paths:
        cut_in_half(path)
    with pytest.raises(ImageError, match=r"1\.png"):
        PhotoReader(paths).read(0)
    with pytest.raises(ImageError, match=r"0\.png"):
        PhotoReader(paths[:1]).read(0)


def test_kept_photos_are_not_read_again_and_the_limit_holds(write_photos: WritePhotos) -> None:
    paths = write_photos(*(f"{n}.png" for n in range(6)), width=512, height=512)  # 0.75 MiB each when decoded
    reader = PhotoReader(paths, cache_mb=2)
    first = [reader.read(index).copy() for index in range(6)]
    for path in paths[:2]:
        path.unlink()
    np.testing.assert_array_equal(reader.read(0), first[0])
    np.testing.assert_array_equal(reader.read(1), first[1])
    paths[2].unlink()
    np.testing.assert_array_equal(reader.read(2), first[3])


def test_samples_depend_on_nothing_but_seed_and_position(write_photos: WritePhotos) -> None:
    paths = write_photos(*(f"{n}.png" for n in range(5)))
    crops = TrainingCrops(PhotoReader(paths), RandomCrop(16, 0.5, 1.0), seed=3)
    kept = TrainingCrops(PhotoReader(paths, cache_mb=1), RandomCrop(16, 0.5, 1.0), seed=3)
    other = TrainingCrops(PhotoReader(paths), RandomCrop(16, 0.5, 1.0), seed=4)
    forward = [crops[position] for position in range(40)]
    backward = [kept[position] for position in reversed(range(40))][::-1]
    assert all(torch.equal(one, two) for one, two in zip(forward, backward, strict=True))
    assert len({crop.numpy().tobytes() for crop in forward} | {other[n].numpy().tobytes() for n in range(40)}) == 80
    assert forward[0].shape == (3, 16, 16) and forward[0].dtype == torch.uint8


def test_equalized_photos_are_equalized_whole(write_photos: WritePhotos) -> None:
    paths = write_photos("0.png", width=80, height=64)
    equalized = WholePhotos(PhotoReader(paths, clahe=True), most=None)[0]
    expected = equalize_lightness(read_image(paths[0]).array)
    np.testing.assert_array_equal(equalized.permute(1, 2, 0).numpy(), expected)


def test_datasets_can_be_sent_to_a_worker_that_is_spawned(write_photos: WritePhotos) -> None:
    crops = TrainingCrops(PhotoReader(write_photos("0.png")), RandomCrop(16), seed=0)
    assert torch.equal(pickle.loads(pickle.dumps(crops))[7], crops[7])
