"""HiFiC's auto-encoder: counts of the paper, quantization, rates of rounded and of noisy values, causes and effects."""

from __future__ import annotations

import math

import pytest
import torch

from hific.entropy.densities import gaussian_likelihoods
from hific.errors import OptionError
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder


def tiny(**arguments: object) -> HyperpriorAutoencoder:
    torch.manual_seed(0)
    model = HyperpriorAutoencoder(
        **{"widths": (4, 4, 6, 6, 8), "latent_channels": 4, "hyper_channels": 4, "residual_blocks": 1, **arguments}
    )
    with torch.no_grad():
        model.analysis.head.weight.mul_(20)  # symbols that differ from zero
        model.hyper_analysis[-1].weight.mul_(20)
    return model


def test_parameter_counts_of_the_paper() -> None:
    with torch.device("meta"):
        model = HyperpriorAutoencoder(
            widths=[60, 120, 240, 480, 960], latent_channels=220, hyper_channels=320, residual_blocks=9
        )
    parts = (model.analysis, model.hyper_analysis, model.mean_synthesis, model.scale_synthesis, model.synthesis)
    counts = [sum(parameter.numel() for parameter in part.parameters()) for part in parts]
    assert counts == [7_423_420, 5_754_560, 5_754_460, 5_754_460, 156_774_683]
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 1) == 181.5


@pytest.mark.parametrize("size", [(16, 16), (48, 80), (64, 64), (16, 112)])
def test_any_multiple_of_16_goes_through(size: tuple[int, int]) -> None:
    output = tiny()(torch.rand(2, 3, *size))
    latent_size = (2, 4, size[0] // 16, size[1] // 16)
    assert output.reconstruction.shape == (2, 3, *size)
    assert output.latent.shape == output.latent_hat.shape == output.hyperprior.means.shape == latent_size
    assert output.hyperprior.hyper_latent.shape == (2, 4, *(-(-length // 4) for length in latent_size[2:]))


def test_other_sizes_are_refused() -> None:
    for size in ((40, 64), (0, 16)):
        with pytest.raises(ValueError, match="multiples of 16"):
            tiny().analyze(torch.rand(1, 3, *size))


def test_the_synthesis_sees_rounded_residuals_with_a_straight_gradient() -> None:
    output = tiny()(torch.rand(1, 3, 32, 32))
    residual = output.latent_hat - output.hyperprior.means
    assert torch.allclose(residual, residual.round(), atol=1e-5) and residual.abs().max() > 0
    assert (output.latent_hat - output.latent).abs().max() <= 0.5 + 1e-5
    (gradient,) = torch.autograd.grad(output.latent_hat.sum(), output.latent, retain_graph=True)
    means_part = torch.autograd.grad(output.hyperprior.means.sum(), output.latent, allow_unused=True)[0]
    assert means_part is not None
    # latent_hat = ste(latent - means) + means: the two roles of the means cancel.
    assert torch.allclose(gradient, torch.ones_like(gradient), atol=1e-4)


def test_noise_is_an_option_of_training_only() -> None:
    model, image = tiny(quantization="noise"), torch.rand(1, 3, 32, 32)
    output = model.train()(image, torch.Generator().manual_seed(0))
    residual = output.latent_hat - output.latent
    assert 0.1 < residual.abs().max() <= 0.5 and residual.unique().numel() > 10
    evaluated = model.eval()(image)
    residual = evaluated.latent_hat - evaluated.hyperprior.means
    assert torch.allclose(residual, residual.round(), atol=1e-5)


def test_the_quantized_rate_is_of_rounded_values_and_has_no_noise() -> None:
    """One public re-implementation takes the hyper-latent's rate from its noisy values."""
    model, image = tiny(), torch.rand(2, 3, 64, 64)
    one, two = (model(image, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert one.estimated_bpp_quantized == two.estimated_bpp_quantized
    assert one.estimated_bpp_noisy != two.estimated_bpp_noisy
    assert not one.estimated_bpp_quantized.requires_grad and one.estimated_bpp_noisy.requires_grad
    hyperprior = one.hyperprior
    likelihoods = (
        model.prior(hyperprior.hyper_latent.round()),
        gaussian_likelihoods((one.latent - hyperprior.means).round(), hyperprior.scales),
    )
    bits = -sum(likelihood.detach().double().log2().sum() for likelihood in likelihoods)
    assert float(one.estimated_bpp_quantized) == pytest.approx(float(bits) / (2 * 64 * 64), rel=1e-5)


def test_every_part_learns_from_rate_and_distortion() -> None:
    model, image = tiny(), torch.rand(2, 3, 64, 64)
    output = model(image)
    (output.estimated_bpp_noisy + (output.reconstruction - image).square().mean()).backward()
    silent = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not silent
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_autocast_leaves_the_rate_in_float32() -> None:
    model, image = tiny(), torch.rand(1, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(image)
    assert output.hyperprior.scales.dtype == output.estimated_bpp_noisy.dtype == output.reconstruction.dtype
    assert output.reconstruction.dtype == torch.float32


def test_activation_ranges_follow_training_and_stay_in_use() -> None:
    model, image = tiny(), torch.rand(1, 3, 64, 64)
    model.train()(image)
    before = model.mean_synthesis.activation_range.clone()
    assert (before > 0).all()
    model.eval()(10 * image)
    assert torch.equal(model.mean_synthesis.activation_range, before)
    assert "mean_synthesis.activation_range" in model.state_dict()
    assert math.isfinite(float(model(image).estimated_bpp_quantized))


def test_senseless_arguments_are_refused() -> None:
    channels = ({"widths": (4, 4)}, {"latent_channels": 0}, {"latent_channels": 1}, {"hyper_channels": 1 << 20})
    words = ({"normalization": "layer"}, {"activation": "gelu"}, {"quantization": "nosie"})
    for wrong in (*channels, *words, {"residual_blocks": 10**9}):
        with pytest.raises(OptionError, match=r"takes 5 widths|is none of|must be in|lie in|takes one number"):
            tiny(**wrong)
