"""Published sets of photos. Each knows its tree, and where it is obtained.

Kodak, DIV2K, Cityscapes, CLIC; and those inside scikit-image and scikit-learn: a demonstration set that comes with the
dependencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from hific.data.source import Split, list_images, require_count, require_files
from hific.errors import OptionError

KODAK_COUNT = 24
KODAK_TREE = """
<root>/
    kodim01.png ... kodim24.png    768x512 or 512x768
"""
KODAK_ORIGIN = "https://r0k.us/graphics/kodak/"


class Kodak:
    """Test photos only: there is no train or val split, so that nothing is trained or tuned on them by accident."""

    name = "kodak"

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser()

    def files(self, split: Split) -> list[Path]:
        if split != "test":
            return []
        paths = (self.root / f"kodim{number:02d}.png" for number in range(1, KODAK_COUNT + 1))
        return require_files(paths, name=self.name, tree=KODAK_TREE, origin=KODAK_ORIGIN)


DIV2K_TREE = """
<root>/
    DIV2K_train_HR/0001.png ... 0800.png
    DIV2K_valid_HR/0801.png ... 0900.png
"""
DIV2K_ORIGIN = "https://data.vision.ee.ethz.ch/cvl/DIV2K/ (DIV2K_train_HR.zip, DIV2K_valid_HR.zip)"
DIV2K_SPLITS: dict[Split, tuple[str, range]] = {
    "train": ("DIV2K_train_HR", range(1, 801)),
    "val": ("DIV2K_valid_HR", range(801, 901)),
}


class Div2k:
    """Split `train` is 0001-0800, `val` 0801-0900; the test photos were never released."""

    name = "div2k"

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser()

    def files(self, split: Split) -> list[Path]:
        if split not in DIV2K_SPLITS:
            return []
        folder, numbers = DIV2K_SPLITS[split]
        paths = (self.root / folder / f"{number:04d}.png" for number in numbers)
        return require_files(paths, name=self.name, tree=DIV2K_TREE, origin=DIV2K_ORIGIN)


CITYSCAPES_COUNTS: dict[Split, int] = {"train": 2975, "val": 500, "test": 1525}
CITYSCAPES_TREE = """
<root>/leftImg8bit/
    train/<18 cities>/*_leftImg8bit.png    2975
    val/<3 cities>/*_leftImg8bit.png        500
    test/<6 cities>/*_leftImg8bit.png      1525
"""
CITYSCAPES_ORIGIN = (
    "https://www.cityscapes-dataset.com/downloads/ (leftImg8bit_trainvaltest.zip, 11 GB, free registration)"
)


class Cityscapes:
    """The published split into cities; annotations are not needed."""

    name = "cityscapes"

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser()

    def files(self, split: Split) -> list[Path]:
        folder = self.root / "leftImg8bit" / split
        found = sorted(folder.glob("*/*_leftImg8bit.png"))
        return require_count(
            found,
            CITYSCAPES_COUNTS[split],
            where=folder,
            name=self.name,
            tree=CITYSCAPES_TREE,
            origin=CITYSCAPES_ORIGIN,
        )


CLIC_TRACKS = ("professional", "mobile")
# Both years train and validate on the same photos. The size of the test set of 2019 has no published source that we
# know of, so that there only an empty folder is refused.
CLIC_COUNTS: dict[tuple[str, Split], int] = {
    ("professional", "train"): 585,
    ("mobile", "train"): 1048,
    ("professional", "val"): 41,
    ("mobile", "val"): 61,
    ("professional", "test"): 250,
    ("mobile", "test"): 178,
}
CLIC_ADDRESS = "https://data.vision.ee.ethz.ch/cvl/clic"


class Clic:
    """One folder for each archive, named as the archive is; what lies inside it is searched to any depth.

    `year` is 2019 or 2020 and `tracks` a choice of professional and mobile; other values raise `ValueError`.
    """

    name = "clic"

    def __init__(self, root: str | Path, *, year: int = 2020, tracks: Sequence[str] = CLIC_TRACKS) -> None:
        if year not in (2019, 2020):
            raise ValueError(f"clic: year {year} is not one of 2019, 2020")
        if not tracks or not set(tracks) <= set(CLIC_TRACKS):
            raise ValueError(f"clic: tracks {list(tracks)} are not a choice of {list(CLIC_TRACKS)}")
        self.root, self.year, self.tracks = Path(root).expanduser(), year, tuple(tracks)

    def files(self, split: Split) -> list[Path]:
        return [path for track in self.tracks for path in self._track_files(track, split)]

    def _track_files(self, track: str, split: Split) -> list[Path]:
        folder = self.root / _archive(self.year, track, split)
        expected = 1 if (self.year, split) == (2019, "test") else CLIC_COUNTS[track, split]
        origin = f"{CLIC_ADDRESS}/{'test/' if split == 'test' else ''}{folder.name}.zip (unpack with -d {folder.name})"
        return require_count(
            list_images(folder), expected, where=folder, name=self.name, tree=_tree(self.year), origin=origin
        )


def _archive(year: int, track: str, split: Split) -> str:
    if split == "test":
        return f"CLIC{year}{track.capitalize()}_test"
    part = {"train": "train", "val": "valid"}[split]
    return f"{track}_{part}_2020" if year == 2020 else f"{track}_{part}"


def _tree(year: int) -> str:
    lines = ["<root>/"]
    for (track, split), count in CLIC_COUNTS.items():
        number = "" if (year, split) == (2019, "test") else f"    {count}"
        lines.append(f"    {_archive(year, track, split)}/**/*.png{number}")
    return "\n".join(lines)


# package: the folder inside it that holds photos
BUNDLED_FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}
BUNDLED_PHOTOS: dict[Split, tuple[tuple[str, str], ...]] = {
    "train": (
        ("sklearn", "china.jpg"),
        ("skimage", "coffee.png"),
        ("skimage", "rocket.jpg"),
        ("skimage", "motorcycle_left.png"),
        ("skimage", "motorcycle_right.png"),
        ("skimage", "hubble_deep_field.jpg"),
        ("skimage", "retina.jpg"),
    ),
    "val": (("sklearn", "flower.jpg"),),
    "test": (("skimage", "astronaut.png"), ("skimage", "chelsea.png")),
}
BUNDLED_TREE = "\n".join(
    f"{package}/{folder}/: "
    + ", ".join(name for photos in BUNDLED_PHOTOS.values() for owner, name in photos if owner == package)
    for package, folder in BUNDLED_FOLDERS.items()
)
BUNDLED_ORIGIN = "the wheels of scikit-image and scikit-learn: pip install --force-reinstall scikit-image scikit-learn"


class BundledPhotos:
    """Seven photos to train on, one to validate, two to test: enough to see that everything works, no more.

    The installed files are opened directly; scikit-image's own accessors would fetch what they do not find. OptionError
    for a root: somebody's photos would stay unread.
    """

    name = "bundled"

    def __init__(self, root: object = None) -> None:
        if root is not None:
            raise OptionError(f"data=bundled brings its own photos and takes no root: data=folder data.root={root}")

    def files(self, split: Split) -> list[Path]:
        paths = [_folder(package) / name for package, name in BUNDLED_PHOTOS[split]]
        return require_files(paths, name=self.name, tree=BUNDLED_TREE, origin=BUNDLED_ORIGIN)


def _folder(package: str) -> Path:
    # find_spec does not import the package: scikit-learn alone would take a second.
    spec = find_spec(package)
    locations = spec.submodule_search_locations if spec is not None else None
    return Path(locations[0] if locations else package) / BUNDLED_FOLDERS[package]
