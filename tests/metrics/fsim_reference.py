"""FSIMc written again from its paper (Zhang et al. 2011) and Kovesi's phase congruency, in float64 NumPy.

For images below 384 pixels on a side, which FSIM does not reduce.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import correlate

SCALES, ORIENTATIONS = 4, 4


def fsimc(image: np.ndarray, reconstruction: np.ndarray) -> float:
    """uint8 [H, W, 3] twice to FSIMc."""
    first, second = (_yiq(array.astype(np.float64)) for array in (image, reconstruction))
    congruency = [phase_congruency(yiq[0]) for yiq in (first, second)]
    weight = np.maximum(*congruency)
    local = _similarity(*congruency, 0.85) * _similarity(_gradient(first[0]), _gradient(second[0]), 160)
    color = _similarity(first[1], second[1], 200) * _similarity(first[2], second[2], 200)
    return float((local * np.abs(color) ** 0.03 * weight).sum() / weight.sum())


def phase_congruency(luminance: np.ndarray) -> np.ndarray:
    """[H, W] to [H, W] in 0..1."""
    spectrum = np.fft.fft2(luminance)
    energy, amplitude = np.zeros_like(luminance), np.zeros_like(luminance)
    for filters in _log_gabor_filters(luminance.shape):
        responses = np.fft.ifft2(spectrum * filters)
        mean_phase = responses.sum(axis=0)
        mean_phase /= np.abs(mean_phase) + 1e-4
        projected = responses * mean_phase.conj()
        local_energy = (projected.real - np.abs(projected.imag)).sum(axis=0)
        energy += np.maximum(local_energy - _noise_threshold(responses[0], filters), 0)
        amplitude += np.abs(responses).sum(axis=0)
    return energy / amplitude


def _noise_threshold(finest: np.ndarray, filters: np.ndarray) -> float:
    # Rayleigh noise, its power estimated from the finest scale
    power = np.median(np.abs(finest) ** 2) / np.log(2) / (filters[0] ** 2).sum()
    kernels = np.fft.ifft2(filters).real * np.sqrt(finest.size)
    squares = (kernels**2).sum()
    pairs = sum((kernels[i] * kernels[j]).sum() for i in range(SCALES) for j in range(i + 1, SCALES))
    tau = np.sqrt((2 * power * squares + 4 * power * pairs) / 2)
    return float((tau * np.sqrt(np.pi / 2) + 2 * np.sqrt((2 - np.pi / 2) * tau**2)) / 1.7)


def _log_gabor_filters(shape: tuple[int, int]) -> list[np.ndarray]:
    """For each orientation the frequency responses [SCALES, H, W]."""
    x, y = np.meshgrid(*(np.fft.ifftshift(_frequencies(side)) for side in (shape[1], shape[0])))
    radius, angle = np.hypot(x, y), np.arctan2(-y, x)
    low_pass = 1 / (1 + (radius / 0.45) ** 30)
    radius[0, 0] = 1
    radial = []
    for scale in range(SCALES):
        center = 1 / (6 * 2**scale)
        response = np.exp(-(np.log(radius / center) ** 2) / (2 * np.log(0.55) ** 2)) * low_pass
        response[0, 0] = 0
        radial.append(response)
    spread = np.pi / ORIENTATIONS / 1.2
    filters = []
    for orientation in range(ORIENTATIONS):
        difference = angle - orientation * np.pi / ORIENTATIONS
        distance = np.abs(np.arctan2(np.sin(difference), np.cos(difference)))
        filters.append(np.stack(radial) * np.exp(-(distance**2) / (2 * spread**2)))
    return filters


def _frequencies(side: int) -> np.ndarray:
    if side % 2:
        return np.arange(-(side - 1) // 2, (side - 1) // 2 + 1) / (side - 1)
    return np.arange(-side // 2, side // 2) / side


def _yiq(image: np.ndarray) -> np.ndarray:
    matrix = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    return np.moveaxis(image @ matrix.T, -1, 0)


def _gradient(luminance: np.ndarray) -> np.ndarray:
    scharr = np.array([[3, 0, -3], [10, 0, -10], [3, 0, -3]]) / 16
    return np.hypot(*(correlate(luminance, kernel, mode="constant") for kernel in (scharr, scharr.T)))


def _similarity(first: np.ndarray, second: np.ndarray, constant: float) -> np.ndarray:
    return (2 * first * second + constant) / (first**2 + second**2 + constant)
