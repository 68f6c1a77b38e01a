"""What is measured: a codec as it stands, or a family of which each image gets the setting that its limit allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from hific.codecs.base import Codec, ImageLike


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


def match_bytes(family: CodecFamily, image: ImageLike, max_bytes: int) -> tuple[ScaledCodec, bytes]:
    """The codec of `family` whose file of `image` is the largest not above `max_bytes`, and that file.

    The image is coded at the first of `family.scales` at which any setting fits: a smaller picture is used only where
    the full one cannot go so low. Raises RateNotReachedError where no scale can.
    """
    smallest: tuple[ScaledCodec, bytes] | None = None
    for scale in family.scales:
        files: dict[int, bytes] = {}
        position = _largest_fitting(family, image, scale, max_bytes, files)
        if position is not None:
            return family.codec(family.settings[position], scale), files[position]
        first = (family.codec(family.settings[0], scale), files[0])
        smallest = first if smallest is None or len(first[1]) < len(smallest[1]) else smallest
    assert smallest is not None, "a family has at least one scale"
    codec, data = smallest
    raise RateNotReachedError(
        f"{family.name} cannot go below {len(data)} bytes ({codec.setting}): {max_bytes} asked", codec, data
    )


def _largest_fitting(
    family: CodecFamily, image: ImageLike, scale: int, max_bytes: int, files: dict[int, bytes]
) -> int | None:
    """Bisection over positions in `family.settings`; every file made on the way is kept in `files`."""

    def fits(position: int) -> bool:
        if position not in files:
            files[position] = family.codec(family.settings[position], scale).compress(image)
        return len(files[position]) <= max_bytes

    if not fits(0):
        return None
    below, above = 0, len(family.settings)
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if fits(middle) else (below, middle)
    # Sizes rise with the setting only nearly, so the largest fitting file seen may be one that the search went past.
    return max(
        (position for position in files if fits(position)), key=lambda position: (len(files[position]), position)
    )


def next_larger(
    family: CodecFamily, image: ImageLike, fitting: ScaledCodec, num_bytes: int, max_bytes: int
) -> ScaledCodec:
    """At the scale of `fitting`, whose file is of `num_bytes`, the first setting behind it whose file is above
    `max_bytes`; `fitting` itself where that is met exactly, or no setting is above."""
    if num_bytes == max_bytes:
        return fitting
    codecs = [family.codec(setting, fitting.scale) for setting in family.settings]
    behind = codecs[codecs.index(fitting) + 1 :]
    return next((codec for codec in behind if len(codec.compress(image)) > max_bytes), fitting)


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
        version, fingerprint, scale, max_bytes, note: of the row, see `Measurement`.
    """

    codec: Codec
    reconstruct: Callable[[Pixels], Image.Image] | None = None
    extra_metrics: Callable[[Pixels], Mapping[str, float]] | None = None
    setting: str = ""
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
    """

    name: str
    family: CodecFamily
    max_bytes: Mapping[str, int]
    next_larger: bool = False

    def spec(self, image_name: str, pixels: Pixels) -> EncodeSpec:
        limit = self.max_bytes[image_name]
        note = ""
        try:
            codec, data = match_bytes(self.family, pixels, limit)
            if self.next_larger:
                codec = next_larger(self.family, pixels, codec, len(data), limit)
        except RateNotReachedError as error:
            codec, note = error.codec, ABOVE_LIMIT
        return EncodeSpec(codec, version=self.family.version, scale=codec.scale, max_bytes=limit, note=note)


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
