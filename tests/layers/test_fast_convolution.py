"""Fast convolutions are plain ones: in values, gradients, names and parameters."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from hific.layers import fast_convolution, winograd
from hific.layers.fast_convolution import FastConv2d, FastConvTranspose2d, use_fast_convolutions

CASES = {
    "down": (nn.Conv2d(12, 20, 3, stride=2, padding=1), (2, 12, 10, 6)),
    "down, odd size": (nn.Conv2d(12, 20, 3, stride=2, padding=1), (2, 12, 9, 7)),
    "same": (nn.Conv2d(9, 16, 3, padding=1), (3, 9, 4, 5)),
    "few outputs": (nn.Conv2d(16, 3, 7, padding=3), (2, 16, 8, 11)),
    "few outputs, little padding": (nn.Conv2d(16, 3, 5, padding=1), (2, 16, 8, 11)),
    "no bias": (nn.Conv2d(8, 8, 5, stride=2, padding=2, bias=False), (1, 8, 8, 8)),
    "up": (nn.ConvTranspose2d(20, 12, 3, stride=2, padding=1, output_padding=1), (2, 20, 5, 3)),
    "up, 5x5": (nn.ConvTranspose2d(8, 12, 5, stride=2, padding=2, output_padding=1), (2, 8, 2, 3)),
}


# Enough channels and windows for Winograd's form; the last row and column of windows are cut.
WINOGRAD_CASES = {
    "many channels": (nn.Conv2d(96, 112, 3, padding=1), (2, 96, 17, 14)),
    "no bias": (nn.Conv2d(128, 96, 3, padding=1, bias=False), (1, 128, 24, 22)),
}


def gradients_of(module: nn.Module, features: Tensor, weights: Tensor) -> list[Tensor]:
    features = features.clone().requires_grad_()
    result = module(features)
    (result * weights).sum().backward()
    assert features.grad is not None
    return [result.detach(), features.grad, *(p.grad for p in module.parameters() if p.grad is not None)]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("windows", [4096, 7], ids=["at once", "in parts"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["nchw", "channels_last"])
def test_values_and_gradients(
    case: str, windows: int, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hific.layers.fast_convolution.MAX_WINDOWS", windows)
    torch.manual_seed(0)
    plain, shape = CASES[case]
    plain = copy.deepcopy(plain)
    network = nn.Sequential(copy.deepcopy(plain))
    use_fast_convolutions(network)
    assert type(network[0]) in (FastConv2d, FastConvTranspose2d)
    features = torch.randn(shape).contiguous(memory_format=layout)
    weights = torch.randn_like(plain(features))
    expected, actual = gradients_of(plain, features, weights), gradients_of(network[0], features, weights)
    assert len(expected) == len(actual)
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", WINOGRAD_CASES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["nchw", "channels_last"])
def test_winograd_values_and_gradients(case: str, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch) -> None:
    """To float rounding, of exact ones: those in float64."""
    monkeypatch.setattr(fast_convolution, "_Convolution", None)  # its use would fail
    torch.manual_seed(0)
    convolution, shape = WINOGRAD_CASES[case]
    convolution.reset_parameters()
    # In place, as ReLU is, but smooth: where a value is 0 to rounding, ReLU's gradient is either of two.
    plain = nn.Sequential(copy.deepcopy(convolution), nn.ELU(inplace=True))
    network = copy.deepcopy(plain)
    use_fast_convolutions(network)
    features = torch.randn(shape).contiguous(memory_format=layout)
    weights = torch.randn_like(plain(features))
    exact = gradients_of(copy.deepcopy(plain).double(), features.double(), weights.double())
    found = gradients_of(network, features, weights)
    assert found[0].is_contiguous(memory_format=torch.channels_last)
    for one, other in zip(found, exact, strict=True):
        assert (one - other).abs().max() < 2e-4 * other.std()


def test_winograd_does_not_depend_on_where_windows_begin() -> None:
    torch.manual_seed(0)
    features, weight = torch.randn(1, 96, 40, 40), torch.randn(96, 96, 3, 3) / 30
    whole = winograd.convolve(features, winograd.transform_weight(weight), None)
    for row, column in ((1, 2), (3, 0), (6, 5)):
        part = winograd.convolve(features[..., row:, column:], winograd.transform_weight(weight), None)
        assert (part[..., 1:, 1:] - whole[..., row + 1 :, column + 1 :]).abs().max() < 2e-4 * whole.std()


def test_inference_follows_the_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = nn.Conv2d(96, 96, 3, padding=1)
    network = nn.Sequential(copy.deepcopy(plain))
    use_fast_convolutions(network)
    features = torch.randn(1, 96, 24, 24)
    calls: list[Tensor] = []
    transform = winograd.transform_weight
    monkeypatch.setattr(winograd, "transform_weight", lambda weight: calls.append(weight) or transform(weight))
    with torch.no_grad():
        for factor in (1.0, -3.0):
            network[0].weight.mul_(factor)
            plain.weight.mul_(factor)
            for _ in range(2):
                torch.testing.assert_close(network(features), plain(features), rtol=1e-3, atol=1e-3)
    assert len(calls) == 2, "once for each state of the weight"


def test_parameters_and_names_stay() -> None:
    network = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Sequential(nn.ConvTranspose2d(8, 4, 3), nn.ReLU()))
    before = dict(network.named_parameters())
    use_fast_convolutions(network)
    after = dict(network.named_parameters())
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    copied = copy.deepcopy(network)
    copied.load_state_dict(network.state_dict())
    assert type(copied[0]) is FastConv2d
    assert repr(copied[0]).startswith("FastConv2d(8, 8")


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(8, 8, 3, padding=1, groups=2),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(8, 8, (3, 1), padding=(1, 0)),
        nn.Conv2d(8, 8, 3, padding="same"),
    ],
    ids=["groups", "dilation", "reflect", "oblong", "same"],
)
def test_other_geometries_are_plain(convolution: nn.Conv2d, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_convolution, "_Convolution", None)  # its use would fail
    network = nn.Sequential(convolution)
    features = torch.randn(1, 8, 6, 6)
    plain = network(features)
    (gradient,) = torch.autograd.grad(plain.square().sum(), convolution.weight)
    use_fast_convolutions(network)
    output = network(features)
    output.square().sum().backward()
    assert torch.equal(output, plain) and torch.equal(convolution.weight.grad, gradient)


def test_autocast_and_evaluation_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_convolution, "_Convolution", None)
    network = nn.Sequential(nn.Conv2d(8, 8, 3))
    many = nn.Sequential(nn.Conv2d(96, 96, 3, padding=1))
    for one in (network, many):
        use_fast_convolutions(one)
    features = torch.randn(1, 8, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(features).dtype == torch.bfloat16
        monkeypatch.setattr(fast_convolution, "winograd", None)
        assert many(torch.randn(1, 96, 24, 24)).dtype == torch.bfloat16
    with torch.no_grad():
        network(features)


def test_frozen_bias_and_features_have_no_gradient() -> None:
    convolution = nn.Conv2d(8, 8, 3)
    assert convolution.bias is not None
    convolution.bias.requires_grad_(False)
    network = nn.Sequential(convolution)
    use_fast_convolutions(network)
    network(torch.randn(1, 8, 6, 6)).sum().backward()
    assert network[0].weight.grad is not None
    assert network[0].bias.grad is None
