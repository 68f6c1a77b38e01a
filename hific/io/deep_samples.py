"""Samples of more than 8 bits that Pillow would read wrong: by OpenCV, by another way through Pillow, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hific.errors import ImageError
from hific.io.stored_facts import StoredFacts, whole_file


def correct_planes(image: Image.Image, facts: StoredFacts) -> None:
    """Of a TIFF whose color planes lie apart, 16 bits a sample and uncompressed, Pillow takes every plane for 8 bits:
    tells its decoder otherwise. In place, before it is loaded."""
    tiles: list[Any] = getattr(image, "tile", [])
    if not (facts.planar and facts.depth == 16 and all(tile[0] == "raw" for tile in tiles)):
        return
    order = "L" if getattr(image, "tag_v2", None) is None or image.tag_v2.prefix == b"II" else "B"  # type: ignore[attr-defined]
    corrected = []
    for tile in tiles:
        mode, *others = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        corrected.append(tile._replace(args=(f"{mode};16{order}" if len(mode) == 1 else mode, *others)))
    image.tile = corrected  # type: ignore[attr-defined]


def deep_jpeg2000(image: Image.Image, facts: StoredFacts) -> Image.Image | None:
    """Color of more than 8 bits, whose brightest samples Pillow turns to black, as 8-bit RGB or RGBA; None for others.
    Raises ImageError where it cannot be read right."""
    if image.format != "JPEG2000" or facts.depth <= 8 or len(facts.components) == 1:
        return None
    bits = facts.depth
    if len(facts.components) not in (3, 4) or set(facts.components) != {(bits, False, 1, 1)} or bits > 16:
        raise ImageError("JPEG2000 of more than 8 bits and other than plain RGB or RGBA: convert it to PNG")
    samples = _by_opencv(whole_file(image))
    if samples.shape != (image.height, image.width, len(facts.components)) or samples.dtype != np.uint16:
        raise ImageError("JPEG2000 of more than 8 bits whose components are not as it says: convert it to PNG")
    high = (samples >> bits - 8).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(high[..., [2, 1, 0, 3][: high.shape[2]]]))


def opacity_by_key(image: Image.Image, facts: StoredFacts) -> Image.Image | None:
    """L, 0 where a PNG's samples are those of its transparent color, at their full depth; None where Pillow knows.

    `image`: loaded, of one channel; for color, not loaded.
    """
    if not facts.transparent or facts.depth == 8:
        return None
    if len(facts.transparent) == 3:
        samples = _by_opencv(whole_file(image))
        if samples.ndim != 3 or samples.shape[2] != 4:
            raise ImageError("16-bit PNG with a transparent color that cannot be read: convert it to RGBA")
        return Image.fromarray((samples[..., 3] >> 8).astype(np.uint8))
    (key,) = facts.transparent
    # Less than 8 bits are spread over 0..255.
    values = np.asarray(image if facts.depth == 16 else image.convert("L"))
    wanted = key if facts.depth == 16 else (key & (1 << facts.depth) - 1) * 255 // ((1 << facts.depth) - 1)
    return Image.fromarray(np.where(values == wanted, 0, 255).astype(np.uint8))


def _by_opencv(data: bytes) -> NDArray[Any]:
    """Samples as stored [H, W, C], BGR or BGRA. Raises ImageError."""
    import cv2

    try:
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError("damaged image") from error
    if samples is None:
        raise ImageError("damaged image")
    return samples
