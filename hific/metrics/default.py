"""The metrics of every result row. What lacks its weights is in the list too, and says so."""

from __future__ import annotations

from pathlib import Path

import torch

from hific.metrics.fidelity import MSE, MSSSIM, PSNR, SSIM, ColorError, FSIMc
from hific.metrics.frechet import AlexNetFrechetDistance, InceptionDistances
from hific.metrics.image_metric import ImageMetric, SetMetric
from hific.metrics.niqe import NIQE
from hific.metrics.perceptual import DISTS, LPIPS, PerceptualLoss
from hific.metrics.program_metrics import VMAF, Butteraugli
from hific.metrics.ssimulacra2 import SSIMULACRA2


def default_image_metrics(
    weights_dir: str | Path | None = None, *, device: str | torch.device = "cpu"
) -> list[ImageMetric]:
    """All metrics of an image and its reconstruction; make the list once, it loads networks."""
    return [
        MSE(),
        PSNR(),
        SSIM(),
        MSSSIM(),
        SSIMULACRA2(),
        LPIPS("alex", weights_dir, device=device),
        LPIPS("squeeze", weights_dir, device=device),
        FSIMc(),
        DISTS(weights_dir, device=device),
        PerceptualLoss(weights_dir, device=device),
        ColorError(),
        NIQE(weights_dir),
        Butteraugli(),
        VMAF(),
    ]


def default_set_metrics(
    weights_dir: str | Path | None = None,
    inception_weights: str | Path | None = None,
    *,
    device: str | torch.device = "cpu",
) -> list[SetMetric]:
    """All metrics of a set, empty: each codec and setting needs its own list."""
    return [
        InceptionDistances(inception_weights, device=device),
        AlexNetFrechetDistance(weights_dir, device=device),
    ]
