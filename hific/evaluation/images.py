"""Files of a data source as the images of an evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hific.data.datasets import PhotoReader
from hific.data.transforms import center_crop
from hific.evaluation.evaluate import EvaluationImage
from hific.evaluation.systems import Pixels
from hific.ops.padding import padded_size


@dataclass(frozen=True)
class SizeLimit:
    """The most pixels that a network takes at once, counted after padding to a multiple of `multiple` and at least
    `minimum` a side."""

    max_pixels: int
    multiple: int = 1
    minimum: int = 1

    def allows(self, height: int, width: int) -> bool:
        padded = [padded_size(length, self.multiple, self.minimum) for length in (height, width)]
        return padded[0] * padded[1] <= self.max_pixels


def evaluation_images(
    files: Sequence[Path], *, clahe: bool = False, crop: int | None = None, limit: SizeLimit | None = None
) -> tuple[list[EvaluationImage], list[str]]:
    """The images that can be measured, and a sentence for each that cannot be decoded or is above `limit`: it is
    missing from every mean.

    `clahe`: equalize lightness, as the paper does; the result is the reference. `crop`: only the center, at most so
    many pixels a side. Images are read when they are needed, not kept.
    """
    images, warnings = [], []
    preprocessing = ", ".join(filter(None, ("CLAHE" if clahe else "", f"center crop of {crop}" if crop else "")))
    for path, name in zip(files, _unique_names(files), strict=True):
        read = partial(_read, path, clahe, crop)
        try:
            height, width = read().shape[:2]
        except ValueError as error:
            warnings.append(f"left out: {path.name} cannot be read ({str(error).replace(str(path), path.name)}).")
            continue
        if limit is None or limit.allows(height, width):
            images.append(EvaluationImage(name, read, preprocessing))
        else:
            warnings.append(
                f"left out: {path.name}, {width}x{height}, is above max_pixels={limit.max_pixels} of CompressNet, "
                "which takes an image whole: raise max_pixels if memory allows, or measure centers by crop=PIXELS."
            )
    return images, warnings


def _read(path: Path, clahe: bool, crop: int | None) -> Pixels:
    return center_crop(PhotoReader([path], clahe=clahe).read(0), crop)


def _unique_names(files: Sequence[Path]) -> list[str]:
    """The name without suffix; with those of as many folders before it as it takes to tell all files apart."""
    for depth in range(1, max((len(path.parts) for path in files), default=1) + 1):
        names = ["_".join([*path.parts[-depth:-1], path.stem]) for path in files]
        if max(Counter(names).values(), default=0) <= 1:
            return names
    return [f"{number:05d}_{path.stem}" for number, path in enumerate(files)]
