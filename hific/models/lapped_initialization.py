"""Lapped-transform initialization: fits to photos how far a latent reaches into its neighbors' blocks.

The KLT initialization codes blocks of 16x16 pixels, each for itself. At low rates these are seen, and training takes
thousands of batches to forget them. The analysis's and the synthesis's head, 3x3 each at 1/16 of the resolution, can
make a lapped transform of it (Malvar 1992), whose functions overlap. No model of images that we tried says which one
(experiments/hific_small); the features of photos do, in a minute: least rate and squared error, by gradient descent on
these two layers alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from hific.entropy.densities import LIKELIHOOD_FLOOR, SMALLEST_SCALE, estimated_bpp
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.networks.klt_initialization import GAIN
from hific.ops.quantize import additive_noise, round_straight_through

# Of a bit per pixel, beside `mse_weight`: about where the controller of the rate settles.
RATE_WEIGHT = 2.0
CROPS_A_STEP, CROP = 8, 16  # latents a side
LEARNING_RATE, LEARNING_RATE_OF_SCALES = 2e-3, 2e-2


def is_klt_initialized(model: nn.Module) -> bool:
    """Whether nothing has touched the weights since `initialize_klt`: both heads see no neighbor yet."""
    if not isinstance(model, HyperpriorAutoencoder):
        return False
    center = torch.zeros(3, 3, dtype=torch.bool)
    center[1, 1] = True
    return all(bool((head.weight[..., ~center] == 0).all()) for head in _heads(model))


def initialize_lapped(
    model: HyperpriorAutoencoder, photos: Iterable[Tensor], *, mse_weight: float, steps: int, seed: int
) -> None:
    """Sets the weights of both heads, and the scales that the hyperprior starts with, in place.

    photos [1, 3, H, W] in [0, 1], H and W multiples of 16; mse_weight: of the squared error on [0, 255] in the loss.

    Raises:
        ValueError: no photo.
    """
    with torch.no_grad():
        # In the layout of channels_last, in which a step takes half as long.
        features = [model.analyze(photo).contiguous(memory_format=torch.channels_last) for photo in photos]
    if not features:
        raise ValueError("a lapped transform is fitted to one photo or more")
    transform = _LappedTransform(_deviations(features))
    transform.to(features[0].device)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(
        [
            {"params": [transform.analysis, transform.synthesis], "peak": LEARNING_RATE},
            {"params": [transform.log_gains, transform.log_scales], "peak": LEARNING_RATE_OF_SCALES},
        ]
    )
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * (1 - step / steps)
        some = torch.randint(len(features), (CROPS_A_STEP,), generator=generator).tolist()
        loss = sum(transform.loss(_crop(features[index], generator), mse_weight, generator) for index in some)
        optimizer.zero_grad()
        assert isinstance(loss, Tensor)
        loss.backward()
        optimizer.step()
    _load_from(model, transform)
    with torch.no_grad():
        model.scale_synthesis.start_at(_deviations([transform.latent(one) for one in features]))


class _LappedTransform(nn.Module):
    """Features [1, C, h, w] of the KLT initialization to as many latents, and back; each latent a Laplacian's,
    whatever is around it."""

    def __init__(self, deviations: Tensor) -> None:
        super().__init__()
        count = len(deviations)
        identity = torch.zeros(count, count, 3, 3)
        identity[range(count), range(count), 1, 1] = 1
        self.analysis, self.synthesis = nn.Parameter(identity.clone()), nn.Parameter(identity)
        self.log_gains = nn.Parameter(torch.zeros(count, 1, 1, 1))
        self.log_scales = nn.Parameter(deviations.log()[:, None, None])

    @property
    def kernels(self) -> tuple[Tensor, Tensor]:
        """Of the analysis and of the synthesis, gains within."""
        gains = self.log_gains.exp()
        return self.analysis * gains, self.synthesis / gains[:, 0]

    def latent(self, features: Tensor) -> Tensor:
        return conv2d(features, self.kernels[0], padding=1)

    def loss(self, features: Tensor, mse_weight: float, generator: torch.Generator) -> Tensor:
        num_pixels = features.shape[-2] * features.shape[-1] * HyperpriorAutoencoder.stride**2
        latent = self.latent(features)
        laplacian = torch.distributions.Laplace(
            torch.zeros_like(self.log_scales), self.log_scales.exp(), validate_args=False
        )
        noisy = additive_noise(latent, generator)
        masses = laplacian.cdf(noisy + 0.5) - laplacian.cdf(noisy - 0.5)
        bpp = estimated_bpp((masses.clamp(min=LIKELIHOOD_FLOOR),), num_pixels)
        error = conv2d(round_straight_through(latent), self.kernels[1], padding=1) - features
        # Features are orthonormal but for their gain.
        squared_error = (255 / GAIN * error).square().sum() / (3 * num_pixels)
        return RATE_WEIGHT * bpp + mse_weight * squared_error


def _deviations(tensors: Sequence[Tensor]) -> Tensor:
    """Standard deviations [C] over all of [1, C, h, w], at least the smallest scale of a Gaussian."""
    return torch.cat([one.flatten(2) for one in tensors], 2)[0].std(1).clamp(min=SMALLEST_SCALE)


def _crop(features: Tensor, generator: torch.Generator) -> Tensor:
    """`CROP` or fewer positions a side, at a random place."""
    for dim in (2, 3):
        spare = max(0, features.shape[dim] - CROP)
        start = int(torch.randint(spare + 1, (), generator=generator))
        features = features.narrow(dim, start, features.shape[dim] - spare)
    return features


@torch.no_grad()
def _load_from(model: HyperpriorAutoencoder, transform: _LappedTransform) -> None:
    analysis, synthesis = _heads(model)
    of_analysis, of_synthesis = transform.kernels
    analysis.weight.copy_(torch.einsum("ocyx,ci->oiyx", of_analysis, analysis.weight[:, :, 1, 1]))
    synthesis.weight.copy_(torch.einsum("fk,kcyx->fcyx", synthesis.weight[:, :, 1, 1], of_synthesis))


def _heads(model: HyperpriorAutoencoder) -> tuple[nn.Conv2d, nn.Conv2d]:
    analysis, synthesis = model.analysis.head, model.synthesis.entry
    assert isinstance(analysis, nn.Conv2d) and isinstance(synthesis, nn.Conv2d)
    return analysis, synthesis
