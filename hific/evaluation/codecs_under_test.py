"""What is measured: a codec as it stands, or a family of which each image gets the setting that its limit allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from hific.codecs.base import Codec
from hific.evaluation.match_rate import CodecFamily, RateNotReachedError, match_bytes

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
    the row says so."""

    name: str
    family: CodecFamily
    max_bytes: Mapping[str, int]

    def spec(self, image_name: str, pixels: Pixels) -> EncodeSpec:
        limit = self.max_bytes[image_name]
        note = ""
        try:
            codec, _ = match_bytes(self.family, pixels, limit)
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
