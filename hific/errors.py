"""Every error that a user can cause, told in one line: what is wrong, and what to do. Imports nothing of hific."""

from __future__ import annotations

import pickle
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class HificError(Exception):
    """Base of all errors below. Its message is for the person at the keyboard; no traceback is needed with it."""


class OptionError(HificError, ValueError):
    """An option, or several together, that cannot work; the message names them and the choices."""


class UsageError(HificError):
    """A command line that cannot be done as a whole; nothing was started. Exit status 2."""


class FileRefusedError(HificError, OSError):
    """A target that must not be written; the message says why."""


class ImageError(HificError, ValueError):
    """An image that cannot be read, or is refused; the message names the file."""


class DataNotFoundError(HificError, FileNotFoundError):
    """Photos that should be on disk are not; the message names the expected tree and where the set is obtained."""


class WeightsNotFoundError(HificError, FileNotFoundError):
    """No file with these pretrained weights is at hand; the message names every way to provide one."""


class WeightsFileError(HificError, ValueError):
    """A file of pretrained weights was found and is not what its name says."""


class NonFiniteError(HificError, ArithmeticError):
    """A loss term or the gradient became NaN or infinite; says which and at which step."""


class CheckpointError(HificError, ValueError):
    """A checkpoint that is missing, damaged, not of this suite, or does not do here what it did where it was made."""


class NoFileFitsError(HificError, ValueError):
    """No codec's file is small enough. `max_bytes`: the limit; `num_bytes`: of the smallest file."""

    def __init__(self, max_bytes: int, num_bytes: int, num_pixels: int) -> None:
        self.max_bytes = max_bytes
        self.num_bytes = num_bytes
        limit, smallest = (f"{8 * number / num_pixels:.4f} bpp" for number in (max_bytes, num_bytes))
        super().__init__(
            f"no file of at most {max_bytes} bytes ({limit}): the smallest takes {num_bytes} ({smallest}): allow as "
            "many, downscale the image, or add a checkpoint of a lower rate"
        )


class BitstreamError(HificError, ValueError):
    """The bytes of a file cannot be decoded; the message says why. Readers of bytes raise these and nothing else."""


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


@contextmanager
def exit_on_user_error(*others: type[BaseException]) -> Iterator[None]:
    """Exits with status 1 and the message of the first HificError, or of `others`, in the chain of causes; all else
    passes through."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, (HificError, *others)):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        sys.exit(f"error: {cause}")


@contextmanager
def as_usage_error(place: object, hint: str = "") -> Iterator[None]:
    """Around a command that makes one thing or nothing: every HificError and OSError as a UsageError. `place`: what is
    named where the disk's error names no file; `hint`: what follows such an error."""
    try:
        yield
    except HificError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"{error.filename or place}: {error.strerror or in_a_line(error)}{hint}") from error


DAMAGED_FILE = (
    OSError,
    EOFError,
    RuntimeError,
    MemoryError,
    ArithmeticError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
    pickle.UnpicklingError,
)
"""What `torch.load`, and whatever is built of what it read, was seen to raise on thousands of damaged files: to be told
as one of the errors above."""


def in_a_line(error: BaseException, most: int = 200) -> str:
    """What an error of a library says, without its line breaks and not at any length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else f"{text[:most]}..."
