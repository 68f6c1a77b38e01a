"""The 24 photos of the Kodak PhotoCD: for evaluation only, as everybody uses them."""

from __future__ import annotations

from pathlib import Path

from hific.data.source import Split, require_files

COUNT = 24
TREE = """
<root>/
    kodim01.png ... kodim24.png    768x512 or 512x768
"""
ORIGIN = "https://r0k.us/graphics/kodak/"


class Kodak:
    """Test photos only: there is no train or val split, so that nothing is trained or tuned on them by accident."""

    name = "kodak"

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser()

    def files(self, split: Split) -> list[Path]:
        if split != "test":
            return []
        paths = (self.root / f"kodim{number:02d}.png" for number in range(1, COUNT + 1))
        return require_files(paths, name=self.name, tree=TREE, origin=ORIGIN)
