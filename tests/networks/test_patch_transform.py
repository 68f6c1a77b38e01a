"""Patch transforms: shapes, what a position sees, and a KLT initialization as a linear transform coder."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning import assert_all_weights_learn
from networks.test_klt_initialization import photos, psnr

from hific.errors import OptionError
from hific.layers.blocks import DepthwiseBlock
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.networks.klt_initialization import initialize_patch_klt
from hific.networks.patch_transform import PatchAnalysis, PatchSynthesis

TINY = (12, 16)
SMALL = (128, 192)


def started(widths: tuple[int, int] = TINY, latents: int = 12) -> tuple[PatchAnalysis, PatchSynthesis]:
    torch.manual_seed(0)
    analysis, synthesis = PatchAnalysis(widths, latents, (1, 2)), PatchSynthesis(widths, latents, (1, 2))
    initialize_patch_klt(analysis, synthesis)
    return analysis.eval(), synthesis.eval()


def awake(*networks: torch.nn.Module) -> None:
    """Blocks that do something, and outer layers that look around."""
    torch.manual_seed(0)
    for network in networks:
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.normal_(layer.weight, std=0.5)


def test_a_block_begins_as_the_identity() -> None:
    features = torch.randn(2, 4, 5, 7)
    assert torch.equal(DepthwiseBlock(4)(features), features)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4))
def test_latents_are_at_a_sixteenth(rows: int, columns: int) -> None:
    analysis, synthesis = started()
    awake(analysis, synthesis)
    with torch.no_grad():
        latent = analysis(torch.rand(2, 3, 16 * rows, 16 * columns))
        assert latent.shape == (2, 12, rows, columns)
        assert synthesis(latent).shape == (2, 3, 16 * rows, 16 * columns)


def test_nothing_reaches_further_than_said() -> None:
    """And something reaches as far, so that a tile's margin is no larger than it must be."""
    analysis, synthesis = started()
    awake(analysis, synthesis)
    image = torch.rand(1, 3, 16, 16 * 17, requires_grad=True)
    (seen,) = torch.autograd.grad(analysis(image)[..., 8].sum(), image)
    columns = seen.abs().sum((0, 1, 2)).nonzero().flatten()
    assert 16 * 8 - analysis.halo <= columns.min() < 16 * 8 - analysis.halo + 16
    assert 16 * 9 + analysis.halo - 16 <= columns.max() < 16 * 9 + analysis.halo

    latent = torch.randn(1, 12, 1, 17, requires_grad=True)
    (seen,) = torch.autograd.grad(synthesis(latent)[..., 16 * 8 : 16 * 9].sum(), latent)
    columns = seen.abs().sum((0, 1, 2)).nonzero().flatten()
    assert (columns.min(), columns.max()) == (8 - synthesis.halo, 8 + synthesis.halo)


def test_photos_come_back_well_from_whole_numbers() -> None:
    image = photos("chelsea")[0]
    analysis, synthesis = started(SMALL, 96)
    with torch.no_grad():
        latent = analysis(image)
        assert psnr(synthesis(latent) - image) > 26
        assert psnr(synthesis(latent.round()) - image) > 24


def test_flat_colors_come_back() -> None:
    image = torch.rand(5, 3, 1, 1, generator=torch.Generator().manual_seed(0)).expand(5, 3, 32, 48)
    analysis, synthesis = started()
    with torch.no_grad():
        torch.testing.assert_close(synthesis(analysis(image)), image, rtol=0, atol=0.04)


def test_deviations_are_about_those_of_photos() -> None:
    analysis, synthesis = started(SMALL, 200)
    said = initialize_patch_klt(analysis, synthesis)
    with torch.no_grad():
        latents = torch.cat([analysis(image).flatten(2)[0] for image in photos()], 1)
    ratios = (latents.std(1) / said)[:192]
    assert 0.5 < ratios.median() < 2 and ratios.min() > 0.1 and ratios.max() < 4
    assert (said[192:] == 1).all() and (latents[192:] == 0).all()  # of which there are no features


def test_all_weights_learn() -> None:
    analysis, synthesis = started()
    assert_all_weights_learn(analysis, synthesis)


def test_what_a_checkpoint_says_makes_the_same_model() -> None:
    model = HyperpriorAutoencoder(
        transform="patch",
        widths=TINY,
        latent_channels=4,
        hyper_channels=4,
        residual_blocks=(1, 2),
        normalization="none",
    )
    model.initialize_klt()
    assert model.arguments["transform"] == "patch" and model.arguments["residual_blocks"] == [1, 2]
    again = HyperpriorAutoencoder(**model.arguments)
    again.load_state_dict(model.state_dict())
    image = torch.rand(1, 3, 32, 48)
    assert torch.equal(again.eval()(image).reconstruction, model.eval()(image).reconstruction)


def test_one_number_of_blocks_is_that_of_both_scales() -> None:
    arguments = {"widths": TINY, "latent_channels": 4, "hyper_channels": 4, "normalization": "none"}
    same = [HyperpriorAutoencoder(transform="patch", residual_blocks=blocks, **arguments) for blocks in (2, (2, 2))]
    assert list(same[0].state_dict()) == list(same[1].state_dict())


@pytest.mark.parametrize(
    "wrong",
    [
        {"widths": (4, 4, 4, 4, 4)},
        {"residual_blocks": (1,)},
        {"residual_blocks": (1, -1)},
        {"normalization": "channel"},
        {"activation": "leaky_relu"},
        {"transform": "wavelet"},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    arguments = {"transform": "patch", "widths": TINY, "residual_blocks": (1, 1), "normalization": "none", **wrong}
    with pytest.raises(OptionError, match="transform="):
        HyperpriorAutoencoder(latent_channels=4, hyper_channels=4, **arguments)  # type: ignore[arg-type]
