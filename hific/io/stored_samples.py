"""Samples as image files store them, where Pillow does not pass that on, or would read them wrong.

Depth, color tags and transparent colors are read from headers, beside Pillow and before it decodes; they are no more
than a hint where a file is damaged. Samples of more than 8 bits are read by OpenCV, by another way through Pillow, or
refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hific.errors import ImageError
from hific.io.color_tags import ColorTags, tags_of_cicp, tags_of_png

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_ORIENTATION, _TIFF_PLANAR = 258, 262, 274, 284
_JP2_SIZES = b"\xff\x4f\xff\x51"
# Headers end long before.
_MOST_HEADER = 1 << 20


@dataclass(frozen=True)
class StoredFacts:
    """depth: bits of the deepest sample; components: of a JPEG2000, (bits, whether signed, x and y step) each;
    transparent: the key of a PNG's transparent color, in samples of its depth; tags: what its colors are, beside an
    ICC profile; ranks_over_profile: whether tags come before one; orientation, planar, white_is_zero: of a TIFF."""

    depth: int = 8
    components: tuple[tuple[int, bool, int, int], ...] = ()
    transparent: tuple[int, ...] = ()
    tags: ColorTags | None = None
    ranks_over_profile: bool = False
    orientation: int = 1
    planar: bool = False
    white_is_zero: bool = False


def stored_facts(image: Image.Image) -> StoredFacts:
    """Of an image that was opened and not loaded; of all else nothing is known. The file stays where it was."""
    if image.format == "TIFF":
        return _of_tiff(image)
    if image.format == "PPM":
        return StoredFacts(depth=_depth_of_ppm(image))
    of_format = {"PNG": _of_png, "AVIF": _of_avif, "JPEG2000": _of_jpeg2000}.get(image.format or "")
    file = getattr(image, "fp", None)
    if of_format is None or file is None or getattr(file, "closed", False):
        return StoredFacts()
    here = file.tell()
    try:
        file.seek(0)
        return of_format(file)
    except (struct.error, IndexError):
        return StoredFacts()
    finally:
        file.seek(here)


def whole_file(image: Image.Image) -> bytes:
    """The bytes of an image that was opened and not loaded; the file stays where it was."""
    file: Any = image.fp  # type: ignore[attr-defined]
    here = file.tell()
    try:
        file.seek(0)
        return bytes(file.read())
    finally:
        file.seek(here)


def _of_png(file: BinaryIO) -> StoredFacts:
    facts, color_type = StoredFacts(), 0
    found: dict[bytes, bytes] = {}
    for name, data in _chunks(file):
        if name == b"IHDR":
            facts, color_type = replace(facts, depth=data[8]), data[9]
        found.setdefault(name, data)
    if b"tRNS" in found and color_type in (0, 2):
        count = 1 if color_type == 0 else 3
        facts = replace(facts, transparent=struct.unpack(f">{count}H", found[b"tRNS"][: 2 * count]))
    if b"cICP" in found:
        primaries, transfer = found[b"cICP"][:2]
        return replace(facts, tags=tags_of_cicp(primaries, transfer), ranks_over_profile=True)
    if b"sRGB" in found:
        return facts
    gamma = struct.unpack(">I", found[b"gAMA"][:4])[0] if b"gAMA" in found else 0
    corners = struct.unpack(">8I", found[b"cHRM"][:32]) if b"cHRM" in found else ()
    return replace(facts, tags=tags_of_png(gamma, corners))


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Of a PNG, up to the pixels; longer ones than facts are passed over."""
    if file.read(8) != PNG_SIGNATURE:
        return
    while len(head := file.read(8)) == 8 and head[4:] not in (b"IDAT", b"IEND"):
        length = int.from_bytes(head[:4], "big")
        data = file.read(length) if length <= 64 else b""
        file.seek(4 if data or not length else length + 4, 1)
        yield head[4:], data


def _of_avif(file: BinaryIO) -> StoredFacts:
    facts = StoredFacts()
    for name, data in _boxes(file.read(_MOST_HEADER)):
        if name == b"av1C" and len(data) > 2:
            depth = (12 if data[2] & 0x20 else 10) if data[2] & 0x40 else 8
            facts = replace(facts, depth=max(facts.depth, depth))
        elif name == b"colr" and data[:4] == b"nclx" and facts.tags is None:
            primaries, transfer = struct.unpack(">2H", data[4:8])
            facts = replace(facts, tags=tags_of_cicp(primaries, transfer))
    return facts


# What holds other boxes, and how many bytes come before them.
_HOLDERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0}


def _boxes(data: bytes, depth: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents, those inside of others too."""
    position = 0
    while position + 8 <= len(data) and depth < 6:
        length, name = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        # 0: to the end; 1: a longer length follows, which headers have no use for.
        content = data[position + 8 : position + length if length > 1 else None]
        if name in _HOLDERS:
            yield from _boxes(content[_HOLDERS[name] :], depth + 1)
        else:
            yield name, content
        if length < 8:
            return
        position += length


def _of_jpeg2000(file: BinaryIO) -> StoredFacts:
    data = file.read(_MOST_HEADER)
    start = data.find(_JP2_SIZES)
    if start < 0:
        return StoredFacts()
    (count,) = struct.unpack(">H", data[start + 40 : start + 42])
    rows = [data[start + 42 + 3 * index : start + 45 + 3 * index] for index in range(count)]
    components = tuple(((row[0] & 127) + 1, bool(row[0] & 128), row[1], row[2]) for row in rows)
    return StoredFacts(depth=max((bits for bits, *_ in components), default=8), components=components)


def _of_tiff(image: Image.Image) -> StoredFacts:
    tags: Any = getattr(image, "tag_v2", {})
    bits = tags.get(_TIFF_BITS, (8,))
    return StoredFacts(
        depth=max(bits) if isinstance(bits, tuple) and bits else 8,
        orientation=tags.get(_TIFF_ORIENTATION, 1),
        planar=tags.get(_TIFF_PLANAR, 1) == 2,
        white_is_zero=tags.get(_TIFF_PHOTOMETRIC) == 0,
    )


def _depth_of_ppm(image: Image.Image) -> int:
    """By the largest value, which Pillow tells its decoder."""
    arguments = [tile[-1] for tile in getattr(image, "tile", ())]
    largest = [one[-1] for one in arguments if isinstance(one, tuple) and one and isinstance(one[-1], int)]
    sixteen = any(";16" in str(one) for one in arguments) or image.mode == "I"
    return 16 if sixteen and not largest else max([8, *(one.bit_length() for one in largest)])


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
