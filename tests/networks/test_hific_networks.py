"""HiFiC's transforms: the paper's parameter counts, and the fast layers against plain ones."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from hific.layers import fast_convolution
from hific.layers.blocks import Normalization
from hific.networks.hific import HificAnalysis, HificSynthesis, HyperAnalysis, HyperSynthesis

PAPER = (60, 120, 240, 480, 960)
TINY = (4, 6, 8, 10, 12)


def test_parameter_counts_are_the_paper_s() -> None:
    with torch.device("meta"):
        networks: list[nn.Module] = [HificAnalysis(PAPER, 220), HificSynthesis(PAPER, 220, 9)]
        networks += [HyperAnalysis(220, 320), HyperSynthesis(320, 220)]
    counts = [sum(parameter.numel() for parameter in network.parameters()) for network in networks]
    assert counts == [7_423_420, 156_774_683, 5_754_560, 5_754_460]


def test_names_of_parameters() -> None:
    names = list(HificAnalysis(TINY, 5).state_dict())
    assert names[:4] == ["stem.0.weight", "stem.0.bias", "stem.1.weight", "stem.1.bias"]
    assert names[4:6] == ["downs.0.0.weight", "downs.0.0.bias"]
    assert {"blocks.0.first.0.weight", "blocks.0.second.1.bias", "ups.3.0.weight", "tail.bias"} <= set(
        HificSynthesis(TINY, 5, 1).state_dict()
    )


@pytest.mark.parametrize("normalization", ["channel", "instance", "batch", "none"])
def test_residual_blocks_add_nothing_at_first(normalization: Normalization) -> None:
    """And are within the gradient's reach."""
    synthesis = HificSynthesis(TINY, 5, 2, normalization)
    features = torch.randn(2, TINY[-1], 4, 4)
    added = synthesis.blocks(features) - features
    assert added.abs().max() == 0
    for block in synthesis.blocks:
        block.zero_grad()
        (block(features) * features.roll(1, 0)).sum().backward()
        assert any(bool(parameter.grad.any()) for parameter in block.second.parameters())


def outputs_and_gradients(networks: nn.Module, image: Tensor) -> list[Tensor]:
    networks.zero_grad()
    reconstruction = networks(image)
    (reconstruction - image).square().sum().backward()
    gradients = [parameter.grad for parameter in networks.parameters()]
    return [reconstruction.detach(), *(gradient.clone() for gradient in gradients if gradient is not None)]


@pytest.mark.parametrize("normalization", ["channel", "instance", "batch", "none"])
def test_fast_convolutions_change_nothing(normalization: Normalization, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    networks = nn.Sequential(HificAnalysis((8, 9, 10, 11, 12), 5, normalization))
    networks.append(HificSynthesis((8, 9, 10, 11, 12), 5, 1, normalization))
    plain, image = copy.deepcopy(networks), torch.rand(2, 3, 32, 48)
    fast = outputs_and_gradients(networks, image)
    monkeypatch.setattr(fast_convolution, "_applies", lambda module, features: False)
    slow = outputs_and_gradients(plain, image)
    assert len(fast) == len(slow) == 1 + len(list(plain.parameters()))
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_evaluation_agrees_with_training_and_any_layout() -> None:
    torch.manual_seed(0)
    networks = nn.Sequential(HificAnalysis(TINY, 5), HificSynthesis(TINY, 5, 1))
    image = torch.rand(2, 3, 32, 48)
    recorded = networks(image).detach()
    with torch.no_grad():
        torch.testing.assert_close(networks.eval()(image), recorded, rtol=1e-4, atol=1e-4)
        channels_last = image.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(networks(channels_last), recorded, rtol=1e-4, atol=1e-4)


def test_autocast_trains() -> None:
    networks = nn.Sequential(HificAnalysis(TINY, 5), HificSynthesis(TINY, 5, 1))
    with torch.autocast("cpu", torch.bfloat16):
        loss = networks(torch.rand(1, 3, 32, 32)).float().square().mean()
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in networks.parameters())
