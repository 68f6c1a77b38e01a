"""The container of a file, opened by the model that it claims to be from."""

from __future__ import annotations

from hific.coding.container import Unpacked, unpack
from hific.errors import WrongModelError


def open_file(data: bytes, *, codec: str, fingerprint: bytes, name: str, max_pixels: int) -> Unpacked:
    """Header, raw parts and stream. Raises a BitstreamError for damage, and where another model made the file."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"the bytes of an .hfc file are decoded, not a {type(data).__name__}: read the file first")
    unpacked = unpack(bytes(data), max_pixels=max_pixels)
    header = unpacked.header
    if header.fingerprint != fingerprint or header.codec != codec:
        raise WrongModelError(
            f"the file was made by {header.codec} model {header.fingerprint.hex()}, loaded is {codec} model "
            f"{fingerprint.hex()} ({name}): load the checkpoint that made it"
        )
    return unpacked
