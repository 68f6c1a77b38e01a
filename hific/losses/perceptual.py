"""Perceptual losses: distances between the features of a frozen, pretrained network.

Both are called as `loss(reconstruction, image)` with float images [B, 3, H, W] in [-1, 1] and give the mean, a scalar.
The gradient flows to the reconstruction only; the image's features are computed without a graph.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor, nn

from hific.errors import OptionError, WeightsNotFoundError
from hific.weights import ImageNetNormalization, LPIPSNet, load_alexnet_conv4, load_features, load_lpips, random_alexnet


class FrozenNetwork(nn.Module):
    """Owns a pretrained network without registering it.

    The network follows `.to(device)`, but is in no state dict, no parameter list and no DDP bucket: checkpoints stay
    small, optimizers cannot touch it, and `train()` does not reach its dropout. It stays in float32, also under
    autocast and in modules moved to a half type: small feature differences drown in bfloat16.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        # in a tuple, so that nn.Module does not see it
        self._unregistered = (network.requires_grad_(False).eval().to(memory_format=torch.channels_last),)

    @property
    def network(self) -> Any:
        return self._unregistered[0]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        self.network._apply(lambda tensor: tensor.to(device=fn(tensor).device))
        return self


class FrozenFeatureLoss(FrozenNetwork):
    """A distance between the features of a frozen network."""

    def forward(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Mean distance over the batch, a float32 scalar."""
        if reconstruction.shape != image.shape or image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"need two images [B, 3, H, W], got {tuple(reconstruction.shape)}, {tuple(image.shape)}")
        with torch.autocast(device_type=image.device.type, enabled=False):
            # channels_last: up to a third faster on CPU, whatever the layout of the images
            return self.distance(
                reconstruction.float().contiguous(memory_format=torch.channels_last),
                image.float().contiguous(memory_format=torch.channels_last),
            )

    def distance(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        raise NotImplementedError


class AlexNetPerceptualLoss(FrozenFeatureLoss):
    """Mean squared difference after AlexNet's 4th convolution (CompressNet, eq. 3: L_perceptual).

    H and W at least 31.
    """

    def __init__(self, weights_dir: str | Path | None = None, *, download: bool = False) -> None:
        super().__init__(load_alexnet_conv4(weights_dir, download=download))

    def distance(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        with torch.no_grad():
            image_features = self.network(image)
        return nn.functional.mse_loss(self.network(reconstruction), image_features)


class LPIPSLoss(FrozenFeatureLoss):
    """LPIPS v0.1 (Zhang et al. 2018) as a training loss.

    Equal to the lpips package up to 1e-5, with a gradient that is finite everywhere: the package takes the square root
    of a sum that is zero where all features of a place are, so that a flat patch gives NaN.
    """

    def __init__(
        self, net: LPIPSNet = "alex", weights_dir: str | Path | None = None, *, download: bool = False
    ) -> None:
        super().__init__(load_lpips(net, weights_dir, download=download))

    def distance(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        with torch.no_grad():
            image_features = [unit_length(features) for features in self._features(image)]
        terms = [
            head((unit_length(features) - target).square()).mean()
            for head, features, target in zip(
                self.network.lins, self._features(reconstruction), image_features, strict=True
            )
        ]
        return torch.stack(terms).sum()

    def _features(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.net(self.network.scaling_layer(image)))


class AlexNetFeatures(FrozenNetwork):
    """What AlexNet's five convolutions see, each behind its ReLU, for a discriminator to judge by.

    Float images [B, 3, H, W] in [-1, 1], H and W at least 31, to float32 maps of `channels` at about 1/4, 1/8 and
    three times 1/16 of the resolution. Each place has a mean square of one over its channels, as LPIPS has a sum of
    one: which features there are counts, not how strong. The gradient flows to the image.

    Args:
        pretrained: false is a random AlexNet, the control by which Sauer et al. 2021 (section 4) ask what the
            pretraining is worth.
    """

    channels = (64, 192, 384, 256, 256)

    def __init__(
        self, weights_dir: str | Path | None = None, *, download: bool = False, pretrained: bool = True
    ) -> None:
        trunk = load_features("alexnet_features", weights_dir, download=download) if pretrained else random_alexnet()
        super().__init__(nn.Sequential(ImageNetNormalization(), *trunk[:-1]))  # without the last pool

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps: list[Tensor] = []
        with torch.autocast(device_type=image.device.type, enabled=False):
            hidden = image.float().contiguous(memory_format=torch.channels_last)
            for layer in self.network:
                # the trunk's ReLUs work in place, on what the convolution before keeps nothing of
                hidden = layer(hidden)
                if isinstance(layer, nn.ReLU):
                    maps.append(unit_length(hidden) * hidden.shape[1] ** 0.5)
        return tuple(maps)


def unit_length(features: Tensor) -> Tensor:
    """Features [B, C, H, W] scaled to length one over the channels; zero features stay zero, with a finite gradient."""
    return features * torch.rsqrt(features.square().sum(dim=1, keepdim=True) + 1e-8)


log = logging.getLogger(__name__)

PerceptualKind = Literal["conv4", "lpips_alex", "none"]


def perceptual_term(
    kind: PerceptualKind, weights_dir: str | Path | None = None, *, download: bool = False, required: bool = True
) -> FrozenFeatureLoss | None:
    """`conv4`: the paper's (eq. 3); `lpips_alex`; or none.

    Where the pretrained weights are not found, that is an error if they are `required` or a folder is named; else a
    warning, and the model trains without the term (its checkpoint and every report made of it say so).

    Raises:
        OptionError: no such kind, or no such folder.
        WeightsNotFoundError: see above.
    """
    if kind not in get_args(PerceptualKind):
        raise OptionError(f"perceptual={kind} is none of {', '.join(get_args(PerceptualKind))}")
    if weights_dir is not None and not Path(weights_dir).expanduser().is_dir():
        raise OptionError(f"weights.dir={weights_dir}: there is no such folder")
    if kind == "none":
        return None
    try:
        if kind == "conv4":
            return AlexNetPerceptualLoss(weights_dir, download=download)
        return LPIPSLoss("alex", weights_dir, download=download)
    except WeightsNotFoundError as error:
        if required or weights_dir is not None:
            raise
        log.warning("training without the perceptual term, reconstructions will be blurrier: %s", error)
        return None
