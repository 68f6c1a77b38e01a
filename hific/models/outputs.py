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


@dataclass(frozen=True)
class Hyperprior:
    """What the hyper-latent says of the latent: `hyper_latent` [B, N, ceil(h/4), ceil(w/4)] before rounding; `means`
    and `scales` [B, C, h, w], float32, scales not yet bounded."""

    hyper_latent: Tensor
    means: Tensor
    scales: Tensor


@dataclass(frozen=True)
class HyperpriorOutput:
    """One pass through a hyperprior auto-encoder. `latent_hat` is what the synthesis saw; `estimated_bpp_noisy` (with a
    gradient) and `estimated_bpp_quantized` (without) are scalars, means over the batch's pixels; `reconstruction`
    [B, 3, H, W], float32, about [0, 1]."""

    latent: Tensor
    latent_hat: Tensor
    hyperprior: Hyperprior
    estimated_bpp_noisy: Tensor
    estimated_bpp_quantized: Tensor
    reconstruction: Tensor
