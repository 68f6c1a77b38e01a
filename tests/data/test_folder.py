from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from hific.data.source import ImageFolder, Split, list_images, scan_headers
from hific.errors import DataNotFoundError

WritePhotos = Callable[..., list[Path]]

SPLITS: tuple[Split, ...] = ("train", "val", "test")


def split_of(source: ImageFolder) -> dict[Path, Split]:
    listed = [(path, split) for split in SPLITS for path in source.files(split)]
    assert len(dict(listed)) == len(listed)  # no photo in two splits
    return dict(listed)


def test_a_flat_root_is_parted_by_fractions(link_photos: WritePhotos, tmp_path: Path) -> None:
    paths = link_photos(*(f"flat/{n % 7}/{n}.jpg" for n in range(2000)))
    parts = split_of(ImageFolder(tmp_path / "flat", val_fraction=0.1, test_fraction=0.2))
    assert set(parts) == set(paths)
    counts = Counter(parts.values())
    assert counts["val"] == pytest.approx(200, abs=50) and counts["test"] == pytest.approx(400, abs=70)


def test_photos_keep_their_split_when_others_come_and_the_root_moves(link_photos: WritePhotos, tmp_path: Path) -> None:
    link_photos(*(f"before/{n}.jpg" for n in range(200)))
    link_photos(*(f"after/{n}.jpg" for n in range(100, 400)))
    before = {path.name: split for path, split in split_of(ImageFolder(tmp_path / "before")).items()}
    after = {path.name: split for path, split in split_of(ImageFolder(tmp_path / "after")).items()}
    common = before.keys() & after.keys()
    assert len(common) == 100 and all(before[name] == after[name] for name in common)


@pytest.mark.parametrize("count", [3, 4, 10])
def test_small_roots_have_something_in_every_split(count: int, link_photos: WritePhotos, tmp_path: Path) -> None:
    link_photos(*(f"few/{n}.png" for n in range(count)))
    assert set(split_of(ImageFolder(tmp_path / "few")).values()) == set(SPLITS)
    assert "test" not in split_of(ImageFolder(tmp_path / "few", test_fraction=0)).values()


def test_a_hash_once_drawn_stays(link_photos: WritePhotos, tmp_path: Path) -> None:
    link_photos(*(f"flat/{name}.png" for name in "abcdefghijklmnopqrst"))
    parts = split_of(ImageFolder(tmp_path / "flat", val_fraction=0.2, test_fraction=0.2))
    named = {split: "".join(path.stem for path in parts if parts[path] == split) for split in SPLITS}
    assert named == {"train": "abcdefhklnopqr", "val": "ijmst", "test": "g"}


def test_subfolders_are_the_splits(write_photos: WritePhotos, tmp_path: Path) -> None:
    paths = write_photos("train/x/1.png", "train/2.JPG", "val/3.webp", "test/y/z/4.bmp")
    write_photos("other/5.png", "train/.6.png")
    Path(tmp_path, "train", "notes.txt").write_text("no photo")
    source = ImageFolder(tmp_path)
    assert source.files("train") == [paths[1], paths[0]]  # by path: 2.JPG before x/1.png
    assert source.files("val") == [paths[2]] and source.files("test") == [paths[3]]


def test_without_a_val_folder_some_of_train_is_validated_on(link_photos: WritePhotos, tmp_path: Path) -> None:
    train = link_photos(*(f"train/{n}.png" for n in range(100)))
    test = link_photos(*(f"test/{n}.png" for n in range(9)))
    parts = split_of(ImageFolder(tmp_path, val_fraction=0.2))
    assert set(parts) == {*train, *test} and all(parts[path] == "test" for path in test)
    assert sum(parts[path] == "val" for path in train) == pytest.approx(20, abs=12)


def test_a_root_of_test_photos_has_no_others(link_photos: WritePhotos, tmp_path: Path) -> None:
    test = link_photos("test/1.png", "test/2.png")
    source = ImageFolder(tmp_path)
    assert source.files("test") == test and source.files("train") == source.files("val") == []


def test_several_roots_are_split_each_by_itself(link_photos: WritePhotos, tmp_path: Path) -> None:
    link_photos(*(f"{root}/{n}.png" for root in ("flat", "other/train", "other/test") for n in range(50)))
    together = split_of(ImageFolder([tmp_path / "flat", str(tmp_path / "other")]))
    alone = split_of(ImageFolder(tmp_path / "flat")) | split_of(ImageFolder(tmp_path / "other"))
    assert together == alone and len(together) == 150


def test_linked_folders_are_followed(link_photos: WritePhotos, tmp_path: Path) -> None:
    link_photos("elsewhere/1.png")
    Path(tmp_path, "root").mkdir()
    Path(tmp_path, "root", "train").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert len(ImageFolder(tmp_path / "root").files("train")) == 1


def test_missing_and_empty_roots_are_told_with_the_tree(tmp_path: Path) -> None:
    for made, problem in ((tmp_path / "nowhere", "is missing"), (tmp_path, "holds no image")):
        with pytest.raises(DataNotFoundError, match=rf"{made.name}.*{problem}(.|\n)*<root>/train(.|\n)*data\.root="):
            ImageFolder(made).files("val")
    Path(tmp_path, "train").mkdir()
    with pytest.raises(DataNotFoundError, match="train holds no image"):
        ImageFolder(tmp_path).files("train")


def test_roots_inside_each_other_and_impossible_fractions_are_refused(tmp_path: Path) -> None:
    for roots in ([tmp_path, tmp_path / "a"], [tmp_path, tmp_path]):
        with pytest.raises(ValueError, match="is inside"):
            ImageFolder(roots)
    for fractions in ((0.5, 0.5), (-0.1, 0.1)):
        with pytest.raises(ValueError, match="fraction"):
            ImageFolder(tmp_path, val_fraction=fractions[0], test_fraction=fractions[1])


def test_links_lead_to_each_real_file_once(link_photos: WritePhotos, tmp_path: Path) -> None:
    paths = link_photos("root/a/1.jpg", "root/a/2.jpg", "elsewhere/3.jpg")
    root = tmp_path / "root"
    for link, target in (
        ("loop", root),
        ("a/up", root / "a"),
        ("0.jpg", root / "a" / "1.jpg"),
        ("outside", tmp_path / "elsewhere"),
        ("outside2", tmp_path / "elsewhere"),
        ("broken.jpg", tmp_path / "nothing.jpg"),
    ):
        (root / link).symlink_to(target)
    found = list_images(root)
    assert [path.relative_to(root).as_posix() for path in found if path.exists()] == [
        "a/1.jpg",
        "a/2.jpg",
        "outside/3.jpg",
    ]
    assert len({path.resolve() for path in paths}) == 3


def test_a_name_that_is_no_text_has_a_split(link_photos: WritePhotos, tmp_path: Path) -> None:
    paths = link_photos(*(f"flat/{n}.jpg" for n in range(4)))
    try:
        os.rename(paths[0], os.fsencode(tmp_path / "flat") + b"/caf\xe9.jpg")
    except OSError:
        pytest.skip("names of files are UTF-8 here")
    source = ImageFolder(tmp_path / "flat")
    assert sum(len(source.files(split)) for split in ("train", "val", "test")) == 4


def test_what_the_reader_does_not_open_is_no_photo(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "targa.png", "TGA")
    Image.new("RGB", (40, 40)).save(tmp_path / "good.png")
    scan = scan_headers([tmp_path / "targa.png", tmp_path / "good.png"], minimum_side=32)
    assert scan.unreadable == (tmp_path / "targa.png",) and scan.usable == (tmp_path / "good.png",)
