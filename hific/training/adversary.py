"""The adversary: a discriminator D with its losses, its optimizer and its own step.

Losses are over maps of D's logits. vanilla: Goodfellow et al. 2014 (compressnet, eq. 3), generator in the
non-saturating or the saturating form; lsgan: Mao et al. 2017, with which the gc baseline is trained. Maps of several
scales are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from hific.errors import OptionError
from hific.ops.ranks import average_gradients
from hific.training.optimization import OptimizerFactory, check_finite

GanLoss = Literal["vanilla", "saturating", "lsgan"]


def _mean_of_maps(terms: list[Tensor]) -> Tensor:
    return torch.stack([term.float().mean() for term in terms]).mean()


def discriminator_loss(real: Sequence[Tensor], fake: Sequence[Tensor], kind: GanLoss) -> Tensor:
    """What D minimizes: -log D(x) - log(1 - D(x_hat)), or (D(x) - 1)^2 + D(x_hat)^2 for lsgan."""
    if kind == "lsgan":
        return _mean_of_maps([(r - 1).square() for r in real]) + _mean_of_maps([f.square() for f in fake])
    return _mean_of_maps([F.softplus(-r) for r in real]) + _mean_of_maps([F.softplus(f) for f in fake])


def generator_loss(fake: Sequence[Tensor], kind: GanLoss) -> Tensor:
    """What G minimizes: -log D(x_hat), log(1 - D(x_hat)) (`saturating`, eq. 3 to the letter) or (D(x_hat) - 1)^2."""
    if kind == "lsgan":
        return _mean_of_maps([(f - 1).square() for f in fake])
    if kind == "saturating":
        return _mean_of_maps([-F.softplus(f) for f in fake])
    return _mean_of_maps([F.softplus(-f) for f in fake])


def feature_matching_loss(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of D's feature maps, averaged over layers and scales (pix2pixHD); D(x) is detached."""
    return _mean_of_maps([(f.float() - r.detach().float()).abs() for r, f in zip(real, fake, strict=True)])


class Adversary(nn.Module):
    """Judges reconstructions, and learns to.

    Args:
        discriminator: image [B, 3, H, W] in [-1, 1], and the latent that conditions it or None -> (logit maps,
            feature maps).
        optimizer: parameters -> optimizer of D.
        gan_loss: see the functions above.
        weight: of the generator's GAN loss; 0 trains without a discriminator.
        feature_matching_weight: 10 in gc; 0 elsewhere.
        start: share of the training before which there is no adversary: it costs a third of a step's time, and has
            little to teach before the reconstructions are sharp enough.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        optimizer: OptimizerFactory,
        gan_loss: GanLoss = "vanilla",
        weight: float = 1.0,
        feature_matching_weight: float = 0.0,
        start: float = 0.0,
    ) -> None:
        super().__init__()
        if min(weight, feature_matching_weight) < 0 or not 0 <= start <= 1:
            raise OptionError(
                f"adversary: weight={weight} and feature_matching_weight={feature_matching_weight} must be 0 or more, "
                f"start={start} must be in 0..1"
            )
        self.discriminator = discriminator
        self.optimizer_factory = optimizer
        self.gan_loss: GanLoss = gan_loss
        self.weight = weight
        self.feature_matching_weight = feature_matching_weight
        self.start = start

    @property
    def enabled(self) -> bool:
        """Whether there is an adversary at all, and so an optimizer for it."""
        return self.weight > 0 or self.feature_matching_weight > 0

    def active(self, progress: float) -> bool:
        """Whether it plays at this share of the training."""
        return self.enabled and progress >= self.start

    def make_optimizer(self, **arguments: Any) -> Optimizer:
        return self.optimizer_factory(self.parameters(), **arguments)

    def step(
        self,
        image: Tensor,
        reconstruction: Tensor,
        latent_hat: Tensor | None = None,
        *,
        optimizer: Optimizer,
        backward: Callable[[Tensor], None],
        batch_number: int,
        parts: int = 1,
    ) -> dict[str, Tensor]:
        """D learns to tell images from reconstructions, both [B, 3, H, W] in [-1, 1]. Returns what to log, of all
        ranks; raises NonFiniteError, naming `batch_number`, before a bad value reaches the weights.

        Gradients are averaged over ranks here: `backward` leaves them as they are. `parts`: equal ones of the batch,
        computed one after another."""
        optimizer.zero_grad()
        means: list[dict[str, Tensor]] = []
        latents = [None] * parts if latent_hat is None else latent_hat.chunk(parts)
        for some in zip(image.chunk(parts), reconstruction.chunk(parts), latents, strict=True):
            loss, logs = self.discriminator_terms(*some)
            means.append(check_finite({"discriminator": loss, **logs}, batch_number))
            backward(loss / parts)
        average_gradients(self.parameters())
        optimizer.step()
        return {name: torch.stack([one[name] for one in means]).mean() for name in means[0]}

    def discriminator_terms(
        self, image: Tensor, reconstruction: Tensor, latent_hat: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """D's loss, and what to log of it. Nothing flows back into the reconstruction or the latent.

        Image i and reconstruction i are judged beside the same latent i.
        """
        condition = None if latent_hat is None else latent_hat.detach()
        real, _ = self.discriminator(image, condition)
        fake, _ = self.discriminator(reconstruction.detach(), condition)
        logs = {
            "discriminator/real": torch.stack([r.detach().float().mean() for r in real]).mean(),
            "discriminator/fake": torch.stack([f.detach().float().mean() for f in fake]).mean(),
        }
        return discriminator_loss(real, fake, self.gan_loss), logs

    def generator_terms(
        self, image: Tensor, reconstruction: Tensor, latent_hat: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Weighted terms for the generator's loss; D's parameters receive no gradient from them, nor does the latent:
        it would learn to please D instead of saying what the image is."""
        terms: dict[str, Tensor] = {}
        condition = None if latent_hat is None else latent_hat.detach()
        with self._frozen():
            fake, fake_features = self.discriminator(reconstruction, condition)
            if self.weight > 0:
                terms["adversarial"] = self.weight * generator_loss(fake, self.gan_loss)
            if self.feature_matching_weight > 0:
                with torch.no_grad():
                    _, real_features = self.discriminator(image, condition)
                matching = feature_matching_loss(real_features, fake_features)
                terms["feature_matching"] = self.feature_matching_weight * matching
        return terms

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        self.discriminator.requires_grad_(False)
        try:
            yield
        finally:
            self.discriminator.requires_grad_(True)
