"""SSIMULACRA2 written again after its reference in C++ (libjxl's tools), in float64. The package's table of 108 weights
is taken over: the reference's, in the same order."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter
from ssimulacra2.ssimulacra2 import weights

SIGMA, RADIUS = 1.5, 5
BIAS = 0.0037930732552754493
ABSORBANCE = np.array(
    [
        [0.30, 0.622, 0.078],
        [0.23, 0.692, 0.078],
        [0.24342268924547819, 0.20476744424496821, 0.5518098665095536],
    ]
)


def recursive_gaussian(signal: np.ndarray) -> np.ndarray:
    """Along the first axis, by three recursions of second order over the whole signal (Charalampidis 2016, table I,
    equations 33 to 57), with zeros before and after it."""
    odd, sign = np.array([1, 3, 5]), np.array([1, -1, 1])
    omega = odd * np.pi / (2 * RADIUS)
    p = sign / np.tan(omega / 2)
    r = sign * p**2 / np.sin(omega)
    rho = np.exp(-0.5 * SIGMA**2 * omega**2) / RADIUS
    minor = p * np.roll(r, -1) - r * np.roll(p, -1)  # of 1, 3; of 3, 5; of 5, 1
    zeta = np.array([minor[1] / minor[0], minor[2] / minor[0], 1])
    beta = np.linalg.solve(np.array([p, r, zeta]), [1, RADIUS**2 - SIGMA**2, zeta @ rho])
    far = np.pad(signal, ((RADIUS - 1, RADIUS + 1), (0, 0)))
    pairs = np.zeros_like(far)  # x[n - R - 1] + x[n + R - 1]
    pairs[2 * RADIUS :] += far[: -2 * RADIUS]
    pairs += far
    found = [
        lfilter([-b * np.cos(w * (RADIUS + 1))], [1, -2 * np.cos(w), 1], pairs, axis=0)
        for b, w in zip(beta, omega, strict=True)
    ]
    return np.sum(found, axis=0)[2 * RADIUS - 2 : 2 * RADIUS - 2 + len(signal)]


def blur(image: np.ndarray) -> np.ndarray:
    """Of [H, W, C]; nothing is beyond the borders."""
    for axis in (0, 1):
        lines = np.moveaxis(image, axis, 0)
        image = np.moveaxis(recursive_gaussian(lines.reshape(len(lines), -1)).reshape(lines.shape), 0, axis)
    return image


def positive_xyb(linear: np.ndarray) -> np.ndarray:
    mixed = np.cbrt(np.maximum(linear @ ABSORBANCE.T + BIAS, 0)) - np.cbrt(BIAS)
    x, y = (mixed[..., 0] - mixed[..., 1]) / 2, (mixed[..., 0] + mixed[..., 1]) / 2
    return np.stack([14 * x + 0.42, y + 0.01, mixed[..., 2] - y + 0.55], axis=-1)


def halved(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4


def norms(errors: np.ndarray) -> np.ndarray:
    """[2, C]: the mean, and the fourth root of that of fourth powers."""
    return np.stack([errors.mean((0, 1)), (errors**4).mean((0, 1)) ** 0.25])


def ssimulacra2(image: np.ndarray, reconstruction: np.ndarray) -> float:
    """Of two uint8 images [H, W, 3] with sides above 128, which have all six scales."""
    first, second = (
        np.where(one <= 0.04045, one / 12.92, ((one + 0.055) / 1.055) ** 2.4)
        for one in (image / 255, reconstruction / 255)
    )
    found = []
    for scale in range(6):
        if scale:
            first, second = halved(first), halved(second)
        a, b = positive_xyb(first), positive_xyb(second)
        mean_a, mean_b = blur(a), blur(b)
        variances = blur(a * a) - mean_a**2 + blur(b * b) - mean_b**2
        structure = (2 * (blur(a * b) - mean_a * mean_b) + 0.0009) / (variances + 0.0009)
        edges = (1 + np.abs(b - mean_b)) / (1 + np.abs(a - mean_a)) - 1
        errors = (np.maximum(1 - (1 - (mean_a - mean_b) ** 2) * structure, 0), np.maximum(edges, 0))
        found.append([norms(one) for one in (*errors, np.maximum(-edges, 0))])
    by_channel = np.array(found).transpose(3, 0, 2, 1)  # channel, scale, norm, map: the order of the weights
    total = 0.9562382616834844 * float(weights @ by_channel.ravel())
    total = 2.326765642916932 * total - 0.020884521182843837 * total**2 + 6.248496625763138e-05 * total**3
    return 100 - 10 * max(total, 0) ** 0.6276336467831387
