"""What a validation logs is what the photos say, each as its file would be, by formulas that are written out here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from omegaconf import DictConfig
from photos import photo, save_noise
from PIL import Image
from torch import Tensor
from training.watching import LAST_VALIDATION, WATCHING

from hific.losses.perceptual import AlexNetPerceptualLoss, LPIPSLoss

Composed = Callable[..., DictConfig]
Train = Callable[[DictConfig], Any]
# No multiple of 16: what is padded must not be measured.
SIDE = 50
ONE_BATCH = ["recipe.val_check_interval=1", f"data.eval_crop={SIDE}", "data=folder", *WATCHING]


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    """Some to train on, two to validate on, of which one is far noisier."""
    for name in ("a", "b", "c"):
        save_noise(tmp_path / "photos" / "train" / f"{name}.png", (64, 64))
    save_noise(tmp_path / "photos" / "val" / "noisy.png", (60, 57))
    Image.fromarray(photo(70, 55)).save(tmp_path / "photos" / "val" / "smooth.png")
    return [*ONE_BATCH, f"data.root={tmp_path / 'photos'}"]


def padded(original: Tensor) -> Tensor:
    return F.pad(original, (0, 64 - SIDE, 0, 64 - SIDE), mode="replicate")


def at_256_levels(image: Tensor) -> Tensor:
    return (image[..., :SIDE, :SIDE] * 255).round().clamp(0, 255) / 255


def psnr(one: Tensor, other: Tensor) -> float:
    return -10 * (one - other).square().mean().log10().item()


def mean(values: list[float]) -> float:
    assert len(values) == 2 and values[0] != pytest.approx(values[1], rel=1e-3)
    return sum(values) / len(values)


@torch.no_grad()
def test_hific(composed: Composed, train: Train, photos: list[str], random_weights_dir: Path) -> None:
    perceptual = ["recipe.perceptual=lpips_alex", f"weights.dir={random_weights_dir}", "recipe.perceptual_weight=3"]
    stages = ["recipe.stage1_steps=1", "recipe.stage2_steps=0", "recipe.initialization=klt"]
    with torch.enable_grad():
        metrics = train(composed("model=hific", *stages, *perceptual, *photos)).metrics
    model, lpips = LAST_VALIDATION.model.eval(), LPIPSLoss("alex", random_weights_dir)
    found: dict[str, list[float]] = {"psnr": [], "distortion": [], "estimated_bpp": [], "objective": []}
    for original in LAST_VALIDATION.photos:
        assert original.shape == (1, 3, SIDE, SIDE)
        output = model(padded(original))
        reconstruction = at_256_levels(output.reconstruction)
        bpp = output.estimated_bpp_quantized.item() * 64**2 / SIDE**2
        error = (reconstruction - original).square().mean().item()
        distortion = 0.075 / 32 * 255**2 * error + 3 * lpips(2 * reconstruction - 1, 2 * original - 1).item()
        found["psnr"].append(psnr(reconstruction, original))
        found["distortion"].append(distortion)
        found["estimated_bpp"].append(bpp)
        found["objective"].append(distortion + 8 * bpp)
    due = {f"val/{name}": pytest.approx(mean(values), rel=1e-5) for name, values in found.items()}
    assert {name: metrics[name] for name in due} == due


@torch.no_grad()
def test_compressnet(composed: Composed, train: Train, photos: list[str], random_weights_dir: Path) -> None:
    perceptual = ["recipe.perceptual=conv4", f"weights.dir={random_weights_dir}", "recipe.perceptual_weight=3"]
    with torch.enable_grad():
        metrics = train(composed("model=sae", "recipe.steps=1", "recipe.mse_weight=5", *perceptual, *photos)).metrics
    model, conv4 = LAST_VALIDATION.model.eval(), AlexNetPerceptualLoss(random_weights_dir)
    found: dict[str, list[float]] = {"psnr": [], "distortion": [], "objective": []}
    for original in LAST_VALIDATION.photos:
        reconstruction = at_256_levels((model(2 * padded(original) - 1).reconstruction + 1) / 2)
        # On [-1, 1] errors are twice as large.
        distortion = 5 * 4 * (reconstruction - original).square().mean().item()
        distortion += 3 * conv4(2 * reconstruction - 1, 2 * original - 1).item()
        found["psnr"].append(psnr(reconstruction, original))
        found["distortion"].append(distortion)
        found["objective"].append(distortion)
    due = {f"val/{name}": pytest.approx(mean(values), rel=1e-5) for name, values in found.items()}
    assert {name: metrics[name] for name in due} == due


@torch.no_grad()
def test_pictures_have_the_original_to_the_left(
    composed: Composed, train: Train, photos: list[str], tmp_path: Path
) -> None:
    """To the level, in the size that was measured, of as many photos as are asked for."""
    folder = tmp_path / "run" / "reconstructions"
    with torch.enable_grad():
        train(composed("model=sae", "recipe.steps=1", "callbacks.images.max_images=1", *photos))
    model, (original, _) = LAST_VALIDATION.model.eval(), LAST_VALIDATION.photos
    reconstruction = at_256_levels((model(2 * padded(original) - 1).reconstruction + 1) / 2)
    expected = (torch.cat((original, reconstruction), 3)[0] * 255).round().byte().permute(1, 2, 0)
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "00_step0000001.png")), expected.numpy())
    assert len(list(folder.iterdir())) == 1
