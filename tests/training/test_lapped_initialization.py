"""Lapped-transform initialization: fewer bits and less error than the blocks it begins from, once, where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor
from training.test_training import StopAfter

from hific.data.published import BundledPhotos
from hific.io.read_image import read_image
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.models.lapped_initialization import initialize_lapped, is_klt_initialized
from hific.networks.transforms import Transform
from hific.training import callbacks

MSE_WEIGHT = 0.075 / 32


WIDTHS = {"hific": [8, 16, 32, 48, 64], "patch": [48, 64]}


def make_model(transform: Transform = "hific", *, klt: bool = True) -> HyperpriorAutoencoder:
    torch.manual_seed(0)
    model = HyperpriorAutoencoder(
        transform=transform,
        widths=WIDTHS[transform],
        latent_channels=32,
        hyper_channels=8,
        residual_blocks=1,
        normalization="none",
    )
    if klt:
        model.initialize_klt()
    return model.eval()


def photos(split: str = "train", side: int = 256) -> list[Tensor]:
    arrays = [read_image(path).array[:side, :side].copy() for path in BundledPhotos().files(split)]
    return [torch.from_numpy(array).permute(2, 0, 1)[None] / 255 for array in arrays if min(array.shape[:2]) == side]


@torch.no_grad()
def measured(model: HyperpriorAutoencoder) -> tuple[float, float]:
    """Zero-order entropy in bits per pixel, and mean squared error, of rounded latents of photos not fitted to."""
    images = photos("test")
    latents = [model.analyze(image).round() for image in images]
    error = torch.stack([(model.synthesize(q) - x).square().mean() for q, x in zip(latents, images, strict=True)])
    bits = 0.0
    for symbols in torch.cat([latent.flatten(2)[0] for latent in latents], 1):
        counts = torch.unique(symbols, return_counts=True)[1].double()
        bits -= float((counts * (counts / counts.sum()).log2()).sum())
    return bits / (len(images) * 256**2), float(error.mean())


@pytest.mark.parametrize("transform", ["hific", "patch"])
def test_it_takes_less_than_blocks_in_sum_on_photos_that_it_never_saw(transform: Transform) -> None:
    model = make_model(transform)
    blocks = measured(model)
    initialize_lapped(model, photos(), mse_weight=MSE_WEIGHT, steps=150, seed=0)
    lapped = measured(model)
    loss = [2 * bpp + MSE_WEIGHT * 255**2 * error for bpp, error in (blocks, lapped)]
    assert lapped[0] < 0.8 * blocks[0] and loss[1] < 0.97 * loss[0], (blocks, lapped)


@torch.no_grad()
def test_the_networks_stay_affine() -> None:
    model = make_model()
    with torch.enable_grad():
        initialize_lapped(model, photos()[:2], mse_weight=MSE_WEIGHT, steps=5, seed=0)
    x, y = torch.rand(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for network, one, other in (
        (model.analysis, x, y),
        (model.synthesis, model.analyze(x), model.analyze(y)),
    ):
        mixed = network(0.3 * one + 0.7 * other)
        torch.testing.assert_close(mixed, 0.3 * network(one) + 0.7 * network(other), rtol=1e-3, atol=1e-3)


def test_scales_start_at_what_latents_are() -> None:
    model = make_model()
    initialize_lapped(model, photos(), mse_weight=MSE_WEIGHT, steps=5, seed=0)
    with torch.no_grad():
        latents = torch.cat([model.analyze(photo).flatten(2)[0] for photo in photos()], 1)
    torch.testing.assert_close(model.scale_synthesis.head.bias, latents.std(1).clamp(min=0.11), rtol=1e-3, atol=1e-3)


def test_of_no_photos_it_says_so() -> None:
    with pytest.raises(ValueError, match="one photo"):
        initialize_lapped(make_model(), [], mse_weight=MSE_WEIGHT, steps=1, seed=0)


def test_it_is_the_same_each_time_and_leaves_global_chance_alone() -> None:
    models = [make_model(), make_model()]
    state = torch.get_rng_state()
    for model in models:
        initialize_lapped(model, photos()[:2], mse_weight=MSE_WEIGHT, steps=3, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one, other)


def test_only_an_untouched_klt_is_one() -> None:
    model = make_model()
    assert is_klt_initialized(model) and not is_klt_initialized(make_model(klt=False))
    assert not is_klt_initialized(torch.nn.Linear(2, 2))
    initialize_lapped(model, photos()[:1], mse_weight=MSE_WEIGHT, steps=1, seed=0)
    assert not is_klt_initialized(model)


def test_training_begins_with_it_once(
    composed: Callable[..., DictConfig], train: Callable[[DictConfig], Any], tmp_path: Path
) -> None:
    """And neither a resumed training nor one from another's weights does it again."""
    calls: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks, "initialize_lapped", lambda *_, **rest: calls.append(rest["steps"]))
        common = ["model=hific", "recipe.stage2_steps=0"]
        stop = [f"+callbacks.extra._target_={StopAfter.__module__}.StopAfter", "+callbacks.extra.batches=1"]
        train(composed(*common, "recipe.stage1_steps=2", *stop, output="first"))
        assert calls == [3]
        last = tmp_path / "first" / "last.ckpt"
        train(composed(*common, "recipe.stage1_steps=2", f"ckpt_path={last}", output="resumed"))
        train(composed(*common, "recipe.stage1_steps=1", f"init_from={last}", output="from"))
        train(composed(*common, "recipe.stage1_steps=1", "recipe.initialization=klt", output="blocks"))
        train(composed(*common, "recipe.stage1_steps=1", "recipe.initialization=random", output="random"))
        train(composed("model=sae", output="sae"))
    assert calls == [3]
