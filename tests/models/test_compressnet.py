"""The numbers that fix the architecture, and laws of the four systems."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from hific.errors import OptionError
from hific.models.compressnet import CompressNet
from hific.networks.compressnet import LogitSwitchPrediction, ScalarSwitchPrediction
from hific.networks.discriminators import MultiScaleDiscriminator, PatchDiscriminator

PAPER = {"widths": (60, 120, 240, 480, 960), "residual_blocks": 9}
TINY = {"widths": (4, 6, 8, 10, 12), "residual_blocks": 2, "latent_channels": 4}
SYSTEMS: dict[str, dict[str, str]] = {
    "sae": {},
    "swwae": {"switches": "transmitted"},
    "sae_spn": {"switches": "predicted"},
    "gc": {"downsampling": "stride"},
}


def paper_model(latent_channels: int = 8, **parts: str) -> CompressNet:
    with torch.device("meta"):
        return CompressNet(**PAPER, latent_channels=latent_channels, **parts)  # type: ignore[arg-type]


def tiny_model(system: str, **options: str) -> CompressNet:
    torch.manual_seed(0)
    return CompressNet(**TINY, **SYSTEMS[system], **options)  # type: ignore[arg-type]


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("system", ["sae", "sae_spn", "swwae"])
def test_the_latent_is_the_same_without_switches(system: str) -> None:
    model, image = tiny_model(system), torch.rand(1, 3, 64, 96)
    plain = model.analyze(image, note_switches=False)
    assert torch.equal(plain.latent, model.analyze(image).latent) and plain.switches == ()


def test_swwae_switches_cost_56_25_bpp() -> None:
    analysis = paper_model(switches="transmitted").analyze(torch.empty(1, 3, 512, 512, device="meta"))
    bits = sum(2 * switches.numel() for switches in analysis.switches)
    assert bits / 512**2 == 56.25


@pytest.mark.parametrize(("channels", "bpp"), [(4, 0.0363), (8, 0.0726)])
def test_nominal_rate(channels: int, bpp: float) -> None:
    latent = paper_model(channels).analyze(torch.empty(1, 3, 512, 512, device="meta")).latent
    assert latent.shape == (1, channels, 32, 32)
    # The paper prints .0363 and .0726 for .03628 and .07256.
    assert latent.numel() * math.log2(5) / 512**2 == pytest.approx(bpp, abs=5e-5)


def test_nine_distinct_residual_blocks() -> None:
    blocks = paper_model().synthesis.blocks
    assert len(blocks) == 9
    assert len({id(parameter) for block in blocks for parameter in block.parameters()}) == 9 * 8


def test_parameter_counts_of_the_paper_size() -> None:
    def conv(i: int, o: int, k: int) -> int:
        return i * o * k * k + o

    widths, norm = PAPER["widths"], 2  # every instance norm has a weight and a bias a channel
    pairs = list(pairwise(widths))
    analysis = conv(3, 60, 7) + norm * 60 + sum(conv(i, o, 3) + norm * o for i, o in pairs) + conv(960, 8, 3)
    trunk = conv(8, 960, 3) + norm * 960 + 9 * 2 * (conv(960, 960, 3) + norm * 960)
    ups = sum(conv(o, i, 3) + norm * i for i, o in pairs)
    sub_pixels = {i: conv(i, 4 * i, 3) for i in widths[:4]}
    head = conv(60, 3, 7)
    spn = conv(60, 60, 3) + conv(60, 240, 3)
    sae = analysis + trunk + ups + head + sum(sub_pixels.values())
    assert count(paper_model()) == sae == 171_553_691
    assert count(paper_model(switches="transmitted")) == sae - sum(sub_pixels.values())
    assert count(paper_model(switches="predicted")) == sae - sub_pixels[60] + spn
    assert count(paper_model(downsampling="stride")) == sae
    assert count(PatchDiscriminator([64, 128, 192, 256, 512])) == 3_420_289
    assert count(MultiScaleDiscriminator([64, 128, 192, 256, 512])) == 2 * 3_420_289


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("shape", [(32, 32), (48, 112)])
def test_layer_losses_have_partners_of_equal_shape(system: str, shape: tuple[int, int]) -> None:
    model = tiny_model(system)
    output = model(torch.rand(2, 3, *shape) * 2 - 1)
    assert output.reconstruction.shape == (2, 3, *shape)
    assert output.reconstruction.abs().max() <= 1
    expected = [(2, TINY["widths"][i], shape[0] >> i + 1, shape[1] >> i + 1) for i in range(4)]  # type: ignore[index]
    assert [tuple(f.shape) for f in output.synthesis.features] == expected
    assert [tuple(f.shape) for f in output.analysis.features] == ([] if system == "gc" else expected)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_parameter_of_the_model_is_reached(system: str) -> None:
    model = tiny_model(system)
    output = model(torch.rand(1, 3, 32, 32) * 2 - 1)
    loss = output.reconstruction.square().mean()
    if output.synthesis.switch_prediction is not None:
        loss = loss + output.synthesis.switch_prediction.square().mean()
    loss.backward()
    # InstanceNorm takes away what a convolution's bias adds; everything else must move.
    still = [n for n, p in model.named_parameters() if p.grad is None]
    assert still == []


def test_latent_is_not_rectified() -> None:
    latent = tiny_model("sae").analyze(torch.rand(1, 3, 64, 64)).latent
    assert latent.min() < 0 < latent.max()


def test_predicted_switches_are_used_and_can_be_replaced() -> None:
    model = tiny_model("sae_spn").eval()
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    latent_hat = model.quantize(model.analyze(image).latent).latent_hat
    predicted = model.synthesize(latent_hat)
    assert model.spn is not None and predicted.switch_prediction is not None
    own = model.spn.switches(predicted.switch_prediction)
    torch.testing.assert_close(model.synthesize(latent_hat, [own]).reconstruction, predicted.reconstruction)
    other = model.synthesize(latent_hat, [3 - own]).reconstruction
    assert (other - predicted.reconstruction).abs().max() > 1e-4
    half = model.synthesize(latent_hat, [3 - own], teacher_samples=1).reconstruction
    torch.testing.assert_close(half, torch.cat((other[:1], predicted.reconstruction[1:])))


def test_true_switch_share_goes_through_forward() -> None:
    model = tiny_model("sae_spn").eval()
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    switches = model.analyze(image).switches
    latent_hat = model.quantize(model.analyze(image).latent).latent_hat
    torch.testing.assert_close(
        model(image, true_switch_share=1.0).reconstruction, model.synthesize(latent_hat, switches).reconstruction
    )


def test_spn_loss_reaches_the_synthesis_unless_detached() -> None:
    for detach in (False, True):
        torch.manual_seed(0)
        model = CompressNet(**TINY, switches="predicted", detach_switch_prediction=detach)  # type: ignore[arg-type]
        model(torch.rand(1, 3, 32, 32)).synthesis.switch_prediction.square().mean().backward()
        assert (model.synthesis.stem[0].weight.grad is None) == detach


def test_swwae_needs_its_switches() -> None:
    model = tiny_model("swwae")
    with pytest.raises(ValueError, match="four scales"):
        model.synthesize(torch.zeros(1, 4, 2, 2))


def test_wrong_sizes_and_options_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        tiny_model("sae").analyze(torch.zeros(1, 3, 40, 32))
    with pytest.raises(ValueError, match="at least 32"):
        tiny_model("sae").analyze(torch.zeros(1, 3, 16, 32))
    with pytest.raises(ValueError, match="strided"):
        CompressNet(**TINY, switches="predicted", downsampling="stride")  # type: ignore[arg-type]


def test_instance_norm_forgets_the_mean_color_and_channel_norm_does_not() -> None:
    """Why `normalization=channel` exists: through InstanceNorm a uniform shift of hue does not reach the latent."""
    image = torch.rand(1, 3, 64, 64) - 0.5
    tint = torch.tensor([0.3, -0.2, 0.1]).view(1, 3, 1, 1)
    for normalization, forgets in (("instance", True), ("channel", False)):
        model = tiny_model("sae", normalization=normalization)
        difference = (model.analyze(image).latent - model.analyze(image + tint).latent).abs().max()
        assert (difference < 1e-4) == forgets


def test_arguments_rebuild_the_model() -> None:
    model = tiny_model("sae_spn", spn_head="paper", normalization="channel")
    twin = CompressNet(**model.arguments)
    twin.load_state_dict(model.state_dict())
    assert twin.arguments == model.arguments


def test_spn_heads_break_ties_to_the_lowest_place() -> None:
    assert LogitSwitchPrediction.switches(torch.zeros(1, 4, 1, 1, 1)).item() == 0
    nearly = torch.tensor([0.0, 1e-5, 0.0, 0.0]).view(1, 4, 1, 1, 1)
    assert LogitSwitchPrediction.switches(nearly).item() == 0
    values = torch.tensor([0.0, 0.2499, 0.25, 0.4999, 0.5, 0.74, 0.75, 1.0])
    expected = [0, 1, 1, 2, 2, 2, 3, 3]  # after rounding to 2^-10, .2499 is .25 and .4999 is .5
    assert ScalarSwitchPrediction.switches(values.view(1, 1, 2, 4)).flatten().tolist() == expected


def test_likeliest_switch_is_the_argmax() -> None:
    logits = torch.randn(2, 4, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(LogitSwitchPrediction.switches(logits), torch.round(logits * 1024).argmax(dim=1))


@pytest.mark.parametrize("system", SYSTEMS)
def test_with_a_linear_shortcut_it_begins_as_a_block_transform(system: str) -> None:
    """And so as a projection: what comes back of what came back is the same."""
    model = tiny_model(system, linear_shortcut=True)  # type: ignore[arg-type]
    assert model.shortcut is not None
    image = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1
    analysis = model.analyze(image)
    assert torch.equal(analysis.latent, model.shortcut.analyze(image))
    once = model.synthesize(analysis.latent, analysis.switches or None).reconstruction
    assert torch.allclose(once, model.shortcut.synthesize(analysis.latent))
    assert torch.allclose(model.shortcut.synthesize(model.shortcut.analyze(once)), once, atol=1e-5)


def test_both_ways_around_learn() -> None:
    model = tiny_model("sae_spn", linear_shortcut=True)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for _ in range(2):  # in the first the heads alone
        optimizer.zero_grad()
        (model(image).reconstruction - image).square().mean().backward()
        optimizer.step()
    still = {name for name, one in model.named_parameters() if one.grad is None or not one.grad.abs().sum() > 0}
    assert {name for name in still if not name.startswith("spn.")} == set()


PATCH = {"transform": "patch", "widths": (6, 8), "residual_blocks": (1, 2), "normalization": "none"}


def test_the_patch_transform_takes_the_place_of_the_stack() -> None:
    torch.manual_seed(0)
    model = CompressNet(**PATCH, latent_channels=4)  # type: ignore[arg-type]
    image = torch.rand(2, 3, 48, 32) * 2 - 1
    output = model(image)
    assert output.analysis.latent.shape == (2, 4, 3, 2) and output.reconstruction.shape == image.shape
    assert output.analysis.features == () and output.synthesis.features == () and output.analysis.switches == ()
    output.reconstruction.square().mean().backward()
    assert all(one.grad is not None for one in model.parameters())
    again = CompressNet(**model.arguments)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(image).reconstruction, output.reconstruction)


@pytest.mark.parametrize(
    "wrong",
    [
        {"switches": "predicted"},
        {"normalization": "channel"},
        {"linear_shortcut": True},
        {"widths": (6, 8, 10, 12, 14)},
        {"residual_blocks": (1, 1, 1)},
        {"transform": "wave"},
    ],
)
def test_what_the_patch_transform_has_not_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=r"^(transform=|residual_blocks=)"):
        CompressNet(**{**PATCH, **wrong}, latent_channels=4)  # type: ignore[arg-type]
