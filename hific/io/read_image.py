"""Any photo file to 8-bit sRGB, with a note on everything that was changed on the way.

    file ─ header: size against the limit ─ pixels ─ 16 to 8 bits ─ to sRGB, by cICP, ICC profile, gamma and primaries
         ─ alpha onto white ─ EXIF orientation

PIL, and OpenCV for the few deep samples that PIL reads wrong. Only plain raster formats are opened: Pillow would also
start Ghostscript for an EPS.
"""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from hific.errors import ImageError
from hific.io.stored_samples import StoredFacts, correct_planes, deep_jpeg2000, opacity_by_key, stored_facts

Alpha = Literal["composite", "refuse"]

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "QOI")
# Their 16-bit samples reach mode I scaled to 0..65535, and they have no wider ones.
FORMATS_OF_16_BITS_IN_32 = ("PNG", "PPM")
ORIENTATION_TAG = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What Pillow's decoders raise on damaged files: besides OSError whatever their parsers ran into.
DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    Image.DecompressionBombError,
    struct.error,
    zlib.error,
)
_open_lock = threading.Lock()


@dataclass(frozen=True)
class ReadImage:
    """`array`: uint8 [H, W, 3], sRGB; `notes`: what was converted, one phrase each, empty for plain 8-bit RGB."""

    array: np.ndarray[Any, np.dtype[np.uint8]]
    notes: tuple[str, ...]


def image_size(source: str | Path | BinaryIO, *, name: str | None = None) -> tuple[int, int]:
    """Width and height as stored, from the header alone; a stream is left at its start. Raises `ImageError`."""
    with _named_errors(source, name):
        with _open(source) as image:
            size = image.size
        if not isinstance(source, str | Path):
            source.seek(0)
        return size


def read_image(
    source: str | Path | BinaryIO,
    *,
    max_pixels: int = 2**28,
    alpha: Alpha = "composite",
    name: str | None = None,
) -> ReadImage:
    """Reads a file or a binary stream; raises `ImageError` if it is no image, is damaged, is larger than `max_pixels`
    (found from the header, before pixels are allocated), or has transparent pixels and `alpha="refuse"`.

    `name`: what errors call it.
    """
    with _named_errors(source, name), _open(source) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise ImageError(f"{width}x{height} is more than the limit of {max_pixels} pixels")
        return to_rgb8(image, alpha=alpha)


@contextmanager
def _named_errors(source: str | Path | BinaryIO, name: str | None) -> Iterator[None]:
    """Whatever Pillow raises, as an ImageError that names the file."""
    name = name or (str(source) if isinstance(source, str | Path) else str(getattr(source, "name", "<stream>")))
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: not an image that can be read (formats: {', '.join(FORMATS)})") from error
    except OSError as error:
        raise ImageError(f"{name}: {error.strerror or error}") from error
    except DECODING_ERRORS as error:
        raise ImageError(f"{name}: damaged image ({type(error).__name__}: {error})") from error


def to_rgb8(image: Image.Image, *, alpha: Alpha = "composite") -> ReadImage:
    """An opened image (its first frame) as 8-bit sRGB; raises `ImageError` without a file name."""
    if 0 in image.size:
        raise ImageError(f"an image of {image.width}x{image.height} has no pixels")
    notes: list[str] = []
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        notes.append(f"first of {frames} frames")
    facts = stored_facts(image)
    correct_planes(image, facts)
    keyed = opacity_by_key(image, facts) if len(facts.transparent) == 3 else None
    deep = deep_jpeg2000(image, facts)
    image.load()
    if facts.depth > 8 and (deep or (image.mode not in ("I", "F") and not image.mode.startswith("I;16"))):
        notes.append(f"{facts.depth}-bit samples reduced to 8")
    color, opacity = _split(deep or image, facts, notes)
    opacity = keyed if keyed is not None else opacity
    color = _to_srgb(color, image.info.get("icc_profile"), facts, notes)
    if opacity is not None:
        color = _flatten(color, opacity, alpha, notes)
    color = _orient(color, image, facts, notes)
    return ReadImage(np.array(color, dtype=np.uint8), tuple(notes))


def image_suffixes() -> frozenset[str]:
    """The file name endings (lower case, with dot) of the formats that are read, for looking through a folder."""
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS)


