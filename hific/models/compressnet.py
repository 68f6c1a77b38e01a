"""CompressNet and its family: sae, swwae, sae_spn and gc are one model with other parts (compressnet, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hific.layers.blocks import Normalization
from hific.layers.resampling import Upsampling
from hific.networks.compressnet import SCALES, Downsampling, LinearShortcut, SpnHead, switch_prediction
from hific.networks.compressnet_transforms import Transform, make_transforms
from hific.ops.quantize import QuantizerGradient, nearest_symbols, quantize

Switches = Literal["none", "transmitted", "predicted"]


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


class CompressNet(nn.Module):
    """Image to five-level latent to image.

    Args:
        widths: channels of the five convolutions of the analysis; the paper's are 60, 120, 240, 480, 960.
        residual_blocks: blocks of the synthesis at 1/16 resolution, each with weights of its own; the paper's 9.
        latent_channels: C, 4 or 8 in the paper; nominal bpp is C log2(5) / 256 (equation 4).
        switches: `none` (sae, gc), `transmitted` (swwae: all scales) or `predicted` (sae_spn: scale 1, by the SPN).
        downsampling: `pool`, or `stride` (gc).
        normalization: `instance` is the paper's. It removes the mean and contrast of every feature, the image's hue
            among them; `channel` keeps them.
        detach_switch_prediction: whether the SPN's loss stops before the synthesis.
        linear_shortcut: whether a linear transform goes around both networks, which then begin as nothing beside it
            (networks/compressnet.py); not in the paper.
        transform: `pools`, the paper's, or `patch` (networks/patch_transform.py): then `widths` and `residual_blocks`
            are two each (one number of blocks stands for both), at 1/8 and 1/16, there are no layer losses and no
            switches, and `normalization` is `none`.

    Images are float [B, 3, H, W] in [-1, 1], H and W multiples of 16 and at least 32.
    """

    levels = 5
    stride = 16
    minimum_size = 32  # reflection padding at 1/16 resolution needs two rows and columns

    def __init__(
        self,
        *,
        widths: Sequence[int],
        residual_blocks: int | Sequence[int],
        latent_channels: int,
        transform: Transform = "pools",
        switches: Switches = "none",
        downsampling: Downsampling = "pool",
        upsampling: Upsampling = "sub_pixel",
        normalization: Normalization = "instance",
        quantizer_gradient: QuantizerGradient = "soft",
        quantizer_sigma: float = 1.0,
        spn_head: SpnHead = "logits",
        detach_switch_prediction: bool = False,
        linear_shortcut: bool = False,
    ) -> None:
        super().__init__()
        if switches != "none" and downsampling != "pool":
            raise ValueError(f"switches={switches!r} needs downsampling='pool': strided convolutions have no switches")
        self.arguments: dict[str, Any] = {
            "transform": transform,
            "widths": [int(width) for width in widths],
            "residual_blocks": residual_blocks if isinstance(residual_blocks, int) else list(map(int, residual_blocks)),
            "latent_channels": int(latent_channels),
            "switches": switches,
            "downsampling": downsampling,
            "upsampling": upsampling,
            "normalization": normalization,
            "quantizer_gradient": quantizer_gradient,
            "quantizer_sigma": float(quantizer_sigma),
            "spn_head": spn_head,
            "detach_switch_prediction": bool(detach_switch_prediction),
            "linear_shortcut": bool(linear_shortcut),
        }
        self.widths = tuple(self.arguments["widths"])
        self.latent_channels = int(latent_channels)
        self.switches = switches
        self.quantizer_gradient: QuantizerGradient = quantizer_gradient
        self.quantizer_sigma = quantizer_sigma
        self.detach_switch_prediction = detach_switch_prediction
        self.analysis, self.synthesis = make_transforms(
            transform,
            widths=self.widths,
            latent_channels=self.latent_channels,
            residual_blocks=residual_blocks,
            normalization=normalization,
            downsampling=downsampling,
            upsampling=upsampling,
            switch_scales={"none": 0, "transmitted": SCALES, "predicted": 1}[switches],
            begin_as_nothing=linear_shortcut,
        )
        self.is_bounded = self.synthesis.is_bounded and not linear_shortcut
        self.spn = switch_prediction(spn_head, self.widths[0]) if switches == "predicted" else None
        self.shortcut = LinearShortcut(latent_channels) if linear_shortcut else None

    @property
    def is_local(self) -> bool:
        """Whether both networks have a `halo`, and see nothing beyond it."""
        return self.synthesis.is_local

    @property
    def channels_per_pixel(self) -> int:
        """Of the features that take most memory."""
        return self.analysis.channels_per_pixel

    def analyze(self, image: Tensor, note_switches: bool = True) -> AnalysisOutput:
        """Image [B, 3, H, W] in [-1, 1] to latent, and what the pools saw; without their switches faster."""
        height, width = image.shape[-2:]
        if height % self.stride or width % self.stride or min(height, width) < self.minimum_size:
            raise ValueError(f"height and width must be multiples of 16 and at least 32, not {height} and {width}")
        latent, features, pools = self.analysis(image, note_switches)
        if self.shortcut is not None:
            latent = latent + self.shortcut.analyze(image)
        return AnalysisOutput(
            latent,
            features,
            switches=tuple(pool.switches for pool in pools),
            tied=tuple(pool.tied for pool in pools),
        )

    def quantize(self, latent: Tensor) -> QuantizedLatent:
        """To the nearest of the five centers, in float32 whatever the precision around it."""
        latent = latent.float()
        latent_hat = quantize(latent, self.levels, self.quantizer_sigma, self.quantizer_gradient)
        return QuantizedLatent(latent_hat, nearest_symbols(latent, self.levels))

    def synthesize(
        self, latent_hat: Tensor, switches: Sequence[Tensor] | None = None, teacher_samples: int | None = None
    ) -> SynthesisOutput:
        """Quantized latent to image.

        `switches`: the four maps of `analyze` where they are transmitted; where they are predicted, None, or the one
        map of scale 1, which stands in for the prediction (the controls) in the first `teacher_samples` images of
        the batch, all by default.
        """
        prediction: Tensor | None = None
        predicted: Tensor | None = None
        if self.switches == "transmitted" and (switches is None or len(switches) != SCALES):
            raise ValueError("this model's synthesis needs the switches of all four scales")

        def switches_of(scale: int, features: Tensor) -> Tensor:
            nonlocal prediction, predicted
            if self.spn is None:
                assert switches is not None
                return switches[scale - 1]
            prediction = self.spn(features.detach() if self.detach_switch_prediction else features)
            predicted = self.spn.switches(prediction.detach())
            count = len(predicted) if teacher_samples is None else teacher_samples
            if not switches or count == 0:
                return predicted
            return torch.cat((switches[0][:count], predicted[count:]))

        unbounded, features = self.synthesis(latent_hat, switches_of)
        reconstruction = (torch.tanh(unbounded) if self.is_bounded else unbounded).float()
        if self.shortcut is not None:
            reconstruction = reconstruction + self.shortcut.synthesize(latent_hat).float()
        return SynthesisOutput(reconstruction, features, prediction, predicted)

    def forward(self, image: Tensor, true_switch_share: float = 0.0) -> CompressNetOutput:
        """Through quantization, without bytes. `true_switch_share`: share of the batch that is decoded with the
        encoder's switches while the SPN is still learning (0: always predicted switches, as in use)."""
        analysis = self.analyze(image)
        quantized = self.quantize(analysis.latent)
        switches = analysis.switches if self.switches != "none" else None
        teacher_samples = round(true_switch_share * len(image)) if self.switches == "predicted" else None
        synthesis = self.synthesize(quantized.latent_hat, switches, teacher_samples)
        return CompressNetOutput(analysis, quantized, synthesis)
