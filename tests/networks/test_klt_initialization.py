"""A KLT initialization as a linear transform coder: linear, close to the image, and free to learn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning import assert_all_weights_learn
from torch import Tensor

from hific.data.published import BundledPhotos
from hific.errors import OptionError
from hific.io.read_image import read_image
from hific.layers.blocks import Activation
from hific.networks.hific import HificAnalysis, HificSynthesis
from hific.networks.klt_initialization import block_covariance, block_klt, initialize_klt, layered_klt

TINY = (6, 8, 12, 16, 24)
SMALL = (16, 32, 64, 128, 192)


def started(
    widths: tuple[int, ...] = TINY, latents: int = 12, activation: Activation = "relu"
) -> tuple[HificAnalysis, HificSynthesis]:
    torch.manual_seed(0)
    analysis = HificAnalysis(widths, latents, "none")
    synthesis = HificSynthesis(widths, latents, 2, "none", activation)
    initialize_klt(analysis, synthesis)
    return analysis.eval(), synthesis.eval()


@torch.no_grad()
def reconstruct(image: Tensor, analysis: HificAnalysis, synthesis: HificSynthesis) -> Tensor:
    result: Tensor = synthesis(analysis(image))
    return result


def photos(stem: str = "") -> list[Tensor]:
    """Corners [1, 3, 256, 256] of bundled photos."""
    paths = [path for path in BundledPhotos().files("test") if stem in path.stem]
    corners = [read_image(path).array[:256, :256].copy() for path in paths]
    return [torch.from_numpy(corner).permute(2, 0, 1)[None] / 255 for corner in corners]


def psnr(error: Tensor) -> float:
    return float(-10 * torch.log10(error.square().mean()))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.floats(-2, 2))
def test_both_are_affine(seed: int, factor: float) -> None:
    analysis, synthesis = started()
    generator = torch.Generator().manual_seed(seed)
    one, other = torch.rand(2, 1, 3, 32, 48, generator=generator)
    for network, (x, y) in ((analysis, (one, other)), (synthesis, (torch.randn(2, 1, 12, 2, 3, generator=generator)))):
        with torch.no_grad():
            mixed = network(factor * x + (1 - factor) * y)
            torch.testing.assert_close(mixed, factor * network(x) + (1 - factor) * network(y), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_flat_colors_come_back(activation: Activation) -> None:
    """Nearly: the transforms are of images whose neighbors are alike, not equal."""
    image = torch.rand(5, 3, 1, 1, generator=torch.Generator().manual_seed(0)).expand(5, 3, 32, 48)
    networks = started(activation=activation)
    torch.testing.assert_close(reconstruct(image, *networks), image, rtol=0, atol=0.02)


def test_photos_come_back_well_from_whole_numbers() -> None:
    """Where networks that start at random know nothing of the image."""
    image = photos("chelsea")[0]
    analysis, synthesis = started(SMALL, 96)
    with torch.no_grad():
        latent = analysis(image)
        assert psnr(synthesis(latent) - image) > 26
        assert psnr(synthesis(latent.round()) - image) > 24
        assert psnr(HificSynthesis(SMALL, 96, 2, "none")(latent.round()) - image) < 15


def test_transforms_are_orthonormal_and_ordered() -> None:
    (colors, *transforms), variances = layered_klt([3, 12, 20])
    assert [tuple(transform.shape) for transform in transforms] == [(12, 4, 3), (20, 4, 12)]
    for transform in (colors, *transforms):
        rows = transform.flatten(1)
        torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows)), rtol=0, atol=1e-5)
    assert (variances[:-1] >= variances[1:]).all() and variances.sum() < 4 * 4 * 3  # a pixel's are 1
    mean = torch.full((4, 3), (4 * 3) ** -0.5)  # of what is left of an image, its mean is the most
    torch.testing.assert_close(torch.einsum("kc,pk->pc", colors, transforms[0][0]).abs(), mean, rtol=0, atol=1e-4)


def test_deviations_are_about_those_of_photos() -> None:
    torch.manual_seed(0)
    analysis, synthesis = HificAnalysis(SMALL, 120, "none"), HificSynthesis(SMALL, 120, 2, "none")
    said = initialize_klt(analysis, synthesis)
    with torch.no_grad():
        latents = torch.cat([analysis(image).flatten(2)[0] for image in photos()], 1)
    ratios = (latents.std(1) / said)[:96]
    assert 0.5 < ratios.median() < 2 and ratios.min() > 0.15 and ratios.max() < 4
    assert (said[96:] == 1).all() and (latents[96:] == 0).all()  # beyond the pairs


def test_no_layer_is_much_larger_than_another() -> None:
    """Else one learning rate is none for all of them."""
    analysis, synthesis = started(SMALL, 96)
    for layers in (
        (analysis.stem[0], *(down[0] for down in analysis.downs), analysis.head),
        (synthesis.head[1], *(up[0] for up in synthesis.ups), synthesis.tail),
    ):
        norms = [float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) for layer in layers]
        assert max(norms) < 16 * min(norms), norms


def test_all_weights_still_learn() -> None:
    """The channels beyond the pairs have weights of their own, and nothing stays out of the gradient's reach."""
    analysis, synthesis = started(SMALL, 96)
    assert_all_weights_learn(analysis, synthesis)


def test_what_cannot_start_so_is_refused() -> None:
    with pytest.raises(OptionError, match="normalization=none"):
        initialize_klt(HificAnalysis(TINY, 12), HificSynthesis(TINY, 12, 1))
    with pytest.raises(OptionError, match="6 channels"):
        initialize_klt(HificAnalysis((4, *TINY[1:]), 12, "none"), HificSynthesis((4, *TINY[1:]), 12, 1, "none"))


@pytest.mark.parametrize("side", [2, 4, 8])
def test_a_block_transform_from_factors_is_that_of_the_whole_covariance(side: int) -> None:
    covariance = block_covariance(side)
    rows, variances = block_klt(side, 9)
    flat = rows.flatten(1)
    assert torch.allclose(flat @ flat.T, torch.eye(9, dtype=flat.dtype), atol=1e-12)
    assert torch.allclose(flat @ covariance, variances[:, None] * flat, atol=1e-9)
    due = torch.linalg.eigvalsh(covariance).flip(0)[:9]
    assert torch.allclose(variances, due, atol=1e-9)
