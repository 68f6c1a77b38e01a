"""Laws of the `.hfc` container."""

from __future__ import annotations

import random
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hific.coding.container import CODECS, CODERS, VERSION, Header, pack, read_info, unpack
from hific.errors import (
    BitstreamError,
    CorruptedError,
    NotHfcError,
    TooLargeError,
    TruncatedError,
    UnsupportedVersionError,
)

HEADER = Header(fingerprint=b"\x01\x02\x03\x04", width=768, height=512, codec="compressnet", coder="tables")
NO_LIMIT = 1 << 64

headers = st.builds(
    Header,
    fingerprint=st.binary(min_size=4, max_size=4),
    width=st.integers(1, 2**32 - 1),
    height=st.integers(1, 2**32 - 1),
    codec=st.sampled_from(CODECS),
    coder=st.sampled_from(CODERS),
    post_filter=st.booleans(),
)


def sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


@given(headers, st.binary(max_size=300))
def test_unpacking_returns_what_was_packed(header: Header, stream: bytes) -> None:
    data = pack(header, stream)
    assert unpack(data, max_pixels=NO_LIMIT) == (header, stream)
    info = read_info(data)
    for field in ("width", "height", "codec", "coder", "post_filter", "version"):
        assert getattr(info, field) == getattr(header, field)
    assert info.checksum_ok and info.fingerprint == header.fingerprint.hex()
    assert info.num_bytes == len(data) == info.num_header_bytes + info.num_payload_bytes
    assert info.num_payload_bytes == len(stream)
    assert info.bpp == 8 * len(data) / (header.width * header.height)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (768, 512), (16383, 16383), (200_000, 500)])
def test_at_most_twenty_bytes_besides_the_stream(width: int, height: int) -> None:
    stream = bytes(1784)
    assert len(pack(replace(HEADER, width=width, height=height), stream)) - len(stream) <= 20


def test_seventeen_of_a_photo() -> None:
    assert len(pack(HEADER, bytes(1784))) - 1784 == 17


@given(headers, st.binary(max_size=9), st.data())
def test_every_damage_is_a_bitstream_error(header: Header, stream: bytes, draw: st.DataObject) -> None:
    data = pack(header, stream)
    bit = draw.draw(st.integers(0, 8 * len(data) - 1))
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    length = draw.draw(st.integers(0, len(data) - 1))
    extra = draw.draw(st.binary(min_size=1, max_size=9))
    for damaged in (bytes(flipped), data[:length], data + extra, extra + data):
        with pytest.raises(BitstreamError):
            unpack(damaged, max_pixels=NO_LIMIT)


def test_a_thousand_random_corruptions() -> None:
    data = pack(HEADER, random.Random(0).randbytes(2000))
    rng = random.Random(1)
    for _ in range(1000):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 20)):
            damaged[rng.randrange(len(data))] ^= rng.randint(1, 255)
        if bytes(damaged) != data:
            with pytest.raises(BitstreamError):
                unpack(bytes(damaged), max_pixels=NO_LIMIT)


@given(st.binary(max_size=60))
def test_bytes_with_a_matching_checksum_unpack_to_what_packs_to_them_or_raise(body: bytes) -> None:
    data = sealed(b"HFC" + bytes([VERSION]) + body)
    try:
        header, stream = unpack(data, max_pixels=NO_LIMIT)
    except BitstreamError:
        return
    assert pack(header, stream) == data


def test_errors_say_what_is_wrong() -> None:
    data = pack(HEADER, b"stream")
    older, newer = (sealed(b"HFC" + bytes([version]) + data[4:-4]) for version in (1, VERSION + 1))
    cases = [
        (b"", NotHfcError, "empty"),
        (b"\x89PNG\r\n", NotHfcError, "does not start"),
        (data[:9], TruncatedError, "cut short"),
        (newer, UnsupportedVersionError, "version 3, known is 2"),
        (older, UnsupportedVersionError, "version 1, known is 2"),
        (data[:-1], CorruptedError, "checksum"),
        (data + b"\0", CorruptedError, "checksum"),
        (sealed(data[:9]), TruncatedError, "cut short within a number"),
        (sealed(data[:10]), TruncatedError, "cut short within a number"),
        (sealed(data[:12]), TruncatedError, "cut short within its header"),
        (sealed(data[:8] + b"\0\x05" + data[12:-4]), CorruptedError, "0x5"),
        (sealed(data[:8] + b"\x85\0\x05" + data[12:-4]), CorruptedError, "shortest form"),
        (sealed(data[:8] + b"\xff\xff\xff\xff\x7f" + data[10:-4]), CorruptedError, "shortest form"),
        (sealed(data[:8] + b"\xff" * 6 + data[12:-4]), CorruptedError, "too many bytes"),
        (sealed(data[:12] + b"\x1f" + data[13:-4]), CorruptedError, "unknown codec 7, latent coder 3 or flags 0x1f"),
        (sealed(data[:12] + b"\x18" + data[13:-4]), CorruptedError, "latent coder 3"),
        (sealed(data[:12] + b"\x48" + data[13:-4]), CorruptedError, "flags 0x48"),
        (sealed(data[:12] + b"\x88" + data[13:-4]), CorruptedError, "flags 0x88"),
    ]
    for damaged, error, message in cases:
        with pytest.raises(error, match=message):
            unpack(damaged, max_pixels=NO_LIMIT)


def test_the_pixel_limit_holds_before_anything_is_allocated() -> None:
    data = pack(replace(HEADER, width=2**32 - 1, height=2**32 - 1), b"")
    with pytest.raises(TooLargeError, match="above the limit of 1000 pixels"):
        unpack(data, max_pixels=1000)
    assert unpack(pack(HEADER, b""), max_pixels=768 * 512).header == HEADER
    with pytest.raises(TooLargeError):
        unpack(pack(HEADER, b""), max_pixels=768 * 512 - 1)


def test_a_damaged_file_is_described_as_damaged() -> None:
    data = bytearray(pack(HEADER, b"stream"))
    data[-6] ^= 1
    info = read_info(bytes(data))
    assert not info.checksum_ok
    assert (info.width, info.height, info.fingerprint) == (768, 512, "01020304")
    with pytest.raises(NotHfcError):
        read_info(b"GIF89a")


@pytest.mark.parametrize(
    "header",
    [
        replace(HEADER, width=0),
        replace(HEADER, height=2**32),
        replace(HEADER, fingerprint=b"123"),
        replace(HEADER, codec="jpeg"),
        replace(HEADER, coder="huffman"),
        replace(HEADER, version=1),
    ],
)
def test_headers_that_the_format_cannot_say_are_refused(header: Header) -> None:
    with pytest.raises(ValueError, match=r"header|format|codec"):
        pack(header, b"")


def test_golden_bytes() -> None:
    assert pack(HEADER, b"xyz").hex() == "4846430201020304800680040878797a" + "cdbce17b"
    filtered = Header(b"\xff\0\xff\0", 1, 300, "hific", "context_coded", post_filter=True)
    assert pack(filtered, b"").hex() == "48464302ff00ff0001ac0231" + "1b4c85e1"
