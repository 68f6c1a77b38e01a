"""What can be wrong with the bytes of a file. Every reader of bytes raises these and nothing else."""

from __future__ import annotations


class BitstreamError(ValueError):
    """The bytes cannot be decoded; the message says why. Base of all errors below."""


class NotHfcError(BitstreamError):
    """Not an `.hfc` file at all."""


class UnsupportedVersionError(BitstreamError):
    """Written by a version of the format that this program does not know."""


class WrongModelError(BitstreamError):
    """Written with another model than the loaded one."""


class TruncatedError(BitstreamError):
    """Ends before it should."""


class CorruptedError(BitstreamError):
    """Some bytes are not what was written: a flipped bit, or bytes added or missing."""


class TooLargeError(BitstreamError):
    """Declares an image above the pixel limit; raised before anything is allocated for it."""
