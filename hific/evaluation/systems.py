"""What is measured: a codec as it stands, or a family of which each image gets the setting that its limit allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from PIL import Image

from hific.codecs.base import Codec
from hific.evaluation.match_rate import CodecFamily, RateNotReachedError, match_bytes

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
NOT_DECODABLE = "not decodable at these bytes"
ABOVE_LIMIT = "above the byte limit"


@dataclass(frozen=True)
class Setup:
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


class System(Protocol):
    """One line of a table."""

    @property
    def name(self) -> str: ...

    def setup(self, image_name: str, pixels: Pixels) -> Setup: ...


@dataclass(frozen=True)
class FixedSystem:
    """The same setup for every image."""

    name: str
    fixed: Setup

    def setup(self, image_name: str, pixels: Pixels) -> Setup:
        return self.fixed


@dataclass(frozen=True)
class MatchedSystem:
    """A family at the largest file not above `max_bytes[image name]`; where it cannot go so low, at its smallest, and
    the row says so."""

    name: str
    family: CodecFamily
    max_bytes: Mapping[str, int]

    def setup(self, image_name: str, pixels: Pixels) -> Setup:
        limit = self.max_bytes[image_name]
        note = ""
        try:
            codec, _ = match_bytes(self.family, pixels, limit)
        except RateNotReachedError as error:
            codec, note = error.codec, ABOVE_LIMIT
        return Setup(codec, version=self.family.version, scale=codec.scale, max_bytes=limit, note=note)


def oracle(name: str, base: Setup, reconstruct: Callable[[Pixels], Image.Image], *, knows: str = "") -> FixedSystem:
    """A bound: the bytes of `base`, and a reconstruction that also looks at the original. `knows`: what it takes from
    there, such as "oracle switches", for the setting of its rows."""
    setting = ", ".join(filter(None, (base.codec.setting, knows)))
    setup = replace(base, reconstruct=reconstruct, extra_metrics=None, setting=setting, note=NOT_DECODABLE)
    return FixedSystem(name, setup)
