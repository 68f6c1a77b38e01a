"""What is measured: a codec as it stands, or a family of which each image gets the setting that its limit allows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from PIL import Image

from hific.codecs.base import Codec, ImageLike
from hific.errors import in_a_line


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


# Of one image, by scale and position in the family's settings. Searches for several limits share them: AVIF's at
# speed 3 take two seconds a megapixel and core.
Files = dict[tuple[int, int], Made]


def match_bytes(
    family: CodecFamily, image: ImageLike, max_bytes: int, files: Files | None = None
) -> tuple[ScaledCodec, bytes]:
    """The codec of `family` whose file of `image` is the largest not above `max_bytes`, and that file.

    The image is coded at the first of `family.scales` at which any setting fits: a smaller picture is used only where
    the full one cannot go so low, or is beyond the format. `files` of it are taken, and added to. Raises
    RateNotReachedError where no scale can, FormatLimitError where there is no file at any.
    """
    files = {} if files is None else files
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
        codec, start = family.codec(family.settings[position], scale), time.perf_counter()
        try:
            data = codec.compress(image)
        except (OSError, RuntimeError, ValueError) as error:
            raise FormatLimitError(f"{family.name} at 1/{scale} size: {in_a_line(error)}") from error
        files[scale, position] = Made(data, time.perf_counter() - start)
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


if TYPE_CHECKING:
    from hific.codecs.family import Variant

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
NOT_DECODABLE = "not decodable at these bytes"
ABOVE_LIMIT = "above the byte limit"


@dataclass(frozen=True)
class EncodeSpec:
    """How one image is coded.

    Args:
        codec: makes the bytes, and the reconstruction unless `reconstruct` does.
        reconstruct: pixels to a reconstruction that uses more than the bytes hold; the note must say so.
        extra_metrics: pixels to further numbers of the row that no reconstruction shows, such as the accuracy of
            predicted switches.
        setting: of the row where it is not the codec's own.
        made: the file that `codec` made of the image, where that was done already.
        version, fingerprint, scale, max_bytes, note: of the row, see `Measurement`.
    """

    codec: Codec
    reconstruct: Callable[[Pixels], Image.Image] | None = None
    extra_metrics: Callable[[Pixels], Mapping[str, float]] | None = None
    setting: str = ""
    made: Made | None = None
    version: str = ""
    fingerprint: str = ""
    scale: int = 1
    max_bytes: int | None = None
    note: str = ""


class CodecUnderTest(Protocol):
    """One line of a table."""

    @property
    def name(self) -> str: ...

    def spec(self, image_name: str, pixels: Pixels) -> EncodeSpec: ...


@dataclass(frozen=True)
class FixedCodec:
    """The same spec for every image."""

    name: str
    fixed: EncodeSpec

    def spec(self, image_name: str, pixels: Pixels) -> EncodeSpec:
        return self.fixed


@dataclass(frozen=True)
class RateMatchedCodec:
    """A family at the largest file not above `max_bytes[image name]`; where it cannot go so low, at its smallest, and
    the row says so.

    next_larger: instead, at the next size above that, where there is one: between the two, what the family would be at
    equal bytes can be interpolated (evaluation/equal_bytes.py).
    files: of each image; codecs that share them code each image once at each setting.
    """

    name: str
    family: CodecFamily
    max_bytes: Mapping[str, int]
    next_larger: bool = False
    files: dict[str, Files] = field(default_factory=dict)

    def spec(self, image_name: str, pixels: Pixels) -> EncodeSpec:
        limit, files = self.max_bytes[image_name], self.files.setdefault(image_name, {})
        note = ""
        try:
            codec, _ = match_bytes(self.family, pixels, limit, files)
            if self.next_larger:
                codec = next_larger(self.family, pixels, codec, limit, files)
        except RateNotReachedError as error:
            codec, note = error.codec, ABOVE_LIMIT
        made = files[codec.scale, position_of(self.family, codec)]
        version, scale = self.family.version, codec.scale
        return EncodeSpec(codec, made=made, version=version, scale=scale, max_bytes=limit, note=note)


def variant_under_test(label: str, variant: Variant) -> FixedCodec:
    """One of the things that the files of a learned codec, called `label`, can be."""
    spec = EncodeSpec(
        variant.codec,
        reconstruct=variant.reconstruct,
        extra_metrics=variant.extra_metrics,
        setting=variant.label,
        fingerprint=variant.codec.fingerprint.hex(),
        note=NOT_DECODABLE if variant.reconstruct else "",
    )
    return FixedCodec(f"{label}, {variant.label}", spec)
