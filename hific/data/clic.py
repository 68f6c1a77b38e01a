"""The photos of the Challenge on Learned Image Compression, 2019 and 2020: professional and mobile, PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hific.data.source import Split, list_images, require_count

TRACKS = ("professional", "mobile")
# Both years train and validate on the same photos. The size of the test set of 2019 has no published source that we
# know of, so that there only an empty folder is refused.
COUNTS: dict[tuple[str, Split], int] = {
    ("professional", "train"): 585,
    ("mobile", "train"): 1048,
    ("professional", "val"): 41,
    ("mobile", "val"): 61,
    ("professional", "test"): 250,
    ("mobile", "test"): 178,
}
ADDRESS = "https://data.vision.ee.ethz.ch/cvl/clic"


class Clic:
    """One folder for each archive, named as the archive is; what lies inside it is searched to any depth.

    `year` is 2019 or 2020 and `tracks` a choice of professional and mobile; other values raise `ValueError`.
    """

    name = "clic"

    def __init__(self, root: str | Path, *, year: int = 2020, tracks: Sequence[str] = TRACKS) -> None:
        if year not in (2019, 2020):
            raise ValueError(f"clic: year {year} is not one of 2019, 2020")
        if not tracks or not set(tracks) <= set(TRACKS):
            raise ValueError(f"clic: tracks {list(tracks)} are not a choice of {list(TRACKS)}")
        self.root, self.year, self.tracks = Path(root).expanduser(), year, tuple(tracks)

    def files(self, split: Split) -> list[Path]:
        return [path for track in self.tracks for path in self._track_files(track, split)]

    def _track_files(self, track: str, split: Split) -> list[Path]:
        folder = self.root / _archive(self.year, track, split)
        expected = 1 if (self.year, split) == (2019, "test") else COUNTS[track, split]
        origin = f"{ADDRESS}/{'test/' if split == 'test' else ''}{folder.name}.zip (unpack with -d {folder.name})"
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
    for (track, split), count in COUNTS.items():
        number = "" if (year, split) == (2019, "test") else f"    {count}"
        lines.append(f"    {_archive(year, track, split)}/**/*.png{number}")
    return "\n".join(lines)
