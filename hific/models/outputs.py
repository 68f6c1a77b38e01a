"""What the models return: typed and frozen, one name a quantity."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class AnalysisOutput:
    """`latent` [B, C, H/16, W/16] before quantization; per scale, 1 first: `features`, the post-pool maps
    [B, k, H/2^i, W/2^i] (none without pools), and of the scales whose switches the model uses (all four where they
    are transmitted, the first where they are predicted) `switches` int64 0..3 and `tied` bool of the same shape."""

    latent: Tensor
    features: tuple[Tensor, ...]
    switches: tuple[Tensor, ...]
    tied: tuple[Tensor, ...]


@dataclass(frozen=True)
class QuantizedLatent:
    """`latent_hat` at the centers -2..2, with the quantizer's gradient; `symbols` int64 0..4."""

    latent_hat: Tensor
    symbols: Tensor


@dataclass(frozen=True)
class SynthesisOutput:
    """`reconstruction` [B, 3, H, W] in [-1, 1]; `features` pre-expansion maps, scale 1 first;
    of the SPN, for scale 1, `switch_prediction`, its head's output, and `predicted_switches` int64 0..3; None
    where there is no SPN."""

    reconstruction: Tensor
    features: tuple[Tensor, ...]
    switch_prediction: Tensor | None
    predicted_switches: Tensor | None


@dataclass(frozen=True)
class CompressNetOutput:
    """One pass through a CompressNet, from image to reconstruction."""

    analysis: AnalysisOutput
    quantized: QuantizedLatent
    synthesis: SynthesisOutput

    @property
    def reconstruction(self) -> Tensor:
        return self.synthesis.reconstruction
