"""What is measured: a codec as it stands, or a family of which each image gets the setting that its limit allows."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from hific.codecs.base import Codec
from hific.evaluation.content_cache import key_of, source_digest
from hific.evaluation.measurement import describe_device, library_versions
from hific.evaluation.rate_search import (
    CodecFamily,
    Files,
    Made,
    Make,
    RateNotReachedError,
    make,
    match_bytes,
    next_larger,
    position_of,
)

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
        identity: of all that file, reconstruction and extra metrics follow from beside the pixels; empty where that is
            not known.
        version, fingerprint, scale, max_bytes, note: of the row, see `Measurement`.
    """

    codec: Codec
    reconstruct: Callable[[Pixels], Image.Image] | None = None
    extra_metrics: Callable[[Pixels], Mapping[str, float]] | None = None
    setting: str = ""
    made: Made | None = None
    identity: str = ""
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
    make: makes a file, or finds it.
    """

    name: str
    family: CodecFamily
    max_bytes: Mapping[str, int]
    next_larger: bool = False
    files: dict[str, Files] = field(default_factory=dict)
    make: Make = make

    def spec(self, image_name: str, pixels: Pixels) -> EncodeSpec:
        limit, files = self.max_bytes[image_name], self.files.setdefault(image_name, Files(self.make))
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


def variant_identity(variant: Variant) -> str:
    """Empty where the codec is none that has all of these: its model and tables, by their SHA-256, and its options."""
    codec = variant.codec
    if not hasattr(codec, "identity"):
        return ""
    from hific.codecs.latent_refinement import searched_by  # torch, which a learned codec has brought

    return key_of(
        {
            "codec": [codec.family.name, codec.identity.fingerprint.hex(), repr(codec.options)],
            "variant": [variant.label, variant.is_control],
            "source": source_digest("hific"),
            "searched_by": searched_by(),
            "libraries": library_versions(),
            "device": describe_device(str(next(codec.model.parameters()).device)),
            "processor": platform.machine(),
        }
    )


def variant_under_test(label: str, variant: Variant) -> FixedCodec:
    """One of the things that the files of a learned codec, called `label`, can be."""
    spec = EncodeSpec(
        variant.codec,
        reconstruct=variant.reconstruct,
        extra_metrics=variant.extra_metrics,
        setting=variant.label,
        fingerprint=variant.codec.fingerprint.hex(),
        note=NOT_DECODABLE if variant.reconstruct else "",
        identity=variant_identity(variant),
    )
    return FixedCodec(f"{label}, {variant.label}", spec)
