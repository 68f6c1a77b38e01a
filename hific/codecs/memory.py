"""How large an image may be, by the memory that it takes, and freed memory that stays with the process.

Imports no torch, so that a large photo is refused before the seconds that loading takes. CompressNet's pools code an
image whole, since InstanceNorm looks at all of it: memory grows with the pixels. HiFiC's networks, and the patch
transform in CompressNet, see a tile at a time, and only the latent is whole.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

from hific.errors import TooLargeError

# Of models that look at the whole image.
DEFAULT_MAX_PIXELS = 4_000_000
# Of those that code in tiles; above this, numbers in a header are not believed.
DECODE_MAX_PIXELS = 1 << 28
MEMORY_INFO = Path("/proc/meminfo")

# Peaks over compress and decompress on the CPU, beside the weights: 420 bytes a pixel at a first width of 16
# (size=small), 1430 at 60 (size=paper); the latent and its coding hardly count.
_BYTES_A_PIXEL = 60
_BYTES_A_PIXEL_AND_CHANNEL = 23

# HiFiC's, likewise, with some margin. Of every pixel the photo, its padded form and the result; of every latent
# position what the coder holds (measured: 14.4 numbers a channel, 2.4 a hyper-channel) and, beside the networks,
# symbols, means and their sum; of every pixel that a tile sees 190 bytes at a first width of 16, 690 at 60, and with
# bfloat16 on a processor without it 1690 and 6130.
_TILED_BYTES_A_PIXEL = 10
_CODER_NUMBERS_A_CHANNEL, _CODER_NUMBERS_A_HYPER_CHANNEL = 16, 3
_CODER_BYTES = 64_000_000
_HELD_NUMBERS_A_CHANNEL = 3
# (a pixel, a pixel and channel)
_TILE_BYTES = {"float32": (30, 12), "bfloat16": (75, 104)}


def estimated_memory(num_pixels: int, width: int) -> int:
    """Bytes at the peak of coding so many padded pixels; `width`: channels of the model's first scale."""
    return num_pixels * (_BYTES_A_PIXEL + _BYTES_A_PIXEL_AND_CHANNEL * width)


def estimated_tiled_memory(
    padded: tuple[int, int], model: Any, tile: int, precision: str = "float32"
) -> tuple[int, int]:
    """Bytes at the peak of the coder, and of the networks; each with all that is held then. model: what a
    `TiledTransform` has; `tile`: 0 is none."""
    stride = model.stride
    width, height = padded
    positions = width * height // stride**2
    side = tile + 2 * stride * model.synthesis.halo if tile else max(padded)
    seen = min(width, side) * min(height, side)
    channel_numbers = _CODER_NUMBERS_A_CHANNEL * model.latent_channels
    hyper_numbers = _CODER_NUMBERS_A_HYPER_CHANNEL * getattr(model, "hyper_channels", 0)
    coder = _CODER_BYTES + 4 * positions * (channel_numbers + hyper_numbers)
    a_pixel, a_channel = _TILE_BYTES[precision]
    networks = 4 * positions * _HELD_NUMBERS_A_CHANNEL * model.latent_channels
    networks += seen * (a_pixel + a_channel * model.analysis.channels_per_pixel)
    held = _TILED_BYTES_A_PIXEL * width * height
    return held + coder, held + networks


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


def check_pixels(
    width: int, height: int, max_pixels: int, padded: tuple[int, int] | None = None, *, whole: bool = False
) -> None:
    """Raises TooLargeError where the image, or what it is padded to, has more than `max_pixels`. whole: the model looks
    at all of an image at once."""
    coded = padded or (width, height)
    if coded[0] * coded[1] <= max_pixels:
        return
    instead = "; this model codes an image whole, those of HiFiC code in tiles" if whole else ""
    raise TooLargeError(
        f"{_size(width, height, padded)} is above the limit of {max_pixels} pixels: downscale it, or raise the limit "
        f"with --max-pixels (in Python: max_pixels) if memory allows{instead}"
    )


def check_memory(width: int, height: int, padded: tuple[int, int], model_width: int) -> None:
    """Raises TooLargeError where the image would take more memory than there is: the system would kill us for it."""
    needed, available = estimated_memory(padded[0] * padded[1], model_width), available_memory()
    if available is not None and needed > available:
        raise TooLargeError(
            f"{_size(width, height, padded)} would take about {_gigabytes(needed)} of memory with this model, and "
            f"{_gigabytes(available)} are available: downscale it, or free memory"
        )


def check_tiled_memory(
    width: int,
    height: int,
    padded: tuple[int, int],
    model: Any,
    tile: int,
    precision: str = "float32",
) -> None:
    """The same for networks that see tiles: less is needed where they are smaller."""
    coder, networks = estimated_tiled_memory(padded, model, tile, precision)
    available = available_memory()
    if available is None or max(coder, networks) <= available:
        return
    smaller = "take smaller tiles (--tile; in Python: tile), " if coder <= available else ""
    raise TooLargeError(
        f"{_size(width, height, padded)} would take about {_gigabytes(max(coder, networks))} of memory with this model "
        f"{f'in tiles of {tile}' if tile else 'in one piece'}, and {_gigabytes(available)} are available: {smaller}"
        "downscale it, or free memory"
    )


def _size(width: int, height: int, padded: tuple[int, int] | None) -> str:
    return f"{width}x{height}" + (
        f" (padded to {padded[0]}x{padded[1]})" if padded not in (None, (width, height)) else ""
    )


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB"


# <malloc.h> of glibc
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3


def keep_freed_memory(largest_kept: int = 1 << 30) -> None:
    """Lets glibc's malloc reuse blocks of up to `largest_kept` bytes; for the whole process. Elsewhere: nothing.

    By default each block above 32 MB is mapped afresh and given back when freed, and its first touch takes a page
    fault every 4 KB. HiFiC's 60 channels of a 768x512 image are 94 MB: with those faults the stem's convolution takes
    145 ms instead of 91 and its ChannelNorm 92 instead of 33. Without them the analysis takes 0.76 and the synthesis
    0.88 of the time (one thread). The peak of memory in a training step of size=small went from 0.94 to 0.97 GB.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # not in musl
        libc.mallopt(M_MMAP_THRESHOLD, largest_kept)
        libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
