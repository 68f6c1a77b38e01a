"""How large an image may be. Imports no torch, so that a large photo is refused before the seconds that loading takes.

CompressNet codes an image whole, since InstanceNorm looks at all of it: memory grows with the pixels.
"""

from __future__ import annotations

import os
from pathlib import Path

from hific.coding.errors import TooLargeError

DEFAULT_MAX_PIXELS = 4_000_000
MEMORY_INFO = Path("/proc/meminfo")

# Peaks over compress and decompress on the CPU, beside the weights: 420 bytes a pixel at a first width of 16
# (size=small), 1430 at 60 (size=paper); the latent and its coding hardly count.
_BYTES_A_PIXEL = 60
_BYTES_A_PIXEL_AND_CHANNEL = 23
_SMALL_WIDTH, _PAPER_WIDTH = 16, 60


def estimated_memory(num_pixels: int, width: int) -> int:
    """Bytes at the peak of coding so many padded pixels; `width`: channels of the model's first scale."""
    return num_pixels * (_BYTES_A_PIXEL + _BYTES_A_PIXEL_AND_CHANNEL * width)


def available_memory() -> int | None:
    """Bytes that can be had without swapping, or None where the system does not tell."""
    try:
        for line in MEMORY_INFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    if "SC_AVPHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def check_pixels(width: int, height: int, max_pixels: int, padded: tuple[int, int] | None = None) -> None:
    """Raises TooLargeError where the image, or what it is padded to, has more than `max_pixels`."""
    whole = padded or (width, height)
    num_pixels = whole[0] * whole[1]
    if num_pixels <= max_pixels:
        return
    raise TooLargeError(
        f"{_size(width, height, padded)} is above the limit of {max_pixels} pixels. CompressNet codes an image whole; "
        f"this one would take about {_gigabytes(estimated_memory(num_pixels, _SMALL_WIDTH))} of memory with a model of "
        f"size=small, {_gigabytes(estimated_memory(num_pixels, _PAPER_WIDTH))} with size=paper: downscale it, or raise "
        "the limit with --max-pixels (in Python: max_pixels)"
    )


def check_memory(width: int, height: int, padded: tuple[int, int], model_width: int) -> None:
    """Raises TooLargeError where the image would take more memory than there is: the system would kill us for it."""
    needed, available = estimated_memory(padded[0] * padded[1], model_width), available_memory()
    if available is not None and needed > available:
        raise TooLargeError(
            f"{_size(width, height, padded)} would take about {_gigabytes(needed)} of memory with this model, and "
            f"{_gigabytes(available)} are available: downscale it, or free memory"
        )


def _size(width: int, height: int, padded: tuple[int, int] | None) -> str:
    return f"{width}x{height}" + (
        f" (padded to {padded[0]}x{padded[1]})" if padded not in (None, (width, height)) else ""
    )


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB"
