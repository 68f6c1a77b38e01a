"""An exponential average of a network's weights, which is often better than any of them."""

from __future__ import annotations

import copy

import torch
from torch import nn

from hific.errors import OptionError


class ExponentialAverage(nn.Module):
    """Keeps `average`, a copy of a network that follows it: average += (1 - decay) (network - average) after each step.

    Registered, so that its weights are saved, resumed and moved; it has no gradients and no optimizer touches it.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        if not 0 < decay < 1:
            raise OptionError(f"ema_decay={decay} lies in [0, 1); 0 is for none")
        self.decay = decay
        self.average = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        for mine, its in zip(self.average.state_dict().values(), network.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(its, 1 - self.decay)
            else:
                mine.copy_(its)

    def restart(self, network: nn.Module) -> None:
        """Equal to the network as it is now."""
        self.average.load_state_dict(network.state_dict())
