"""JPEG, JPEG2000, WebP and AVIF as Pillow writes them, behind the same two calls as the learned codecs.

A family is a codec whose setting is still open: `settings` are ordered from the smallest file to the largest, so that a
rate can be searched. Below the rate that a format can reach at full resolution the image is coded smaller, and the
decoder brings it back to its size:

    image [H,W] ─ Lanczos ─ [ceil(H/s),ceil(W/s)] ─ encode ─ bytes + 1 ─ decode ─ Lanczos ─ [H,W]

The one byte (only at scale s > 1) holds what the division lost, because the file itself no longer knows H and W: it is
counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image, features

from hific.codecs.base import ImageLike, as_rgb8

SCALES = (1, 2, 4)

# Kodak at .0726 bpp, mean of 24, one core: speed 6 (Pillow's own) 25.76 dB at .8 s for the whole search, speed 4
# 25.96 dB at 4 s, speed 2 another .1 dB at 11 s. A baseline should be strong, and searching a data set bearable.
AVIF_SPEED = 4

# OpenJPEG takes a compression ratio: geometric steps of .44 % from 8192:1 to 1:1, finer than what it makes of them.
JPEG2000_STEPS = 2048
JPEG2000_MAX_RATIO = 8192.0

_PILLOW_FORMATS = {"jpeg": "JPEG", "jpeg2000": "JPEG2000", "webp": "WEBP", "avif": "AVIF"}
_EXTENSIONS = {"jpeg": ".jpg", "jpeg2000": ".j2k", "webp": ".webp", "avif": ".avif"}
_LIBRARIES = {
    "jpeg": ("libjpeg_turbo", "libjpeg-turbo"),
    "jpeg2000": ("jpg_2000", "OpenJPEG"),
    "webp": ("webp", "libwebp"),
    "avif": ("avif", "libavif"),
}
_SETTINGS = {
    "jpeg": range(1, 96),  # Pillow: above 95 the files grow and nothing is gained
    "jpeg2000": range(JPEG2000_STEPS),
    "webp": range(101),
    "avif": range(101),
}
CODEC_NAMES = tuple(_PILLOW_FORMATS)


def jpeg2000_ratio(quality: int) -> float:
    """The compression ratio of step `quality` of 0..JPEG2000_STEPS - 1: geometric, from the largest ratio down to 1."""
    return float(JPEG2000_MAX_RATIO ** (1 - quality / (JPEG2000_STEPS - 1)))


def library_version(name: str) -> str:
    """The library that codes `name` and its version, such as "libwebp 1.6.0"."""
    feature, title = _LIBRARIES[name]
    return f"{title} {features.version(feature) or 'of unknown version'}"


@dataclass(frozen=True)
class PillowCodec:
    """One format at one quality and one scale.

    Args:
        name: one of `CODEC_NAMES`.
        quality: the format's own, 0 or 1 to 100; of JPEG2000 a step, see `jpeg2000_ratio`.
        scale: the image is coded at 1/scale of its width and height.
        speed: of AVIF's encoder, 0 (slow, small files) to 10; the other formats have none.

    Raises ValueError on values outside these.
    """

    name: str
    quality: int
    scale: int = 1
    speed: int = AVIF_SPEED

    def __post_init__(self) -> None:
        if self.name not in _PILLOW_FORMATS:
            raise ValueError(f"no classical codec {self.name!r}: one of {', '.join(CODEC_NAMES)}")
        if self.quality not in _SETTINGS[self.name]:
            raise ValueError(f"{self.name} has no quality {self.quality}: it is in {_SETTINGS[self.name]}")
        if not 1 <= self.scale <= 16 or not 0 <= self.speed <= 10:
            raise ValueError(
                f"scale {self.scale} must be 1 to 16 (what the size byte can hold), speed {self.speed} 0 to 10"
            )

    @property
    def setting(self) -> str:
        """What was searched, such as "quality 12, speed 4, 1/2 size (Lanczos)"."""
        step = (
            f"ratio {jpeg2000_ratio(self.quality):.1f}:1, ICT" if self.name == "jpeg2000" else f"quality {self.quality}"
        )
        speed = f", speed {self.speed}" if self.name == "avif" else ""
        return step + speed + (f", 1/{self.scale} size (Lanczos)" if self.scale > 1 else "")

    @property
    def extension(self) -> str:
        return _EXTENSIONS[self.name]

    def compress(self, image: ImageLike) -> bytes:
        small, size_byte = downscale(Image.fromarray(as_rgb8(image)), self.scale)
        buffer = BytesIO()
        small.save(buffer, _PILLOW_FORMATS[self.name], **_save_options(self))
        return buffer.getvalue() + size_byte

    def decompress(self, data: bytes) -> Image.Image:
        """RGB at the size of the original. Pillow's UnidentifiedImageError or OSError on data of another format."""
        body = data if self.scale == 1 else data[:-1]
        with Image.open(BytesIO(body), formats=[_PILLOW_FORMATS[self.name]]) as opened:
            small = opened.convert("RGB")
        return small if self.scale == 1 else upscale(small, self.scale, data[-1])


def _save_options(codec: PillowCodec) -> dict[str, Any]:
    if codec.name == "jpeg":
        return {"quality": codec.quality, "progressive": True, "optimize": True}
    if codec.name == "jpeg2000":
        ratio = jpeg2000_ratio(codec.quality)
        # A raw codestream: the boxes of a .jp2 around it are 85 bytes that say nothing more. Without its color
        # transform (ICT), which Pillow leaves out unless told, JPEG2000 loses 1.5 to 2.3 dB.
        return {"quality_mode": "rates", "quality_layers": [ratio], "irreversible": True, "mct": 1, "no_jp2": True}
    if codec.name == "webp":
        return {"quality": codec.quality, "method": 6}
    return {"quality": codec.quality, "speed": codec.speed}


def downscale(image: Image.Image, scale: int) -> tuple[Image.Image, bytes]:
    """The image that is coded, and the byte behind its file."""
    if scale == 1:
        return image, b""
    width, height = -(-image.width // scale), -(-image.height // scale)
    lost_width, lost_height = width * scale - image.width, height * scale - image.height
    return image.resize((width, height), Image.Resampling.LANCZOS), bytes([lost_width * 16 + lost_height])


def as_png(image: Image.Image) -> bytes:
    """For programs that read no other: large, and at once."""
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def upscale(small: Image.Image, scale: int, size_byte: int) -> Image.Image:
    """To the size of the original."""
    size = (small.width * scale - size_byte // 16, small.height * scale - size_byte % 16)
    return small.resize(size, Image.Resampling.LANCZOS)


@dataclass(frozen=True)
class PillowFamily:
    """A format with its ordered settings, whose rate can be matched."""

    name: str
    scales: Sequence[int] = SCALES
    speed: int = AVIF_SPEED

    @property
    def settings(self) -> range:
        """Every quality, in the order of growing files."""
        return _SETTINGS[self.name]

    @property
    def version(self) -> str:
        return library_version(self.name)

    def codec(self, setting: int, scale: int) -> PillowCodec:
        return PillowCodec(self.name, setting, scale, self.speed)
