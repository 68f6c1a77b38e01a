"""The hyperprior's transforms (Ballé et al. 2018, Minnen et al. 2018; N = 320 in HiFiC).

    latent [B, C, h, w]        ─ c3s1-N ─ ReLU ─ c5s2-N ─ ReLU ─ c5s2-N ─── hyper_latent [B, N, ceil(h/4), ceil(w/4)]
    hyper_latent_hat, integers ─ u5s2-N ─ ReLU ─ u5s2-N ─ ReLU ─ c3s1-C ─── means; a second one of its kind: scales

The syntheses' output is cut to the h x w of the latent, at the right and the bottom.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class HyperAnalysis(nn.Sequential):
    """Latent to hyper-latent, at a quarter of its resolution."""

    def __init__(self, latent_channels: int, hyper_channels: int) -> None:
        super().__init__(
            nn.Conv2d(latent_channels, hyper_channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hyper_channels, hyper_channels, 5, stride=2, padding=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(hyper_channels, hyper_channels, 5, stride=2, padding=2),
        )


class HyperSynthesis(nn.Module):
    """Rounded hyper-latent to means, or to scales.

    `activation_range`: a buffer, float32 [2], the largest activation behind each of the two ReLUs: a running maximum of
    training passes that forgets slowly. The integer form of this network scales its activations by it.
    """

    FORGET = 0.999
    activation_range: Tensor

    def __init__(self, hyper_channels: int, latent_channels: int) -> None:
        super().__init__()
        self.up1 = nn.ConvTranspose2d(hyper_channels, hyper_channels, 5, stride=2, padding=2, output_padding=1)
        self.up2 = nn.ConvTranspose2d(hyper_channels, hyper_channels, 5, stride=2, padding=2, output_padding=1)
        self.head = nn.Conv2d(hyper_channels, latent_channels, 3, padding=1)
        self.register_buffer("activation_range", torch.zeros(2))
        self.start_at(torch.zeros(latent_channels))

    @torch.no_grad()
    def start_at(self, output: Tensor) -> None:
        """What it says, [C], about, until it has learned better."""
        assert self.head.bias is not None
        self.head.bias.copy_(output)

    def forward(self, hyper_latent_hat: Tensor) -> Tensor:
        first, second = self._activations(hyper_latent_hat)
        if self.training:
            self._widen(self.activation_range * self.FORGET, first, second)
        output: Tensor = self.head(second)
        return output

    def widen_activation_range(self, hyper_latent_hat: Tensor) -> None:
        """Takes the activations of one pass into `activation_range`, and forgets none."""
        with torch.no_grad():
            self._widen(self.activation_range, *self._activations(hyper_latent_hat))

    @torch.no_grad()
    def _widen(self, before: Tensor, first: Tensor, second: Tensor) -> None:
        # In place: DDP and checkpoints know the buffer by its storage.
        largest = torch.stack((first.detach().amax(), second.detach().amax())).to(before)
        self.activation_range.copy_(torch.maximum(before, largest))

    def _activations(self, hyper_latent_hat: Tensor) -> tuple[Tensor, Tensor]:
        first = torch.relu(self.up1(hyper_latent_hat))
        return first, torch.relu(self.up2(first))
