"""Equal rate or it is no comparison: a classical codec at the largest file not above a given number of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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
