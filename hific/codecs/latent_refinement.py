"""Latents searched for one image: fewer bits and less distortion for time, in the same file format.

The analysis answers at once, for all images alike; what suits one image best is found by descent on its latent
(stochastic Gumbel annealing: Yang, Bamler & Mandt, "Improving Inference for Neural Image Compression", NeurIPS 2020,
section 3.3). A hyper-latent stays, and with it the means and scales; a decoder knows nothing of it.

    q = floor(r) or floor(r) + 1, a soft choice that hardens; r = latent - means
    minimized: k_M MSE + perception lost + RATE_SHARE x rate weight x bits per pixel, of what q decodes to
    perception lost: MS_SSIM_WEIGHT (1 - MS-SSIM) + COARSE_WEIGHT (1 - SSIM of the luma at 1/8)
                     + features weight x (LPIPS_SHARE LPIPS + CONV4_SHARE conv4), both a student's
                     (networks/perceptual_features.py)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from hific import zoo
from hific.io.file_digest import file_digest
from hific.networks.perceptual_features import SMALLEST_SIDE, PerceptualFeatures, distances
from hific.ops.precision import fast_precision

MSE_WEIGHT = 0.075 / 32  # k_M, of errors on [0, 255]: that a checkpoint's rate_weight stands beside
# Squared error alone smoothes: LPIPS, conv4 and SSIMULACRA2 then lose what PSNR gains. Measured on photos apart from
# training and test, experiments/campaign/README.md.
MS_SSIM_WEIGHT, COARSE_WEIGHT = 2.0, 8.0
# Of the features weight: at more than that PSNR pays for features that are good already
# (experiments/campaign).
LPIPS_SHARE, CONV4_SHARE = 0.03, 0.002
STRUCTURE_MINIMUM = 161  # pixels a side, of the five scales of MS-SSIM
PERCEPTION_EVERY = 2  # steps: it takes as long as the synthesis
# Below 1, for the search saves bits where a network that trained for perception had spent them.
RATE_SHARE = 0.65
LEARNING_RATE = 0.03
FIRST_TEMPERATURE, LAST_TEMPERATURE = 0.5, 0.1
_AWAY = 1e-5  # from whole numbers, where atanh has no end


@dataclass(frozen=True)
class Scene:
    """A part of an image, and what is known of its latent.

    image: [1, 3, H, W] in [0, 1]; symbols: latent less means, not yet rounded, [1, C, h, w]: of all that the synthesis
    sees; rows, columns: of them, those to search for. The others stay. lowest, highest: that a symbol may be.
    decode: of such symbols, whole or between, to a reconstruction as `image`; bits: of the inner part's, a scalar.
    """

    image: Tensor
    symbols: Tensor
    rows: slice
    columns: slice
    decode: Callable[[Tensor], Tensor]
    bits: Callable[[Tensor], Tensor]
    lowest: int
    highest: int

    def inner(self, values: Tensor) -> Tensor:
        return values[..., self.rows, self.columns]


@dataclass(frozen=True)
class Search:
    """rate_weight: of a bit per pixel, beside `MSE_WEIGHT`; features_weight: of the features, beside their shares;
    progress: told after every step."""

    rate_weight: float
    features_weight: float
    steps: int
    progress: Callable[[int, int], None] | None = None
    seed: int = 0

    def part(self, number: int, parts: int) -> Search:
        """The same for one of several parts of an image: `progress` is told of the steps of all."""
        whole = self.progress
        if whole is None:
            return self
        return replace(self, progress=lambda step, steps: whole(number * steps + step, parts * steps))

    def __call__(self, network: nn.Module, scene: Scene) -> Tensor:
        """Whole symbols of the inner part, [1, C, h', w']: the rounded ones that came in where no better were found.
        network: what the scene decodes by."""
        generator = torch.Generator().manual_seed(self.seed)
        perception = Perception.of(scene.image, self.features_weight)
        rounded = scene.inner(scene.symbols).round().clamp(scene.lowest, scene.highest)
        searched = scene.inner(scene.symbols).clamp(scene.lowest, scene.highest).requires_grad_(True)
        optimizer = torch.optim.Adam([searched], lr=LEARNING_RATE)
        with torch.enable_grad(), _without_gradients(network):
            for step in range(self.steps):
                cooled = step / max(1, self.steps - 1)
                temperature = FIRST_TEMPERATURE * (LAST_TEMPERATURE / FIRST_TEMPERATURE) ** cooled
                soft = soft_rounded(searched, temperature, generator).clamp(scene.lowest, scene.highest)
                share = 0.0 if step % PERCEPTION_EVERY else float(PERCEPTION_EVERY)
                (searched.grad,) = torch.autograd.grad(self.cost(scene, soft, perception, share), [searched])
                optimizer.step()
                if self.progress is not None:
                    self.progress(step + 1, self.steps)
        found = searched.detach().round().clamp(scene.lowest, scene.highest)
        with torch.no_grad():
            costs = [self.cost(scene, symbols, perception) for symbols in (found, rounded)]
            better = costs[0] < costs[1]
        return found if better else rounded

    def cost(
        self,
        scene: Scene,
        inner: Tensor,
        perception: Callable[[Tensor], Tensor],
        share: float = 1.0,
    ) -> Tensor:
        """Of the inner part's symbols, a scalar: of a pixel of the inner part, all that they change counted.
        `share` weighs what `perception` says."""
        symbols = scene.symbols.round().clamp(scene.lowest, scene.highest)
        symbols[..., scene.rows, scene.columns] = inner
        # The synthesis and the features alone: variances of SSIM have no digits to spare.
        with fast_precision(inner.device):
            reconstruction = scene.decode(symbols)
        distortion = MSE_WEIGHT * 255**2 * (reconstruction - scene.image).square().mean()
        if share:
            distortion = distortion + share * perception(reconstruction.clamp(0, 1))
        seen = scene.image[0, 0].numel()
        pixels = seen * inner[0, 0].numel() / symbols[0, 0].numel()
        return distortion * (seen / pixels) + RATE_SHARE * self.rate_weight * scene.bits(inner) / pixels


@dataclass(frozen=True)
class Perception:
    """What a reconstruction [1, 3, H, W] in [0, 1] of `image` has lost of it, 0 where they are equal. What an image is
    too small for is left out."""

    image: Tensor
    features_weight: float
    features: PerceptualFeatures
    target: tuple[Tensor, ...] | None

    @classmethod
    def of(cls, image: Tensor, features_weight: float) -> Perception:
        """CheckpointError where the features that the package brings are missing or damaged."""
        features, smallest = _shipped_features().to(image.device), min(image.shape[-2:])
        if smallest < SMALLEST_SIDE:
            return cls(image, features_weight, features, None)
        with torch.no_grad(), fast_precision(image.device):
            return cls(image, features_weight, features, features(image))

    def __call__(self, reconstruction: Tensor) -> Tensor:
        lost = reconstruction.new_zeros(())
        if min(self.image.shape[-2:]) >= STRUCTURE_MINIMUM:
            lost = lost + _structure_lost(reconstruction, self.image)
        if self.target is not None:
            with fast_precision(reconstruction.device):
                found = self.features(reconstruction)
            lpips, conv4 = distances(found, self.target)
            lost = lost + self.features_weight * (LPIPS_SHARE * lpips + CONV4_SHARE * conv4)
        return lost


def searched_by() -> str:
    """What a search goes by besides code and model: a digest of the features' weights."""
    return file_digest(zoo.PERCEPTUAL_FEATURES)


