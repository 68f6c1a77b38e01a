"""Cityscapes (Cordts et al., CVPR 2016): the left camera's images, 2048x1024 PNG, as split for fine annotations."""

from __future__ import annotations

from pathlib import Path

from hific.data.source import Split, require_count

COUNTS: dict[Split, int] = {"train": 2975, "val": 500, "test": 1525}
TREE = """
<root>/leftImg8bit/
    train/<18 cities>/*_leftImg8bit.png    2975
    val/<3 cities>/*_leftImg8bit.png        500
    test/<6 cities>/*_leftImg8bit.png      1525
"""
ORIGIN = "https://www.cityscapes-dataset.com/downloads/ (leftImg8bit_trainvaltest.zip, 11 GB, free registration)"


class Cityscapes:
    """The published split into cities; annotations are not needed."""

    name = "cityscapes"

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser()

    def files(self, split: Split) -> list[Path]:
        folder = self.root / "leftImg8bit" / split
        found = sorted(folder.glob("*/*_leftImg8bit.png"))
        return require_count(found, COUNTS[split], where=folder, name=self.name, tree=TREE, origin=ORIGIN)
