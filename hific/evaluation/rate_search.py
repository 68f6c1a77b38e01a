"""The search of a codec's setting for a number of bytes, image by image."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from hific.codecs.base import Codec, ImageLike
from hific.errors import in_a_line
from hific.programs import ProgramStoppedError


class ScaledCodec(Codec, Protocol):
    """A codec that may work on the image at 1/scale of its width and height."""

    @property
    def scale(self) -> int: ...


class CodecFamily(Protocol):
    """A codec whose setting is still open."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def settings(self) -> Sequence[int]:
        """Ordered from the smallest file to the largest."""

    @property
    def scales(self) -> Sequence[int]:
        """Divisors of width and height, 1 first, tried in this order."""

    def codec(self, setting: int, scale: int) -> ScaledCodec: ...


class RateNotReachedError(ValueError):
    """No setting at any scale is small enough; `codec` and `data` are the smallest file there is."""

    def __init__(self, message: str, codec: ScaledCodec, data: bytes) -> None:
        super().__init__(message)
        self.codec = codec
        self.data = data


class FormatLimitError(ValueError):
    """A format that has no file of such an image: WebP ends at 16383 pixels a side, JPEG at 65500."""


class Made(NamedTuple):
    """A file, and how long it took to make."""

    data: bytes
    seconds: float


def make(family: CodecFamily, codec: ScaledCodec, image: ImageLike) -> Made:
    """The file of `codec`, which is one of `family`."""
    start = time.perf_counter()
    return Made(codec.compress(image), time.perf_counter() - start)


Make = Callable[[CodecFamily, ScaledCodec, ImageLike], Made]


class Files(dict[tuple[int, int], Made]):
    """Of one image, by scale and position in the family's settings. Searches for several limits share them: AVIF's at
    speed 3 take two seconds a megapixel and core.

    make: what makes those that are not there; by default the codec, else a cache before it.
    """

    def __init__(self, make: Make = make) -> None:
        super().__init__()
        self.make = make


def match_bytes(
    family: CodecFamily, image: ImageLike, max_bytes: int, files: Files | None = None
) -> tuple[ScaledCodec, bytes]:
    """The codec of `family` whose file of `image` is the largest not above `max_bytes`, and that file.

    The image is coded at the first of `family.scales` at which any setting fits: a smaller picture is used only where
    the full one cannot go so low, or is beyond the format. `files` of it are taken, and added to. Raises
    RateNotReachedError where no scale can, FormatLimitError where there is no file at any.
    """
    files = Files() if files is None else files
    smallest: tuple[ScaledCodec, bytes] | None = None
    beyond: FormatLimitError | None = None
    for scale in family.scales:
        try:
            position = _largest_fitting(family, image, scale, max_bytes, files)
        except FormatLimitError as error:
            beyond = error
            continue
        if position is not None:
            return family.codec(family.settings[position], scale), files[scale, position].data
        first = (family.codec(family.settings[0], scale), files[scale, 0].data)
        smallest = first if smallest is None or len(first[1]) < len(smallest[1]) else smallest
    if smallest is None:
        assert beyond is not None, "a family has at least one scale"
        raise beyond
    codec, data = smallest
    raise RateNotReachedError(
        f"{family.name} cannot go below {len(data)} bytes ({codec.setting}): {max_bytes} asked", codec, data
    )


def _largest_fitting(family: CodecFamily, image: ImageLike, scale: int, max_bytes: int, files: Files) -> int | None:
    """A search over positions in `family.settings`; every file made on the way is kept in `files`.

    Where the sizes at both ends are known, next to the limit on the line between their logarithms, which takes half the
    files of a bisection; in the middle where that left more than half.
    """

    def size(position: int) -> int:
        return len(_file(family, image, scale, position, files).data)

    if size(0) > max_bytes:
        return None
    below, above, halved = 0, len(family.settings), True
    while above - below > 1:
        middle = (below + above) // 2
        if halved and above < len(family.settings):
            smaller, larger = math.log(1 + size(below)), math.log(1 + size(above))
            share = (math.log(1 + max_bytes) - smaller) / (larger - smaller)
            middle = min(max(below + round(share * (above - below)), below + 1), above - 1)
        width = above - below
        below, above = (middle, above) if size(middle) <= max_bytes else (below, middle)
        halved = 2 * (above - below) <= width + 1
    # Sizes rise with the setting only nearly, so the largest fitting file seen may be one that the search went past.
    return max(
        (position for at, position in files if at == scale and size(position) <= max_bytes),
        key=lambda position: (size(position), position),
    )


def _file(family: CodecFamily, image: ImageLike, scale: int, position: int, files: Files) -> Made:
    if (scale, position) not in files:
        codec = family.codec(family.settings[position], scale)
        try:
            files[scale, position] = files.make(family, codec, image)
        except (OSError, RuntimeError, ValueError) as error:
            if isinstance(error, ProgramStoppedError) or getattr(error, "errno", None) is not None:
                raise  # of this machine, such as a full disk, and no limit of the format
            raise FormatLimitError(f"{family.name} at 1/{scale} size: {in_a_line(error)}") from error
    return files[scale, position]


def position_of(family: CodecFamily, codec: ScaledCodec) -> int:
    """In `family.settings`."""
    positions = range(len(family.settings))
    return next(one for one in positions if family.codec(family.settings[one], codec.scale) == codec)


def next_larger(
    family: CodecFamily, image: ImageLike, fitting: ScaledCodec, max_bytes: int, files: Files
) -> ScaledCodec:
    """At the scale of `fitting`, which `match_bytes` found, the first setting behind it whose file is above
    `max_bytes`; `fitting` itself where that is met exactly, or no setting is above."""
    scale, own = fitting.scale, position_of(family, fitting)
    if len(files[scale, own].data) == max_bytes:
        return fitting
    behind = range(own + 1, len(family.settings))
    larger = (one for one in behind if len(_file(family, image, scale, one, files).data) > max_bytes)
    return family.codec(family.settings[next(larger, own)], scale)