def _open(source: str | Path | BinaryIO) -> Image.Image:
    if not isinstance(source, str | Path) and not source.seekable():
        source = io.BytesIO(source.read())
    # Pillow's own limit is a global, and only warns up to twice its value: off while a header is read, ours follows.
    with _open_lock:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            Image.init()
            return Image.open(source, formats=[name for name in FORMATS if name in Image.OPEN])
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _split(image: Image.Image, facts: StoredFacts, notes: list[str]) -> tuple[Image.Image, Image.Image | None]:
    """Color as 8-bit L, RGB, CMYK or LAB, and opacity as L or None."""
    if len(facts.transparent) == 1 and facts.depth != 8:
        opacity = opacity_by_key(image, facts)
        grey = _reduce_to_8_bits(image, facts, notes) if facts.depth == 16 else image.convert("L")
        return grey, opacity
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _reduce_to_8_bits(image, facts, notes), None
    if image.mode in ("P", "PA"):
        notes.append("palette expanded")
    if image.mode in ("L", "LA") and image.has_transparency_data:
        # Grey stays grey, so that a profile for grey still fits.
        grey = image.convert("LA")
        return grey.getchannel("L"), grey.getchannel("A")
    if image.has_transparency_data:
        straight = image.convert("RGBA")
        return straight.convert("RGB"), straight.getchannel("A")
    if image.mode == "1":
        return image.convert("L"), None
    return (image if image.mode in ("L", "RGB", "CMYK", "LAB") else image.convert("RGB")), None


def _reduce_to_8_bits(image: Image.Image, facts: StoredFacts, notes: list[str]) -> Image.Image:
    # Mode I is 32 bits wide; that its values happen to fit into 16 says nothing of what white is.
    if image.mode == "F" or (image.mode == "I" and image.format not in FORMATS_OF_16_BITS_IN_32):
        kind = "floating point" if image.mode == "F" else "32-bit integer"
        raise ImageError(f"{kind} samples have no defined white: convert the image to 8 or 16 bits")
    twelve_bits = facts.depth == 12 and image.format == "TIFF"  # which Pillow does not spread over 16
    notes.append(f"{facts.depth if facts.depth > 8 else 16}-bit samples reduced to 8")
    high = (np.asarray(image).astype(np.uint16) >> (4 if twelve_bits else 8)).astype(np.uint8)
    return Image.fromarray(255 - high if facts.white_is_zero else high)


def _to_srgb(color: Image.Image, profile: bytes | None, facts: StoredFacts, notes: list[str]) -> Image.Image:
    mode = color.mode
    if mode == "CMYK":
        notes.append("CMYK converted to sRGB")
    elif mode == "L":
        notes.append("grey stored as RGB")
    if mode == "LAB":
        notes.append("Lab converted to sRGB")
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return _transformed(color, lab, srgb)
    if facts.tags is not None and (facts.ranks_over_profile or not profile):
        pixels = facts.tags.to_srgb(np.asarray(color.convert("RGB")))
        notes.append("colors converted to sRGB")
        return Image.fromarray(pixels)
    if not profile or facts.ranks_over_profile:
        return color.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if _is_srgb(source):
            return color.convert("RGB")
        if source.profile.xcolor_space.strip() == "RGB":
            color = color.convert("RGB")
        converted = _transformed(color, source, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError, ValueError):
        notes.append("unusable ICC profile ignored")
        return color.convert("RGB")
    notes.append("ICC profile converted to sRGB")
    return converted


# Of a level: sRGB's curve is written in several ways.
_SRGB_TOLERANCE = 2


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """By what it does, not by its name: many a linear profile is called sRGB."""
    if profile.profile.xcolor_space.strip() != "RGB":
        return False
    levels = np.arange(0, 256, 17, dtype=np.uint8)
    probe = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(16, 256, 3)
    seen = np.asarray(_transformed(Image.fromarray(probe), profile, ImageCms.createProfile("sRGB")))
    return int(np.abs(seen.astype(int) - probe).max()) <= _SRGB_TOLERANCE


def _transformed(color: Image.Image, source: Any, target: Any) -> Image.Image:
    converted = ImageCms.profileToProfile(color, source, target, outputMode="RGB")
    if converted is None:
        raise ValueError("no conversion to sRGB")
    return converted


def _flatten(color: Image.Image, opacity: Image.Image, alpha: Alpha, notes: list[str]) -> Image.Image:
    if opacity.getextrema()[0] == 255:
        notes.append("opaque alpha channel dropped")
        return color
    if alpha == "refuse":
        raise ImageError(
            "has transparent pixels: composite them on white (--alpha composite; in Python: alpha='composite'), or "
            "flatten the image"
        )
    notes.append("alpha composited on white")
    return Image.composite(color, Image.new("RGB", color.size, "white"), opacity)


def _orient(color: Image.Image, image: Image.Image, facts: StoredFacts, notes: list[str]) -> Image.Image:
    if facts.orientation in UPRIGHT:  # a TIFF's, which Pillow applies
        notes.append("EXIF orientation applied")
        return color
    try:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
    except DECODING_ERRORS:
        notes.append("unreadable EXIF data ignored")
        return color
    if orientation not in UPRIGHT:
        return color
    notes.append("EXIF orientation applied")
    return color.transpose(UPRIGHT[orientation])
