"""Files of a data source as the images of an evaluation."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from hific.data.datasets import PhotoReader
from hific.data.transforms import center_crop, downscale
from hific.errors import TooLargeError
from hific.evaluation.codecs_under_test import Pixels
from hific.evaluation.evaluate import EvaluationImage


def evaluation_images(
    files: Sequence[Path],
    *,
    clahe: bool = False,
    scale: float = 1.0,
    crop: int | None = None,
    check_size: Callable[[int, int], object] | None = None,
) -> tuple[list[EvaluationImage], list[str]]:
    """The images that can be measured, and a sentence for each that cannot be decoded or is too large: it is missing
    from every mean.

    `clahe`: equalize lightness, as the paper does; the result is the reference. `scale`: downscaled by it, in (0, 1].
    `crop`: only the center, at most so many pixels a side. `check_size`: of width and height; raises TooLargeError
    where a codec does not take them. Images are read when they are needed, not kept.
    """
    images, warnings = [], []
    scaled, cropped = f"scale {scale:g}" if scale < 1 else "", f"center crop of {crop}" if crop else ""
    preprocessing = ", ".join(filter(None, ("CLAHE" if clahe else "", scaled, cropped)))
    for path, name in zip(files, _unique_names(files), strict=True):
        read = partial(_read, path, clahe, scale, crop)
        try:
            height, width = read().shape[:2]
        except ValueError as error:
            warnings.append(f"left out: {path.name} cannot be read ({str(error).replace(str(path), path.name)}).")
            continue
        try:
            if check_size is not None:
                check_size(width, height)
        except TooLargeError as error:
            warnings.append(f"left out: {path.name}: {error}; or measure centers by crop=PIXELS.")
            continue
        # Bytes of a name that are no UTF-8 go into no table: as \xe9.
        name = os.fsencode(name).decode(errors="backslashreplace").replace("\\", "_")
        images.append(EvaluationImage(name, read, preprocessing))
    return images, warnings


def _read(path: Path, clahe: bool, scale: float, crop: int | None) -> Pixels:
    return center_crop(downscale(PhotoReader([path], clahe=clahe).read(0), scale), crop)


def _unique_names(files: Sequence[Path]) -> list[str]:
    """The name without suffix; with those of as many folders before it as it takes to tell all files apart."""
    for depth in range(1, max((len(path.parts) for path in files), default=1) + 1):
        names = ["_".join([*path.parts[-depth:-1], path.stem]) for path in files]
        if max(Counter(names).values(), default=0) <= 1:
            return names
    return [f"{number:05d}_{path.stem}" for number, path in enumerate(files)]
