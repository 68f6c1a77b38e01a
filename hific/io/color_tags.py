"""What colors mean where no ICC profile says it: PNG's cICP, gAMA and cHRM, AVIF's nclx; and their way to sRGB.

samples ─ curve ─ linear light ─ matrix of the primaries ─ linear light of sRGB ─ sRGB's curve ─ samples
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hific.errors import ImageError

Pixels = NDArray[np.uint8]
Matrix = NDArray[np.float64]
_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
# x and y of red, green, blue and white, by the numbers of ITU-T H.273; 2 is "not said".
_SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)
_PRIMARIES = {
    1: _SRGB,
    2: _SRGB,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65),
    7: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.314, 0.351)),
    12: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), _D65),
    22: ((0.63, 0.34), (0.295, 0.605), (0.155, 0.077), _D65),
}
# The exponents of their curves; None is sRGB's own, by which viewers show BT.709, BT.601 and BT.2020 too.
_CURVES = {1: None, 2: None, 6: None, 13: None, 14: None, 15: None, 4: 2.2, 5: 2.8, 8: 1.0}
_HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}
_SRGB_GAMMA = 45455
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_ROWS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class ColorTags:
    """primaries: x and y of red, green, blue and white; exponent: of the curve to linear light, None for sRGB's;
    refused: why the colors cannot be converted, or empty."""

    primaries: Sequence[tuple[float, float]] = _SRGB
    exponent: float | None = None
    refused: str = ""

    @property
    def is_srgb(self) -> bool:
        near = np.abs(np.array(self.primaries) - np.array(_SRGB)).max() < 0.002
        return bool(near) and self.exponent is None and not self.refused

    def to_srgb(self, pixels: Pixels) -> Pixels:
        """uint8 [H, W, 3]. Raises ImageError where there is no way."""
        if self.refused:
            raise ImageError(self.refused)
        levels = np.arange(256) / 255
        linear = _linear(levels) if self.exponent is None else levels**self.exponent
        matrix = np.linalg.inv(_to_xyz(_SRGB)) @ _to_xyz(self.primaries)
        flat, converted = pixels.reshape(-1, 3), np.empty((pixels.size // 3, 3), np.uint8)
        for start in range(0, len(flat), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            light = np.clip(linear[flat[part]] @ matrix.T, 0, 1)
            converted[part] = np.rint(255 * _encoded(light))
        return converted.reshape(pixels.shape)


def tags_of_cicp(primaries: int, transfer: int) -> ColorTags | None:
    """By the numbers of H.273. None for what is shown as sRGB."""
    if transfer in _HIGH_DYNAMIC_RANGE:
        name = _HIGH_DYNAMIC_RANGE[transfer]
        return ColorTags(refused=f"is of high dynamic range ({name}): convert it to sRGB, which it has no one way to")
    if primaries not in _PRIMARIES or transfer not in _CURVES:
        return ColorTags(
            refused=f"has colors (CICP {primaries}/{transfer}) that are not known here: convert it to sRGB"
        )
    tags = ColorTags(_PRIMARIES[primaries], _CURVES[transfer])
    return None if tags.is_srgb else tags


def tags_of_png(gamma: int, corners: Sequence[int]) -> ColorTags | None:
    """gAMA, 0 where there is none, and cHRM's white, red, green and blue, both times 100000. None where sRGB is meant,
    or nothing sensible."""
    exponent = None
    if 10_000 <= gamma <= 1_000_000 and abs(gamma - _SRGB_GAMMA) > 1000:
        exponent = 100_000 / gamma
    primaries: Sequence[tuple[float, float]] = _SRGB
    if len(corners) == 8:
        white, *others = [(x / 1e5, y / 1e5) for x, y in zip(corners[::2], corners[1::2], strict=True)]
        found = (*others, white)
        if all(0 <= x <= 1 and 0 < y <= 1 for x, y in found) and abs(np.linalg.det(_columns(others))) > 1e-3:
            primaries = found
    tags = ColorTags(primaries, exponent)
    return None if tags.is_srgb else tags


def _columns(points: Sequence[tuple[float, float]]) -> Matrix:
    """X, Y, Z for Y = 1, a column each."""
    return np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in points]).T


def _to_xyz(primaries: Sequence[tuple[float, float]]) -> Matrix:
    """From linear light to XYZ as seen by an eye that is used to D65 (Bradford)."""
    columns, white = _columns(primaries[:3]), _columns(primaries[3:])[:, 0]
    to_xyz = columns * np.linalg.solve(columns, white)
    gains = (_BRADFORD @ _columns([_D65])[:, 0]) / (_BRADFORD @ white)
    adapted: Matrix = np.linalg.inv(_BRADFORD) @ (gains[:, None] * (_BRADFORD @ to_xyz))
    return adapted


def _linear(levels: Matrix) -> Matrix:
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def _encoded(light: Matrix) -> Matrix:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
