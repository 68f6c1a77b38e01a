"""Samples deeper than 8 bits, transparent colors at their depth, color tags: right pixels, or refused; each is said."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from hific.errors import ImageError
from hific.io.color_tags import ColorTags, tags_of_cicp, tags_of_png
from hific.io.read_image import read_image

RNG = np.random.default_rng(0)
P3 = (68000, 32000, 26500, 69000, 15000, 6000)


def png(samples: np.ndarray, depth: int, chunks: Sequence[tuple[bytes, bytes]] = ()) -> io.BytesIO:
    """Of grey [H, W] or color [H, W, 3] samples of `depth` bits, with other chunks before the pixels."""
    height, width = samples.shape[:2]
    rows = samples.reshape(height, -1)
    if depth == 16:
        lines = [row.astype(">u2").tobytes() for row in rows]
    else:
        bits = (rows[..., None] >> np.arange(depth)[::-1] & 1).astype(np.uint8).reshape(height, -1)
        lines = [np.packbits(row).tobytes() for row in bits]
    header = struct.pack(">2I5B", width, height, depth, 0 if samples.ndim == 2 else 2, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"".join(b"\0" + line for line in lines)))]
    data = b"\x89PNG\r\n\x1a\n"
    for name, content in (*parts, (b"IEND", b"")):
        data += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return io.BytesIO(data)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_is_compared_at_its_depth(depth: int) -> None:
    largest = 2**depth - 1
    key = largest // 3 if depth > 1 else 0
    samples = np.array([[key, min(key + 1, largest), largest, 0]] * 2, np.uint16)
    if depth == 16:
        samples[0, 1] = key ^ 1  # of the same high byte
    stream = png(samples, depth, [(b"tRNS", struct.pack(">H", key))])
    read = read_image(stream)
    transparent = samples == key
    seen = samples >> 8 if depth == 16 else samples * 255 // largest
    assert np.array_equal(read.array[..., 0], np.where(transparent, 255, seen))
    assert "alpha composited on white" in read.notes
    with pytest.raises(ImageError, match="transparent"):
        read_image(stream, alpha="refuse")


def test_a_transparent_color_of_16_bits_is_compared_at_its_depth() -> None:
    samples = RNG.integers(0, 2**16, (5, 7, 3)).astype(np.uint16)
    samples[1, 2] = (30000, 1000, 60000)
    samples[1, 3] = (30001, 1001, 60001)  # the same in 8 bits
    read = read_image(png(samples, 16, [(b"tRNS", struct.pack(">3H", 30000, 1000, 60000))]))
    expected = (samples >> 8).astype(np.uint8)
    expected[1, 2] = 255
    assert np.array_equal(read.array, expected)


def test_png_tags_are_converted_and_said() -> None:
    pixels = np.full((3, 4, 3), (200, 60, 30), np.uint16)
    srgb_gamma, corners = struct.pack(">I", 45455), struct.pack(">8I", 31270, 32900, *P3)
    linear, p3 = struct.pack(">I", 100_000), bytes([12, 13, 0, 1])
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    icc = b"p\0\0" + zlib.compress(plain)
    for chunks, expected in (
        ([(b"gAMA", srgb_gamma)], (200, 60, 30)),
        ([(b"gAMA", linear)], (229, 133, 96)),
        ([(b"cHRM", corners)], (217, 42, 0)),
        ([(b"gAMA", srgb_gamma), (b"cHRM", corners)], (217, 42, 0)),
        ([(b"cICP", p3)], (217, 42, 0)),
        ([(b"cICP", bytes([1, 13, 0, 1])), (b"gAMA", linear)], (200, 60, 30)),
        ([(b"cICP", p3), (b"iCCP", icc)], (217, 42, 0)),
        ([(b"sRGB", b"\0"), (b"gAMA", linear), (b"cHRM", corners)], (200, 60, 30)),
        ([(b"iCCP", icc), (b"gAMA", linear)], (200, 60, 30)),
        ([(b"gAMA", bytes(4)), (b"cHRM", bytes(32))], (200, 60, 30)),
    ):
        read = read_image(png(pixels, 8, chunks))
        assert read.array[0, 0].tolist() == list(expected), chunks
        assert (read.notes == ("colors converted to sRGB",)) == (expected != (200, 60, 30))
    grey = read_image(png(np.full((2, 2), 55, np.uint16), 8, [(b"gAMA", linear)]))
    assert grey.array[0, 0].tolist() == [128] * 3
    for transfer, name in ((16, "PQ"), (18, "HLG"), (11, "not known here")):
        with pytest.raises(ImageError, match=name):
            read_image(png(pixels, 8, [(b"cICP", bytes([9, transfer, 0, 1]))]))


@pytest.mark.parametrize(
    ("numbers", "expected"), [((12, 13), (217, 42, 0)), ((1, 8), (229, 133, 96)), ((1, 13), (200, 60, 30))]
)
def test_avif_tags_are_converted(numbers: tuple[int, int], expected: tuple[int, int, int]) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 60, 30)).save(stream, "AVIF", quality=100)
    data = bytearray(stream.getvalue())
    at = data.index(b"nclx") + 4
    data[at : at + 4] = struct.pack(">2H", *numbers)
    read = read_image(io.BytesIO(bytes(data)))
    assert np.abs(read.array[8, 8].astype(int) - expected).max() <= 2
    data[at : at + 4] = struct.pack(">2H", 9, 16)
    with pytest.raises(ImageError, match="PQ"):
        read_image(io.BytesIO(bytes(data)))


def test_tags_that_are_srgb_and_tags_of_another_white() -> None:
    assert tags_of_cicp(1, 1) is None and tags_of_cicp(2, 2) is None
    assert (
        tags_of_png(0, ()) is None
        and tags_of_png(45455, (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)) is None
    )
    dci = tags_of_cicp(11, 13)
    assert isinstance(dci, ColorTags)
    white = dci.to_srgb(np.full((1, 1, 3), 255, np.uint8))
    assert white.tolist() == [[[255, 255, 255]]], "white stays white, whatever its place"


@pytest.mark.parametrize("channels", [3, 4])
def test_deep_jpeg2000_keeps_its_brightest_samples(channels: int, tmp_path: Path) -> None:
    """Of 16 bits: no writer of 10 and 12 is at hand."""
    samples = RNG.integers(0, 2**16, (40, 48, channels)).astype(np.uint16)
    samples[:10] = 2**16 - 1
    samples[..., 3:] = 2**16 - 1
    path = tmp_path / "deep.jp2"
    assert cv2.imwrite(str(path), samples, [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])
    read = read_image(path)
    again = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(read.array, again[..., 2::-1] >> 8) and "16-bit samples reduced to 8" in read.notes
    assert (read.array[2:8] > 250).all(), "white is white"
    with Image.open(path) as pillow:
        theirs = np.asarray(pillow.convert("RGB")).astype(int)
    dark = again[..., 2::-1] < 60_000
    assert np.abs(theirs - read.array)[dark].max() <= 1, "a second reader, but for what it turns black"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_planar_tiff_of_16_bits(order: str, compression: str | None, tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    samples = RNG.integers(0, 2**16, (21, 30, 3)).astype(np.uint16)
    path = tmp_path / "planar.tif"
    planes = np.moveaxis(samples, 2, 0)
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", byteorder=order, compression=compression)
    read = read_image(path)
    assert np.array_equal(tifffile.imread(path), planes)
    assert np.array_equal(read.array, samples >> 8) and read.notes == ("16-bit samples reduced to 8",)


def test_a_tiff_whose_white_is_zero(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    for kind, shift in ((np.uint16, 8), (np.uint8, 0)):
        samples = RNG.integers(0, np.iinfo(kind).max, (9, 11)).astype(kind)
        tifffile.imwrite(tmp_path / "white.tif", samples, photometric="miniswhite")
        assert np.array_equal(read_image(tmp_path / "white.tif").array[..., 0], 255 - (samples >> shift))


def test_what_tiff_ppm_and_avif_change_is_said() -> None:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8)).save(stream, "TIFF", exif=exif)
    read = read_image(io.BytesIO(stream.getvalue()))
    assert read.notes == ("EXIF orientation applied",) and read.array.shape == (6, 4, 3)
    ten = np.array([[1023, 0, 512] * 3], ">u2")
    read = read_image(io.BytesIO(b"P6 3 1 1023\n" + ten.tobytes()))
    assert read.notes == ("10-bit samples reduced to 8",) and read.array[0, 0].tolist() == [255, 0, 128]


def test_a_profile_is_srgb_by_what_it_does() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    named = bytearray(profile)
    entry = named.index(b"rTRC", 128)
    offset = int.from_bytes(named[entry + 4 : entry + 8], "big")
    # A curve of gamma 1: its type, and no exponent but 1.
    named[offset : offset + 16] = b"para" + bytes(4) + bytes(2) + bytes(2) + struct.pack(">i", 65536)
    for tag in (b"gTRC", b"bTRC"):
        at = named.index(tag, 128)
        named[at + 4 : at + 8] = struct.pack(">I", offset)
    image = Image.new("RGB", (4, 4), (200, 60, 30))
    stream = io.BytesIO()
    image.save(stream, "PNG", icc_profile=bytes(named))
    read = read_image(stream)
    assert read.array[0, 0].tolist() == [229, 133, 96] and read.notes == ("ICC profile converted to sRGB",)


def test_grey_profiles_apply_beside_alpha() -> None:
    tables = {b"kTRC": b"para" + bytes(8) + struct.pack(">i", 65536)}
    tables[b"wtpt"] = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    head = bytearray(128)
    head[8:12], head[12:24] = b"\x04\x20\0\0", b"mntrGRAYXYZ "
    head[36:40], head[68:80] = b"acsp", struct.pack(">3i", 63190, 65536, 54061)
    directory, body, at = struct.pack(">I", len(tables)), b"", 128 + 4 + 12 * len(tables)
    for name, content in tables.items():
        padded = content + bytes(-len(content) % 4)
        directory += name + struct.pack(">2I", at + len(body), len(content))
        body += padded
    profile = bytes(head) + directory + body
    profile = struct.pack(">I", len(profile)) + profile[4:]
    for mode, color in (("L", 98), ("LA", (98, 255))):
        stream = io.BytesIO()
        Image.new(mode, (4, 4), color).save(stream, "PNG", icc_profile=profile)
        read = read_image(stream)
        assert read.array[0, 0].tolist() == [167] * 3, mode
        assert "ICC profile converted to sRGB" in read.notes
