"""Laws of the `.hfc` container."""

from __future__ import annotations

import random
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hific.coding.container import CODECS, CODINGS, Header, pack, read_info, unpack
from hific.errors import (
    BitstreamError,
    CorruptedError,
    NotHfcError,
    TooLargeError,
    TruncatedError,
    UnsupportedVersionError,
)

HEADER = Header(fingerprint=b"\x01\x02\x03\x04", width=768, height=512, codec="compressnet", coding="context")
NO_LIMIT = 1 << 64

codec_and_coding = st.sampled_from([(codec, coding) for codec in CODECS for coding in CODINGS[codec]])


@st.composite
def header(draw: st.DrawFn) -> Header:
    codec, coding = draw(codec_and_coding)
    fingerprint = draw(st.binary(min_size=4, max_size=4))
    width, height = draw(st.integers(1, 2**32 - 1)), draw(st.integers(1, 2**32 - 1))
    return Header(fingerprint, width, height, codec, coding)


headers = header()


def sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


@given(headers, st.lists(st.binary(max_size=300), max_size=7), st.binary(max_size=50))
def test_unpacking_returns_what_was_packed(header: Header, raw_parts: list[bytes], stream: bytes) -> None:
    data = pack(header, raw_parts, stream)
    assert unpack(data, max_pixels=NO_LIMIT) == (header, tuple(raw_parts), stream)
    info = read_info(data)
    assert (info.width, info.height, info.codec, info.coding) == (
        header.width,
        header.height,
        header.codec,
        header.coding,
    )
    assert info.checksum_ok
    assert info.num_bytes == len(data) == info.num_header_bytes + info.num_payload_bytes
    assert info.num_payload_bytes == sum(map(len, raw_parts)) + len(stream)
    assert info.bpp == 8 * len(data) / (header.width * header.height)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (768, 512), (16383, 16383), (200_000, 500)])
def test_at_most_twenty_bytes_besides_the_stream(width: int, height: int) -> None:
    stream = bytes(1784)
    assert len(pack(replace(HEADER, width=width, height=height), [], stream)) - len(stream) <= 20


def test_a_packed_file_of_a_photo_too() -> None:
    assert len(pack(replace(HEADER, coding="packed"), [bytes(1784)], b"")) - 1784 <= 20


@given(headers, st.lists(st.binary(max_size=5), max_size=2), st.binary(max_size=5), st.data())
def test_every_damage_is_a_bitstream_error(
    header: Header, raw_parts: list[bytes], stream: bytes, draw: st.DataObject
) -> None:
    data = pack(header, raw_parts, stream)
    bit = draw.draw(st.integers(0, 8 * len(data) - 1))
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    length = draw.draw(st.integers(0, len(data) - 1))
    extra = draw.draw(st.binary(min_size=1, max_size=9))
    for damaged in (bytes(flipped), data[:length], data + extra, extra + data):
        with pytest.raises(BitstreamError):
            unpack(damaged, max_pixels=NO_LIMIT)


def test_a_thousand_random_corruptions() -> None:
    data = pack(HEADER, [], random.Random(0).randbytes(2000))
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
    data = sealed(b"HFC\x01" + body)
    try:
        header, raw_parts, stream = unpack(data, max_pixels=NO_LIMIT)
    except BitstreamError:
        return
    assert pack(header, raw_parts, stream) == data


def test_errors_say_what_is_wrong() -> None:
    data = pack(HEADER, [b"part"], b"stream")
    newer = sealed(b"HFC\x02" + data[4:-4])
    cases = [
        (b"", NotHfcError, "empty"),
        (b"\x89PNG\r\n", NotHfcError, "does not start"),
        (data[:9], TruncatedError, "cut short"),
        (newer, UnsupportedVersionError, "version 2"),
        (data[:-1], CorruptedError, "checksum"),
        (data + b"\0", CorruptedError, "checksum"),
        (sealed(data[:10]), TruncatedError, "cut short"),
        (sealed(data[:12]), TruncatedError, "cut short"),
        (sealed(data[:14]), TruncatedError, "4 bytes is announced"),
        (sealed(data[:8] + b"\0\x05" + data[12:-4]), CorruptedError, "0x5"),
        (sealed(data[:8] + b"\x85\0\x05" + data[12:-4]), CorruptedError, "shortest form"),
        (sealed(data[:8] + b"\xff" * 6 + data[12:-4]), CorruptedError, "too many bytes"),
        (sealed(data[:12] + b"\x1f" + data[13:-4]), CorruptedError, "unknown codec 7 or coding 3"),
    ]
    for damaged, error, message in cases:
        with pytest.raises(error, match=message):
            unpack(damaged, max_pixels=NO_LIMIT)


def test_the_pixel_limit_holds_before_anything_is_allocated() -> None:
    data = pack(replace(HEADER, width=2**32 - 1, height=2**32 - 1), [], b"")
    with pytest.raises(TooLargeError, match="above the limit of 1000 pixels"):
        unpack(data, max_pixels=1000)
    assert unpack(pack(HEADER, [], b""), max_pixels=768 * 512).header == HEADER
    with pytest.raises(TooLargeError):
        unpack(pack(HEADER, [], b""), max_pixels=768 * 512 - 1)


def test_a_damaged_file_is_described_as_damaged() -> None:
    data = bytearray(pack(HEADER, [], b"stream"))
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
        replace(HEADER, coding="huffman"),
        replace(HEADER, version=2),
    ],
)
def test_headers_that_the_format_cannot_say_are_refused(header: Header) -> None:
    with pytest.raises(ValueError, match=r"header|format|codec"):
        pack(header, [], b"")


def test_eight_raw_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 7 raw parts"):
        pack(HEADER, [b""] * 8, b"")


def test_golden_bytes() -> None:
    assert pack(HEADER, [b"ab"], b"xyz").hex() == "4846430101020304800680043002616278797a" + "065e4430"