@cache
def _shipped_features() -> PerceptualFeatures:
    features = PerceptualFeatures()
    features.load_state_dict(zoo.read_perceptual_features())
    return features.requires_grad_(False).eval().to(memory_format=torch.channels_last)


def _structure_lost(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Of images [1, 3, H, W] in [0, 1], 0 where they are equal."""
    import piq  # a second and a half, for those who search alone

    fine = piq.multi_scale_ssim(reconstruction, image, data_range=1.0)
    return MS_SSIM_WEIGHT * (1 - fine) + COARSE_WEIGHT * coarse_structure_lost(reconstruction, image)


def coarse_structure_lost(reconstruction: Tensor, image: Tensor) -> Tensor:
    """1 - SSIM of the luma (Rec. 601) at 1/8 of the resolution, of images [B, 3, H, W] in [0, 1]: errors in what is
    smooth."""
    import piq

    weights = image.new_tensor([0.299, 0.587, 0.114])[:, None, None]
    x_hat, x = (avg_pool2d((one * weights).sum(1, keepdim=True), 8) for one in (reconstruction, image))
    similarity = piq.ssim(x_hat.clamp(0, 1), x, data_range=1.0, kernel_size=7, downsample=False)
    assert isinstance(similarity, Tensor)
    return 1 - similarity


def soft_rounded(values: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """Between each value's whole neighbors; at low temperatures near one of them, the nearer one likelier."""
    floor = values.detach().floor()
    share = (values - floor).clamp(_AWAY, 1 - _AWAY)
    uniform = torch.rand(values.shape, generator=generator).clamp(1e-6, 1 - 1e-6).to(values.device)
    # Two Gumbel variables differ by a logistic one.
    logits = (torch.atanh(share) - torch.atanh(1 - share)) / temperature + torch.logit(uniform)
    return floor + torch.sigmoid(logits / temperature)


@contextmanager
def _without_gradients(network: nn.Module) -> Iterator[None]:
    """Of its weights: nobody asks for them here."""
    learning = [one for one in network.parameters() if one.requires_grad]
    for one in learning:
        one.requires_grad_(False)
    try:
        yield
    finally:
        for one in learning:
            one.requires_grad_(True)
