"""Several sets as one, as in the paper's training data: Cityscapes and CLIC 2019."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hific.data.source import ImageSource, Split


class CombinedSource:
    """The files of each source in turn; every photo is drawn equally often, whichever set it is from."""

    def __init__(self, sources: Sequence[ImageSource]) -> None:
        self.sources = tuple(sources)
        self.name = "+".join(source.name for source in self.sources)

    def files(self, split: Split) -> list[Path]:
        return [path for source in self.sources for path in source.files(split)]
