"""One model at many rates: gains between their anchors, and a model for one rate that does the same."""

from __future__ import annotations

import pytest
import torch

from hific.errors import OptionError
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.models.variable_rate import VariableRate
from hific.networks.transforms import Transform

SIZES = {"hific": ((6, 8, 10, 12, 16), 1), "patch": ((12, 16), (1, 1))}


def make(transform: Transform) -> VariableRate:
    torch.manual_seed(0)
    widths, blocks = SIZES[transform]
    model = HyperpriorAutoencoder(
        transform=transform,
        widths=widths,
        latent_channels=6,
        hyper_channels=4,
        residual_blocks=blocks,  # type: ignore[arg-type]
        normalization="none",
    )
    model.initialize_klt()
    variable = VariableRate(model, (0.25, 1.0, 4.0))
    torch.nn.init.normal_(variable.log_gains, std=0.5)
    return variable.eval()


def test_gains_are_those_of_the_anchors_and_between_them() -> None:
    variable = make("patch")
    at = variable.gains(torch.tensor([0.25, 1.0, 4.0, 0.5]))
    torch.testing.assert_close(at[:3], variable.log_gains.exp())
    torch.testing.assert_close(at[3], (at[0] * at[1]).sqrt())


@pytest.mark.parametrize("transform", ["hific", "patch"])
def test_a_folded_model_does_the_same(transform: Transform) -> None:
    variable, image = make(transform), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        output = variable(image, torch.tensor([0.6, 0.6]))
        folded = variable.fold(0.6)(image)
    torch.testing.assert_close(folded.reconstruction, output.reconstruction, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(folded.estimated_bpp_quantized, output.quantized_bpp.mean(), rtol=1e-3, atol=1e-4)
    assert torch.equal(variable.model.analysis.head.weight, make(transform).model.analysis.head.weight)  # a copy


def test_larger_weights_start_with_coarser_steps() -> None:
    variable = VariableRate(make("patch").model, (0.25, 4.0))
    fine, coarse = variable.gains(torch.tensor([0.25, 4.0]))
    torch.testing.assert_close(fine / coarse, torch.full((6,), 4.0))


@pytest.mark.parametrize("wrong", [(1.0,), (1.0, 0.5), (0.0, 1.0)])
def test_anchors_that_cannot_be_are_refused(wrong: tuple[float, ...]) -> None:
    with pytest.raises(OptionError, match="increasing order"):
        VariableRate(make("patch").model, wrong)


def test_a_normalization_is_refused() -> None:
    model = HyperpriorAutoencoder(
        widths=SIZES["hific"][0], latent_channels=6, hyper_channels=4, residual_blocks=1, normalization="channel"
    )
    with pytest.raises(OptionError, match="normalization=none"):
        VariableRate(model, (0.5, 1.0))
