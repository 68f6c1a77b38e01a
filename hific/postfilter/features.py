"""What a decoded pixel's correction is predicted from: the window of the reconstruction around it, as exact integers.

pixels uint8 ─ around 128, a margin of r = side // 2 around ─ window [side, side, 3] ─┬─ linear filter ── 3 numbers
                                                                                      └─ cheap features ─ the rest

rows, columns of a place [h, w] and its margin        All arrays are float64 that hold integers below 2**53, so that
┌─────────────────┐                                   sums and matrix products are exact in any order. N places of
│ r  ┌───────┐    │                                   one size are taken at a time.
│    │ h x w │    │
│    └───────┘    │
└─────────────────┘
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

WEIGHT_BITS = 12
# Of corrections, as of the trees' leaves: 1/1024 of a level.
CORRECTION_BITS = 10
MAX_WEIGHT = 1 << 24
# Four upsamplings by two leave errors that repeat with the latent's grid.
GRID = 16
_LUMA = np.array([5.0, 9.0, 2.0])  # in 1/16


@dataclass(frozen=True)
class PostFilterOptions:
    """side: of the window, the paper's x; location: whether the place in the image and in the latent's grid are
    features, the paper's s; tile: pixels a side of what one flag stands for.
    """

    side: int = 7
    location: bool = True
    tile: int = 64

    def __post_init__(self) -> None:
        if self.side not in (3, 5, 7, 9) or not 16 <= self.tile <= 1024:
            raise ValueError(f"side={self.side} must be 3, 5, 7 or 9, and tile={self.tile} in 16..1024")

    @property
    def reach(self) -> int:
        return self.side // 2

    @property
    def num_weights(self) -> int:
        """Of one channel's filter: the window, row by row, channels innermost, and a constant."""
        return 3 * self.side**2 + 1


def window_around(pixels: Pixels, rows: slice, columns: slice, reach: int) -> Pixels:
    """uint8 [h + 2r, w + 2r, 3]: a place of an image [H, W, 3] and its margin; beyond the image its edge goes on."""
    height, width = pixels.shape[:2]
    above, left = min(reach, rows.start), min(reach, columns.start)
    below, right = min(reach, height - rows.stop), min(reach, width - columns.stop)
    seen = pixels[rows.start - above : rows.stop + below, columns.start - left : columns.stop + right]
    missing = ((reach - above, reach - below), (reach - left, reach - right), (0, 0))
    return np.pad(seen, missing, mode="edge")


def centered(windows: Pixels) -> Floats:
    """[N, h + 2r, w + 2r, 3] around 0."""
    return windows.astype(np.float64) - 128


def window_rows(window: Floats, side: int) -> Floats:
    """[N, h + 2r, w, side * 3]: the side pixels of each row of each window."""
    batch, height = window.shape[:2]
    flat = window.reshape(batch, height, -1)
    return np.lib.stride_tricks.sliding_window_view(flat, 3 * side, axis=2)[:, :, ::3]


def linear_correction(window: Floats, weights: NDArray[np.int32], side: int) -> Floats:
    """[N, h, w, 3] in 1/1024 of a level. weights: int32 [3, num_weights] with 12 bits of fraction."""
    batch, height, width = window.shape[0], window.shape[1] - side + 1, window.shape[2] - side + 1
    # Each row of pixels is multiplied once by the weights of all rows of the window that it may be.
    by_row = weights[:, :-1].reshape(3, side, 3 * side).transpose(2, 1, 0).reshape(3 * side, 3 * side).astype(float)
    rows = np.ascontiguousarray(window_rows(window, side)).reshape(-1, 3 * side)
    products = (rows @ by_row).reshape(batch, height + side - 1, width, side, 3)
    total = np.broadcast_to(weights[:, -1].astype(float), (batch, height, width, 3)).copy()
    for row in range(side):
        total += products[:, row : row + height, :, row]
    return np.floor(total * 2.0 ** (CORRECTION_BITS - WEIGHT_BITS) + 0.5)


def features_of(
    window: Floats, corrections: Floats, places: NDArray[np.int32], options: PostFilterOptions
) -> NDArray[np.float32]:
    """float32 [N * h * w, F], integers below 2**24. places: int32 [N, 4], of each the first row and column in the
    image, and the image's height and width.
    """
    reach = options.reach
    height, width = corrections.shape[1:3]
    own = slice(reach, reach + height), slice(reach, reach + width)
    luma = (window + 128) @ _LUMA
    blue, red = (16 * (window[..., channel] + 128) - luma for channel in (2, 0))
    here = (slice(None), *own)
    found = [corrections[..., channel] for channel in range(3)]
    found += [window[here][..., channel] for channel in range(3)]
    found += [luma[here], blue[here], red[here]]
    for radius in dict.fromkeys((1, reach)):
        count, mean = (2 * radius + 1) ** 2, _box(luma, radius, reach)
        found += [count * luma[here] - mean, _spread(luma, mean, radius, reach)]
    found += [options.side**2 * one[here] - _box(one, reach, reach) for one in (blue, red)]
    across = _moved(luma, 0, 1, reach) - _moved(luma, 0, -1, reach)
    down = _moved(luma, 1, 0, reach) - _moved(luma, -1, 0, reach)
    found += [across, down, np.abs(across), np.abs(down)]
    if options.location:
        found += _location(places, height, width)
    table = np.empty((*corrections.shape[:3], len(found)), np.float32)
    for index, one in enumerate(found):
        table[..., index] = one
    return table.reshape(-1, len(found))


def _box(plane: Floats, radius: int, reach: int) -> Floats:
    """Sums over the squares of `radius` around each pixel of the place: [N, h, w] of [N, h + 2r, w + 2r]."""
    size = plane.shape[1] - 2 * reach, plane.shape[2] - 2 * reach
    first, last = reach - radius, reach + radius
    columns = np.add.reduce([plane[:, :, start : start + size[1]] for start in range(first, last + 1)])
    total: Floats = np.add.reduce([columns[:, start : start + size[0]] for start in range(first, last + 1)])
    return total


def _spread(luma: Floats, sums: Floats, radius: int, reach: int) -> Floats:
    """The variance over the squares, scaled to below 2**24."""
    count = (2 * radius + 1) ** 2
    return np.floor((count * _box(luma * luma, radius, reach) - sums * sums) / (16 * 16 * count))


def _moved(plane: Floats, row: int, column: int, reach: int) -> Floats:
    height, width = plane.shape[1] - 2 * reach, plane.shape[2] - 2 * reach
    return plane[:, reach + row : reach + row + height, reach + column : reach + column + width]


def _location(places: NDArray[np.int32], height: int, width: int) -> list[Floats]:
    """Row and column in 1/256 of the image, and within the latent's grid."""
    top, left, of_height, of_width = (places[:, index, None, None].astype(np.int64) for index in range(4))
    rows, columns = top + np.arange(height)[None, :, None], left + np.arange(width)[None, None, :]
    found = [rows * 256 // of_height, columns * 256 // of_width, rows % GRID, columns % GRID]
    return [one.astype(np.float64) for one in found]
