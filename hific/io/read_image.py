"""Any photo file to 8-bit sRGB, with a note on everything that was changed on the way.

    file ─ header: size against the limit ─ pixels ─ 16 to 8 bits ─ ICC to sRGB ─ alpha onto white ─ EXIF orientation

PIL and numpy only. Only plain raster formats are opened: Pillow would also start Ghostscript for an EPS.
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
        sixteen_bits = _has_16_bit_samples(image)
        image.load()
        read = to_rgb8(image, alpha=alpha)
    note = "16-bit samples reduced to 8"
    return ReadImage(read.array, (note, *read.notes)) if sixteen_bits and note not in read.notes else read


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
    color, opacity = _split(image, notes)
    color = _to_srgb(color, image.info.get("icc_profile"), notes)
    if opacity is not None:
        color = _flatten(color, opacity, alpha, notes)
    color = _orient(color, image, notes)
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


def _has_16_bit_samples(image: Image.Image) -> bool:
    # Pillow reads 16-bit color into 8 bits without a word; only the raw mode of its unread tiles tells.
    return any(";16" in str(tile[-1]) for tile in getattr(image, "tile", ()))


def _split(image: Image.Image, notes: list[str]) -> tuple[Image.Image, Image.Image | None]:
    """Color as 8-bit L, RGB, CMYK or LAB, and opacity as L or None."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _reduce_to_8_bits(image, notes), None
    if image.mode in ("P", "PA"):
        notes.append("palette expanded")
    if image.has_transparency_data:
        straight = image.convert("RGBA")
        return straight.convert("RGB"), straight.getchannel("A")
    if image.mode == "1":
        return image.convert("L"), None
    return (image if image.mode in ("L", "RGB", "CMYK", "LAB") else image.convert("RGB")), None


def _reduce_to_8_bits(image: Image.Image, notes: list[str]) -> Image.Image:
    # Mode I is 32 bits wide; that its values happen to fit into 16 says nothing of what white is.
    if image.mode == "F" or (image.mode == "I" and image.format not in FORMATS_OF_16_BITS_IN_32):
        kind = "floating point" if image.mode == "F" else "32-bit integer"
        raise ImageError(f"{kind} samples have no defined white: convert the image to 8 or 16 bits")
    notes.append("16-bit samples reduced to 8")
    return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))


def _to_srgb(color: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    mode = color.mode
    if mode == "CMYK":
        notes.append("CMYK converted to sRGB")
    elif mode == "L":
        notes.append("grey stored as RGB")
    if mode == "LAB":
        notes.append("Lab converted to sRGB")
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return _transformed(color, lab, srgb)
    if not profile:
        return color.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if _describes_srgb(source):
            return color.convert("RGB")
        if source.profile.xcolor_space.strip() == "RGB":
            color = color.convert("RGB")
        converted = _transformed(color, source, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError, ValueError):
        notes.append("unusable ICC profile ignored")
        return color.convert("RGB")
    notes.append("ICC profile converted to sRGB")
    return converted


def _describes_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    description = profile.profile.profile_description or ""
    return profile.profile.xcolor_space.strip() == "RGB" and description.lower().startswith("srgb")


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


def _orient(color: Image.Image, image: Image.Image, notes: list[str]) -> Image.Image:
    try:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
    except DECODING_ERRORS:
        notes.append("unreadable EXIF data ignored")
        return color
    if orientation not in UPRIGHT:
        return color
    notes.append("EXIF orientation applied")
    return color.transpose(UPRIGHT[orientation])
