"""The `.hfc` file, format version 2, little endian.

| bytes | what |
|---|---|
| 3 | magic `HFC` |
| 1 | format version |
| 4 | model fingerprint: the first bytes of the SHA-256 over weights and tables |
| 1-5 each | width, height in pixels, varints (7 bits a byte, lowest first) |
| 1 | flags: codec (bits 0-2), latent coder (bits 3-4), whether there are tile flags of a post-filter (bit 5), 0 |
| | the range coder's one stream, up to the checksum |
| 4 | CRC-32 of all before it |

A 768x512 file takes 17 bytes besides its stream, which holds in this order: hyper-symbols, symbols of the latent, side
information (max-pool switches), tile flags; of each what the model has.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import NamedTuple

from hific.errors import CorruptedError, NotHfcError, TooLargeError, TruncatedError, UnsupportedVersionError

MAGIC = b"HFC"
VERSION = 2
# Closed tables: a number's meaning never changes, new ones are added at the end.
CODECS = ("compressnet", "hific")
CODERS = ("fixed_length", "tables", "context_coded")

_CHECKSUM_BYTES = 4
_FIXED_BYTES = len(MAGIC) + 1 + 4
_VARINT_BYTES = 5
_MAX_VARINT = (1 << 32) - 1
_POST_FILTER_BIT, _RESERVED_BITS = 1 << 5, 0b11 << 6


@dataclass(frozen=True)
class Header:
    """What a file says of itself. `fingerprint`: 4 bytes; `codec` of CODECS, `coder` of CODERS; `width`, `height`:
    unpadded; `post_filter`: tile flags end the stream."""

    fingerprint: bytes
    width: int
    height: int
    codec: str
    coder: str
    post_filter: bool = False
    version: int = VERSION


@dataclass(frozen=True)
class FileInfo:
    """A file described without a model. `num_header_bytes`: all but the stream, with the checksum."""

    version: int
    fingerprint: str
    width: int
    height: int
    codec: str
    coder: str
    post_filter: bool
    num_bytes: int
    num_header_bytes: int
    num_payload_bytes: int
    bpp: float
    checksum_ok: bool


class Unpacked(NamedTuple):
    header: Header
    stream: bytes


def pack(header: Header, stream: bytes) -> bytes:
    """The file's bytes. Raises ValueError for what the format cannot say."""
    if header.version != VERSION or len(header.fingerprint) != 4 or min(header.width, header.height) < 1:
        raise ValueError(f"a header has version {VERSION}, a 4-byte fingerprint and a size from 1x1 up, not {header}")
    if header.codec not in CODECS or header.coder not in CODERS:
        raise ValueError(f"unknown codec or latent coder in {header}")
    flags = CODECS.index(header.codec) | CODERS.index(header.coder) << 3 | _POST_FILTER_BIT * header.post_filter
    fields = [MAGIC, bytes([header.version]), header.fingerprint, _varint(header.width), _varint(header.height)]
    body = b"".join([*fields, bytes([flags]), stream])
    return body + zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "little")


def unpack(data: bytes, *, max_pixels: int) -> Unpacked:
    """The parts of `pack`'s bytes. Raises a BitstreamError for any others, and for images above `max_pixels`."""
    _check_start(data)
    if not _checksum_matches(data):
        raise CorruptedError("the checksum does not match: the file is damaged, cut short, or has bytes added")
    unpacked = _parse(data)
    width, height = unpacked.header.width, unpacked.header.height
    if width * height > max_pixels:
        raise TooLargeError(
            f"an image of {width}x{height} is above the limit of {max_pixels} pixels: raise it with --max-pixels (in "
            "Python: max_pixels) if memory allows"
        )
    return unpacked


def read_info(data: bytes) -> FileInfo:
    """What a file says without its model, a damaged one too; BitstreamError where its header cannot be read."""
    _check_start(data)
    header, stream = _parse(data)
    return FileInfo(
        version=header.version,
        fingerprint=header.fingerprint.hex(),
        width=header.width,
        height=header.height,
        codec=header.codec,
        coder=header.coder,
        post_filter=header.post_filter,
        num_bytes=len(data),
        num_header_bytes=len(data) - len(stream),
        num_payload_bytes=len(stream),
        bpp=8 * len(data) / (header.width * header.height),
        checksum_ok=_checksum_matches(data),
    )


def _check_start(data: bytes) -> None:
    if data[: len(MAGIC)] != MAGIC:
        raise NotHfcError("not an .hfc file: " + ("it is empty" if not data else "it does not start with HFC"))
    if len(data) < _FIXED_BYTES + _CHECKSUM_BYTES:
        raise TruncatedError(f"an .hfc file cut short: {len(data)} bytes")
    if data[len(MAGIC)] != VERSION:
        raise UnsupportedVersionError(
            f"format version {data[len(MAGIC)]}, known is {VERSION}: it takes another version of hific (or is damaged)"
        )


def _checksum_matches(data: bytes) -> bool:
    return zlib.crc32(data[:-_CHECKSUM_BYTES]).to_bytes(_CHECKSUM_BYTES, "little") == data[-_CHECKSUM_BYTES:]


def _parse(data: bytes) -> Unpacked:
    body = data[:-_CHECKSUM_BYTES]
    width, position = _read_varint(body, _FIXED_BYTES)
    height, position = _read_varint(body, position)
    if min(width, height) < 1:
        raise CorruptedError(f"an image of {width}x{height}")
    if position >= len(body):
        raise TruncatedError("an .hfc file cut short within its header")
    flags = body[position]
    codec, coder = flags & 7, flags >> 3 & 3
    if codec >= len(CODECS) or coder >= len(CODERS) or flags & _RESERVED_BITS:
        raise CorruptedError(f"unknown codec {codec}, latent coder {coder} or flags {flags:#04x}")
    fingerprint, post_filter = body[len(MAGIC) + 1 : _FIXED_BYTES], bool(flags & _POST_FILTER_BIT)
    header = Header(fingerprint, width, height, CODECS[codec], CODERS[coder], post_filter, data[len(MAGIC)])
    return Unpacked(header, body[position + 1 :])


def _varint(value: int) -> bytes:
    if not 0 <= value <= _MAX_VARINT:
        raise ValueError(f"a length or size of the format lies in 0..2**32 - 1, not {value}")
    groups = [value >> shift & 127 for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def _read_varint(body: bytes, position: int) -> tuple[int, int]:
    """(value, position behind it). Each value has one form only: leading zero groups are refused."""
    value = 0
    for index, byte in enumerate(body[position : position + _VARINT_BYTES]):
        value |= (byte & 127) << 7 * index
        if byte < 128:
            if value > _MAX_VARINT or (byte == 0 and index > 0):
                raise CorruptedError("a number in the header is not in its shortest form")
            return value, position + index + 1
    if len(body) - position < _VARINT_BYTES:
        raise TruncatedError("an .hfc file cut short within a number")
    raise CorruptedError("a number in the header takes too many bytes")
