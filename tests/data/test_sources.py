from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from hific.data.published import BundledPhotos, Cityscapes, Clic, Div2k, Kodak
from hific.data.source import CombinedSource, ImageSource, Split
from hific.errors import DataNotFoundError
from hific.io.read_image import read_image

WritePhotos = Callable[..., list[Path]]

SPLITS: tuple[Split, ...] = ("train", "val", "test")


def test_bundled_photos_are_read_from_the_installed_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was used"))
    names = {split: [path.stem for path in BundledPhotos().files(split)] for split in SPLITS}
    assert names == {
        "train": ["china", "coffee", "rocket", "motorcycle_left", "motorcycle_right", "hubble_deep_field", "retina"],
        "val": ["flower"],
        "test": ["astronaut", "chelsea"],
    }
    shapes = [read_image(path).array.shape for split in SPLITS for path in BundledPhotos().files(split)]
    assert all(channels == 3 and min(height, width) >= 300 for height, width, channels in shapes)


def test_a_bundled_photo_that_the_wheel_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "hific.data.published.BUNDLED_FOLDERS", {"skimage": "no_such_folder", "sklearn": "datasets/images"}
    )
    with pytest.raises(DataNotFoundError, match=r"2 of 2 files are missing.*astronaut\.png(.|\n)*pip install"):
        BundledPhotos().files("test")


def test_kodak_is_24_photos_to_test_on_and_nothing_else(link_photos: WritePhotos, tmp_path: Path) -> None:
    paths = link_photos(*(f"kodak/kodim{number:02d}.png" for number in range(1, 25)))
    source = Kodak(tmp_path / "kodak")
    assert source.files("test") == paths and source.files("train") == source.files("val") == []
    paths[6].unlink()
    with pytest.raises(DataNotFoundError, match=r"1 of 24 files are missing.*kodim07\.png(.|\n)*r0k\.us"):
        source.files("test")


def test_div2k_is_split_by_number(link_photos: WritePhotos, tmp_path: Path) -> None:
    train = link_photos(*(f"DIV2K_train_HR/{number:04d}.png" for number in range(1, 801)))
    source = Div2k(tmp_path)
    assert source.files("train") == train and source.files("test") == []
    with pytest.raises(DataNotFoundError, match=r"100 of 100 files are missing.*0801\.png(.|\n)*DIV2K_valid_HR\.zip"):
        source.files("val")
    train[-1].unlink()
    with pytest.raises(DataNotFoundError, match=r"1 of 800 files are missing.*0800\.png"):
        source.files("train")


def test_cityscapes_takes_the_left_images_of_all_cities(link_photos: WritePhotos, tmp_path: Path) -> None:
    names = [f"leftImg8bit/val/{'abc'[n % 3]}/{'abc'[n % 3]}_{n:06d}_000019_leftImg8bit.png" for n in range(500)]
    link_photos(*names, "leftImg8bit/val/a/a_000000_000019_gtFine_color.png")
    source = Cityscapes(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in source.files("val")] == sorted(names)
    (tmp_path / names[0]).unlink()
    with pytest.raises(DataNotFoundError, match=r"has 499 images of 500(.|\n)*<18 cities>(.|\n)*cityscapes-dataset"):
        source.files("val")
    with pytest.raises(DataNotFoundError, match=r"train is missing"):
        source.files("train")


CLIC_FOLDERS = {
    (2020, "val"): {"professional_valid_2020/valid": 41, "mobile_valid_2020": 61},
    (2020, "test"): {"CLIC2020Professional_test/professional": 250, "CLIC2020Mobile_test/mobile": 178},
    (2019, "train"): {"professional_train/train": 585, "mobile_train/train": 1048},
    (2019, "test"): {"CLIC2019Professional_test": 3, "CLIC2019Mobile_test": 2},
}


@pytest.mark.parametrize(("year", "split"), CLIC_FOLDERS)
def test_clic_reads_each_archive_in_its_folder(
    year: int, split: Split, link_photos: WritePhotos, tmp_path: Path
) -> None:
    folders = CLIC_FOLDERS[year, split]
    paths = link_photos(*(f"{folder}/{n:04d}.png" for folder, count in folders.items() for n in range(count)))
    professional = next(iter(folders.values()))
    assert Clic(tmp_path, year=year).files(split) == paths
    assert Clic(tmp_path, year=year, tracks=["professional"]).files(split) == paths[:professional]
    for path in paths[professional:]:
        path.unlink()
    with pytest.raises(DataNotFoundError, match=r"has 0 images of(.|\n)*<root>/(.|\n)*data\.vision\.ee\.ethz\.ch.*zip"):
        Clic(tmp_path, year=year).files(split)


def test_clic_passes_over_what_a_mac_leaves_in_archives(link_photos: WritePhotos, tmp_path: Path) -> None:
    link_photos(*(f"professional_valid_2020/__MACOSX/valid/._{n}.png" for n in range(41)))
    link_photos(*(f"professional_valid_2020/__MACOSX/valid/{n}.png" for n in range(41)))
    with pytest.raises(DataNotFoundError, match="has 0 images of 41"):
        Clic(tmp_path, tracks=["professional"]).files("val")


@pytest.mark.parametrize("arguments", [{"year": 2018}, {"tracks": []}, {"tracks": ["amateur"]}])
def test_clic_refuses_years_and_tracks_that_there_are_not(arguments: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="clic"):
        Clic(tmp_path, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("source", [Kodak, Div2k, Cityscapes, Clic], ids=lambda source: source.name)
def test_a_missing_root_is_told_with_the_tree_and_the_origin(source: type, tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"missing(.|\n)*expected:\n    <root>/(.|\n)*obtained from: http"):
        source(tmp_path / "nowhere").files("test" if source is Kodak else "train")


def test_combined_sources_follow_each_other() -> None:
    class Listed:
        def __init__(self, name: str) -> None:
            self.name = name

        def files(self, split: Split) -> list[Path]:
            return [Path(self.name, split)]

    combined: ImageSource = CombinedSource([Listed("a"), Listed("b")])
    assert combined.name == "a+b" and combined.files("val") == [Path("a/val"), Path("b/val")]
