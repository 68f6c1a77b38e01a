"""Laws of a latent coding that is made of a network: what it costs, and that its floats never show."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from latent_codings import decode, encode
from numpy.typing import NDArray

from hific.codecs.hific import check, latent_coding
from hific.codecs.latent_coding import LatentCoding, UncodedLatent, holds
from hific.codecs.priors import HyperPrior, clip_hyper_symbols
from hific.coding.range_coder import RangeEncoder
from hific.entropy.densities import SMALLEST_SCALE, gaussian_likelihoods
from hific.entropy.integer_hyper_synthesis import HYPER_LIMIT
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder

WIDTHS = (4, 4, 4, 4, 4)
Floats = NDArray[np.float32]


def make_model(seed: int = 0, *, hyper_channels: int = 16, latent_channels: int = 12) -> HyperpriorAutoencoder:
    """An untrained auto-encoder whose hyperprior says something: scales from below .11 to 10, means of a few units."""
    torch.manual_seed(seed)
    model = HyperpriorAutoencoder(
        widths=WIDTHS, latent_channels=latent_channels, hyper_channels=hyper_channels, residual_blocks=0
    ).eval()
    with torch.no_grad():
        for network, gain in ((model.mean_synthesis, 3.0), (model.scale_synthesis, 2.0)):
            for layer in (network.up1, network.up2, network.head):
                layer.weight *= gain
        for bias in model.prior.biases:
            bias += 0.3 * torch.randn_like(bias)
    return model


def of_floats(model: HyperpriorAutoencoder, source: UncodedLatent) -> tuple[Floats, Floats]:
    """Means and scales as the float networks have them."""
    height, width = source.latent.shape[1:]
    given = torch.from_numpy(source.hyper_symbols).float()[None]
    with torch.no_grad():
        means, scales = (
            synthesis(given)[0, :, :height, :width].numpy()
            for synthesis in (model.mean_synthesis, model.scale_synthesis)
        )
    return means, scales


def sample(model: HyperpriorAutoencoder, height: int, width: int, seed: int = 0) -> tuple[UncodedLatent, float]:
    """A latent as the float model believes it to be distributed, and the bits that it estimates; notes the activation
    ranges."""
    rng = np.random.default_rng(seed)
    shape = (model.hyper_channels, -(-height // 4), -(-width // 4))
    values = torch.arange(-300, 301).double().expand(shape[0], -1)
    with torch.no_grad():
        masses = model.prior.probabilities(values).numpy()
    draws = [rng.choice(601, shape[1:], p=row / row.sum()) - 300 for row in masses]
    source = UncodedLatent(np.zeros((1, height, width), np.float32), np.stack(draws).astype(np.int32))
    model.train()
    means, scales = of_floats(model, source)
    model.eval()
    latent = means + np.maximum(scales, SMALLEST_SCALE) * rng.normal(size=means.shape).astype(np.float32)
    centered = torch.from_numpy(np.rint(latent - means))
    with torch.no_grad():
        hyper_likelihoods = model.prior(torch.from_numpy(source.hyper_symbols).float()[None])
        likelihoods = gaussian_likelihoods(centered, torch.from_numpy(scales))
    bits = -sum(float(one.double().log2().sum()) for one in (hyper_likelihoods, likelihoods))
    return UncodedLatent(latent, source.hyper_symbols), bits


@pytest.mark.parametrize("seed", range(2))
def test_bytes_are_what_the_float_model_estimates(seed: int) -> None:
    model = make_model(seed)
    source, bits = sample(model, 30, 45, seed)
    assert abs(len(encode(latent_coding(model), "tables", source)) - bits / 8) < 0.01 * bits / 8 + 24


def test_integers_cost_less_than_half_a_percent() -> None:
    """Against tables that the float network's own means and scales choose, and against its estimate."""
    model = make_model(3)
    source, bits = sample(model, 96, 120)
    coding = latent_coding(model)
    prior = coding.prior
    assert isinstance(prior, HyperPrior)
    num_bits = 8 * len(encode(coding, "tables", source))
    assert num_bits < 1.005 * bits
    means, scales = of_floats(model, source)
    encoder = RangeEncoder()
    prior.code_hyper_symbols(encoder, source.hyper_symbols)
    thresholds = prior.thresholds / 2.0**prior.scale_synthesis.output_bits
    table_ids = np.searchsorted(thresholds, scales, side="right").astype(np.int32)
    coding.coders["tables"].code(encoder, np.rint(source.latent - means).astype(np.int32), table_ids)
    assert num_bits < 1.005 * 8 * len(encoder.get_bytes())


def test_a_fresh_model_codes_whatever_it_is_given() -> None:
    """No pass was made: activation ranges are 0. Latents and hyper-latents that it would never give."""
    torch.manual_seed(0)
    model = HyperpriorAutoencoder(
        widths=WIDTHS, latent_channels=5, hyper_channels=6, residual_blocks=0, normalization="channel"
    )
    coding = latent_coding(model)
    rng = np.random.default_rng(0)
    for hyper_spread, spread in ((0, 0), (3, 2), (1e4, 1e5)):
        hyper_symbols = clip_hyper_symbols((hyper_spread * rng.normal(size=(6, 3, 2))).astype(np.float32))
        source = UncodedLatent((spread * rng.normal(size=(5, 11, 8))).astype(np.float32), hyper_symbols)
        assert holds(decode(coding, "tables", source, encode(coding, "tables", source)), source)


def test_streams_do_not_depend_on_threads_or_defaults() -> None:
    model = make_model(1)
    source, _ = sample(model, 17, 10)
    coding = latent_coding(model)
    expected = encode(coding, "tables", source)
    num_threads = torch.get_num_threads()
    try:
        torch.set_default_dtype(torch.float64)
        for count in (1, 2):
            torch.set_num_threads(count)
            with torch.autocast("cpu"), torch.inference_mode(count == 1), torch.device("meta"):
                restored = LatentCoding.from_state(HyperPrior.from_state, {}, coding.state())
                assert encode(restored, "tables", source) == expected
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(num_threads)


def test_a_coding_is_for_models_of_its_channels() -> None:
    model = make_model()
    state = {name: torch.from_numpy(array.copy()) for name, array in latent_coding(model).state().items()}
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    restored = LatentCoding.from_state(HyperPrior.from_state, {}, arrays)
    check(model, restored)
    for channels in ({"hyper_channels": 12, "latent_channels": 16}, {"latent_channels": 1}):
        with pytest.raises(ValueError, match="channels"):
            check(make_model(**channels), restored)


def test_a_model_that_diverged_is_refused() -> None:
    for name in ("mean_synthesis.up1.weight", "scale_synthesis.head.bias", "prior.factors.0"):
        model = make_model()
        with torch.no_grad():
            dict(model.named_parameters())[name].view(-1)[0] = math.nan
        with pytest.raises(ValueError, match="diverged"):
            latent_coding(model)


def test_hyper_latents_are_rounded_and_cut() -> None:
    values = np.array([0.4, -2.6, 1e30, -1e30, 0.5, 1.5], np.float32)
    assert clip_hyper_symbols(values).tolist() == [0, -3, HYPER_LIMIT, -HYPER_LIMIT, 0, 2]
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="not finite"):
            clip_hyper_symbols(np.array([value], np.float32))
