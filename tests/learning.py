"""Whether a pair of transforms learns as a whole."""

from __future__ import annotations

import torch
from torch import nn


def assert_all_weights_learn(analysis: nn.Module, synthesis: nn.Module) -> None:
    """After a few steps nothing is out of the gradient's reach."""
    optimizer = torch.optim.SGD([*analysis.parameters(), *synthesis.parameters()], 1e-3)
    image = torch.rand(1, 3, 64, 64)
    for _ in range(3):
        optimizer.zero_grad()
        (synthesis(analysis(image)) - image).square().sum().backward()
        optimizer.step()
    for network in (analysis, synthesis):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
