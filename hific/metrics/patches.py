"""The patches that distances between sets are taken over (FID/256 of Mentzer et al. 2020).

An H x W image gives the floor(H/256) x floor(W/256) patches of a grid from the top left corner, and those of a second
grid that starts 128 further in both directions, where it fits.

    768 x 512:  3 x 2 patches  +  2 x 1 shifted ones  =  8
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

PATCH = 256


def patch_corners(height: int, width: int, size: int = PATCH) -> list[tuple[int, int]]:
    """Top left corners (y, x) of the patches, those of the plain grid first; none where a side is below `size`."""
    return [
        (offset + row * size, offset + column * size)
        for offset in (0, size // 2)
        for row in range(max(height - offset, 0) // size)
        for column in range(max(width - offset, 0) // size)
    ]


def cut_patches(image: np.ndarray, size: int = PATCH) -> Tensor:
    """uint8 [H, W, 3] to uint8 [n, 3, size, size]; n may be 0."""
    corners = patch_corners(image.shape[0], image.shape[1], size)
    patches = np.empty((len(corners), size, size, 3), np.uint8)
    for index, (y, x) in enumerate(corners):
        patches[index] = image[y : y + size, x : x + size]
    return torch.from_numpy(patches).permute(0, 3, 1, 2)
