"""DIV2K, high resolution (Agustsson and Timofte, NTIRE 2017): 800 photos to train, 100 to validate, about 2K PNG."""

from __future__ import annotations

from pathlib import Path

from hific.data.source import Split, require_files

TREE = """
<root>/
    DIV2K_train_HR/0001.png ... 0800.png
    DIV2K_valid_HR/0801.png ... 0900.png
"""
ORIGIN = "https://data.vision.ee.ethz.ch/cvl/DIV2K/ (DIV2K_train_HR.zip, DIV2K_valid_HR.zip)"
SPLITS: dict[Split, tuple[str, range]] = {
    "train": ("DIV2K_train_HR", range(1, 801)),
    "val": ("DIV2K_valid_HR", range(801, 901)),
}


class Div2k:
    """Split `train` is 0001-0800, `val` 0801-0900; the test photos were never released."""

    name = "div2k"

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser()

    def files(self, split: Split) -> list[Path]:
        if split not in SPLITS:
            return []
        folder, numbers = SPLITS[split]
        paths = (self.root / folder / f"{number:04d}.png" for number in numbers)
        return require_files(paths, name=self.name, tree=TREE, origin=ORIGIN)
