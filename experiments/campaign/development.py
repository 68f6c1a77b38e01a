"""The development split: training photos, by a hash of their names, that no training sees; what a model does on them.

The split is that of `data=folder data.source.val_fraction=0.03 data.source.test_fraction=0.001`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hific.data.source import ImageFolder
from hific.metrics.fidelity import MSSSIM
from hific.metrics.image_metric import ImageMetric
from hific.metrics.perceptual import LPIPS, PerceptualLoss
from hific.metrics.ssimulacra2 import SSIMULACRA2
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder

NUM_PHOTOS, CROP, SCALE, SMALLEST = 24, 512, 0.6, 192
COLUMNS = ("bpp", "mse", "psnr", "ms_ssim", "ssimulacra2", "lpips_alex", "lpips_squeeze", "perceptual_loss")

Pixels = NDArray[np.uint8]
# An 8-bit image to its reconstruction, and the bits that it takes.
Codec = Callable[[Pixels], tuple[Pixels, float]]


def split(roots: Sequence[str | Path]) -> ImageFolder:
    return ImageFolder(roots, val_fraction=0.03, test_fraction=0.001)


def development_photos(roots: Sequence[str | Path], scale: float = SCALE) -> list[Pixels]:
    """Centers, at most 512 a side and multiples of 16, of photos at that scale of their own."""
    files = [path for number, path in enumerate(split(roots).files("val")) if number % 19 != 18 and number % 3 != 2]
    return [_center(Image.open(path).convert("RGB"), scale) for path in files[:NUM_PHOTOS]]


def _center(photo: Image.Image, scale: float) -> Pixels:
    scale = max(scale, (SMALLEST + 0.5) / min(photo.size))
    photo = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS)
    width, height = (min(CROP, side // 16 * 16) for side in photo.size)
    left, top = (photo.width - width) // 2, (photo.height - height) // 2
    return np.asarray(photo.crop((left, top, left + width, top + height)))


@cache
def _metrics(weights_dir: str | Path | None) -> tuple[ImageMetric, ...]:
    return (
        MSSSIM(),
        SSIMULACRA2(),
        LPIPS("alex", weights_dir),
        LPIPS("squeeze", weights_dir),
        PerceptualLoss(weights_dir),
    )


def measure(codec: Codec, photos: Sequence[Pixels], weights_dir: str | Path | None = None) -> dict[str, float]:
    """Means over photos, by the names of `COLUMNS`."""
    rows = []
    for photo in photos:
        decoded, bits = codec(photo)
        mse = float(np.mean((decoded.astype(float) - photo) ** 2))
        row = {"bpp": bits / photo[..., 0].size, "mse": mse, "psnr": 10 * np.log10(255**2 / mse)}
        rows.append(row | {metric.name: float(metric(photo, decoded)) for metric in _metrics(weights_dir)})  # type: ignore[arg-type]
    return {name: float(np.mean([row[name] for row in rows])) for name in COLUMNS}


def as_codec(model: HyperpriorAutoencoder) -> Codec:
    """Estimated bits of rounded latents; no file."""

    @torch.no_grad()
    def code(photo: Pixels) -> tuple[Pixels, float]:
        image = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float() / 255
        latent = model.analyze(image)
        hyperprior = model.predict(latent)
        decoded: Tensor = model.synthesize(model.quantize(latent, hyperprior))[0].clamp(0, 1)
        pixels = (decoded * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        return pixels, float(model.quantized_bits(latent, hyperprior))

    return code
