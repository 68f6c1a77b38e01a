"""Damaged image files of every format that is read: refused in a line that names the file, or pixels."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import Image, ImageCms

from benchmarks.fuzz.outcomes import one_line
from hific.errors import ImageError
from hific.io.read_image import image_size, read_image

MOST_SECONDS = 2.0
MOST_PIXELS = 1 << 20


@cache
def originals() -> list[bytes]:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (24, 31, 4), dtype=np.uint8)
    color, clear = Image.fromarray(pixels[..., :3]), Image.fromarray(pixels)
    deep = Image.fromarray(rng.integers(0, 2**16, (24, 31), dtype=np.uint16))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    found = [(color, form, {}) for form in ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000")]
    found += [(clear, form, {}) for form in ("PNG", "WEBP", "AVIF", "TIFF", "QOI")]
    found += [(deep, form, {}) for form in ("PNG", "TIFF", "JPEG2000")]
    found += [(color, form, {"icc_profile": profile, "exif": exif}) for form in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF")]
    found += [(color.convert(mode), "TIFF", {}) for mode in ("1", "L", "CMYK", "LAB")]
    found += [(color.convert("P"), "PNG", {"transparency": 3}), (color, "TIFF", {"compression": "tiff_lzw"})]
    made = []
    for image, form, options in found:
        stream = io.BytesIO()
        image.save(stream, form, **options)
        made.append(stream.getvalue())
    return made


def try_image(seed: int) -> str:
    """The class of what happened to the image file of this seed."""
    rng = np.random.default_rng([3, seed])
    known = originals()
    data = bytearray(known[int(rng.integers(len(known)))])
    # Headers are short, and most of what can go wrong is in them.
    reach = len(data) if rng.random() < 0.5 else min(len(data), 80)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(reach))
        data[at] = int(rng.integers(256)) if rng.random() < 0.5 else data[at] ^ 1 << int(rng.integers(8))
    if rng.random() < 0.2:
        del data[int(rng.integers(len(data))) :]
    try:
        image_size(io.BytesIO(bytes(data)), name="fuzzed")
        read = read_image(io.BytesIO(bytes(data)), max_pixels=MOST_PIXELS, name="fuzzed")
    except ImageError as error:
        assert "fuzzed" in str(error)
        return one_line(error)
    assert read.array.dtype == np.uint8 and read.array.ndim == 3 and read.array.shape[2] == 3
    return "pixels"
