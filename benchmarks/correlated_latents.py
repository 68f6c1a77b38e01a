"""Five-level latents like those of photos: smooth in places, busy in others, and channels that resemble each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEVELS = 5


def correlated_latent(seed: int, num_channels: int = 8, height: int = 32, width: int = 48) -> NDArray[np.int8]:
    """int8 [num_channels, height, width] of 0..4: Gaussian fields of different smoothness, mixed, quantized."""
    rng = np.random.default_rng(seed)
    fields = np.stack(
        [_smooth(rng.normal(size=(height + 32, width + 32)), 1 + 2 * channel) for channel in range(num_channels)]
    )
    mixing = np.eye(num_channels) + 0.4 * np.random.default_rng(7).normal(size=(num_channels, num_channels))
    mixed = np.einsum("ij,jhw->ihw", mixing, fields / fields.std(axis=(1, 2), keepdims=True))
    energy = np.exp(0.5 * _smooth(rng.normal(size=(height + 32, width + 32)), 15) * 15)
    latent = mixed * energy
    latent = latent[:, 16:-16, 16:-16] / latent.std()
    return (np.clip(np.rint(1.2 * latent), -2, 2) + 2).astype(np.int8)


def correlated_crops(number: int, seed: int = 1000, num_channels: int = 8) -> list[NDArray[np.int8]]:
    """Small crops, 8 to 16 symbols a side, as training sees them."""
    sizes = np.random.default_rng(seed).integers(8, 17, size=(number, 2)).tolist()
    return [
        correlated_latent(seed + 1 + index, num_channels, height, width) for index, (height, width) in enumerate(sizes)
    ]


def independent_latent(
    seed: int, num_channels: int = 8, height: int = 32, width: int = 48, shares: tuple[float, ...] = (1, 2, 4, 2, 1)
) -> NDArray[np.int8]:
    """int8 [num_channels, height, width] of 0..4 without any structure, levels in the proportion of `shares`."""
    probabilities = np.array(shares) / sum(shares)
    rng = np.random.default_rng(seed)
    return rng.choice(LEVELS, size=(num_channels, height, width), p=probabilities).astype(np.int8)


def _smooth(noise: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """A running mean over `reach` places each way, wrapping around."""
    for axis in (-1, -2):
        noise = np.mean([np.roll(noise, shift, axis) for shift in range(reach)], axis=0)
    return noise
