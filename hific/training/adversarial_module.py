"""What the training of every model shares: an auto-encoder and its adversary, by manual optimization."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from hific.errors import OptionError
from hific.losses.perceptual import FrozenFeatureLoss
from hific.training.adversary import Adversary
from hific.training.base_checkpoint import load_base
from hific.training.finite import check_finite
from hific.training.init_from import load_matching_weights
from hific.training.predictors import Predictors
from hific.training.schedule import Schedule

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]


class Autoencoder(Protocol):
    """What the shared part asks of a model. `arguments`: of its constructor, plain values."""

    stride: int
    minimum_size: int
    arguments: dict[str, Any]

    def parameters(self) -> Iterable[nn.Parameter]: ...


class AdversarialModule(LightningModule, ABC):
    """One auto-encoder, its adversary and their optimizers.

    Args:
        name: the system's key in configuration and results (`sae_spn`, `hific`).
        perceptual: built by `perceptual_term`; None trains without (the checkpoint says so).
        optimizer, discriminator_optimizer: parameters -> optimizer; `schedule` scales both learning rates.
        gradient_clip: largest norm of the gradient of the auto-encoder.
        init_from: a checkpoint whose weights of equal name and shape are taken over.
        base_checkpoint: of a trained model that stays as it is, with its tables, so that files of both hold the same
            symbols; nothing is trained, only predictors are fitted.
        predictors: that are fitted when training has ended.
        seed: all that is random in a step is a function of (seed, batches done, rank).
        training_info: plain values that the checkpoint keeps, for reports (data, rate, size).

    Batches are float images [B, 3, H, W] in [0, 1]. `trainer.global_step` counts batches: a discriminator's step is
    kept out of Lightning's count.
    """

    def __init__(
        self,
        *,
        name: str,
        model: nn.Module,
        adversary: Adversary,
        perceptual: FrozenFeatureLoss | None,
        optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory,
        schedule: Schedule,
        gradient_clip: float,
        init_from: str | None,
        base_checkpoint: str | None,
        predictors: Predictors,
        seed: int,
        training_info: Mapping[str, Any] | None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.name = name
        self.model: Any = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.adversary = adversary
        self.perceptual = perceptual
        self.optimizer_factory = optimizer
        self.discriminator_optimizer_factory = discriminator_optimizer
        self.schedule = schedule
        self.gradient_clip = gradient_clip
        self.seed = seed
        self.training_info = dict(training_info or {})
        self.predictors = predictors
        if init_from is not None:
            self.take_over(load_matching_weights(self, init_from))
        self.base = None if base_checkpoint is None else load_base(base_checkpoint, self.model)
        if self.base is not None:
            if not predictors.info:
                raise OptionError("nothing to fit to base_checkpoint: model.coding= or model.refine= is due")
            self.training_info = {**self.base.training, **self.training_info, "base": self.base.fingerprint.hex()}

    def take_over(self, checkpoint: dict[str, Any]) -> None:
        """What else than weights to take from the checkpoint of `init_from`."""

    @abstractmethod
    def reconstruct(self, batch: Tensor) -> Tensor:
        """Images [B, 3, H, W] of any size in [0, 1] -> reconstructions at 256 levels, in [0, 1]."""

    @abstractmethod
    def distortion(self, reconstruction: Tensor, batch: Tensor) -> Tensor:
        """The weighted distortion terms of the loss; images in [0, 1]."""

    @abstractmethod
    def fit_coding(self, photos: Iterable[Tensor]) -> None:
        """Makes what files are coded with from whole photos [1, 3, H, W] in [0, 1], when training has ended."""

    @property
    def progress(self) -> float:
        """Share of the training that is done."""
        return self.global_step / max(1, self.trainer.estimated_stepping_batches)

    @property
    def fixed_on_resume(self) -> dict[str, Any]:
        """What must be as it was for a resumed run to be the same run, besides the model: plain values by name."""
        return {name: self.training_info[name] for name in ("rate", "size") if name in self.training_info}

    @property
    def milestones(self) -> dict[int, str]:
        """Batches after which a checkpoint of its own is kept, under that name."""
        return {}

    def setup(self, stage: str) -> None:
        if stage == "fit" and self.base is not None and self.trainer.max_steps != 0:
            raise OptionError("base_checkpoint stays as it is: no batches are trained with it")
        transform = getattr(getattr(self.trainer, "datamodule", None), "transform", None)
        stride, minimum = self.model.stride, self.model.minimum_size
        crop = getattr(transform, "crop", minimum)
        if stage == "fit" and (crop % stride or crop < minimum):
            sizes = ", ".join(str(minimum + step * stride) for step in range(3))
            raise OptionError(f"a crop of {crop} does not fit {self.name}: data.crop must be {sizes}, ...")

    def configure_optimizers(self) -> list[Optimizer]:
        optimizers = [self.optimizer_factory(self.parameter_groups())]
        if self.adversary.enabled:
            optimizers.append(self.discriminator_optimizer_factory(self.adversary.parameters()))
        return optimizers

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Of the auto-encoder, for its optimizer; `lr_factor` of a group multiplies the learning rate."""
        return [{"params": list(self.model.parameters())}]

    def set_learning_rates(self, progress: float) -> None:
        """To the schedule's share of what the optimizers were made with."""
        factor = self.schedule(progress)
        for optimizer in self.raw_optimizers():
            for group in optimizer.param_groups:
                group.setdefault("base_lr", group["lr"])
                group["lr"] = group["base_lr"] * factor * group.get("lr_factor", 1.0)

    def step_discriminator(self, image: Tensor, reconstruction: Tensor, latent_hat: Tensor | None = None) -> None:
        # The raw optimizer: a step of Lightning's wrapper would count as a batch in trainer.global_step.
        optimizer = self.raw_optimizers()[1]
        loss, logs = self.adversary.discriminator_terms(image, reconstruction, latent_hat)
        check_finite({"discriminator": loss}, self.global_step)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.log_dict({"train/discriminator": loss.detach(), **{f"train/{key}": value for key, value in logs.items()}})

    def step_autoencoder(self, terms: dict[str, Tensor]) -> None:
        """One step on the sum of the weighted terms."""
        loss = torch.stack(list(terms.values())).sum()
        optimizer = self.optimizers()
        optimizer = optimizer[0] if isinstance(optimizer, list) else optimizer
        optimizer.zero_grad()
        self.manual_backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.gradient_clip)
        check_finite({"gradient": norm}, self.global_step)
        optimizer.step()
        self.log("train/loss", loss.detach(), prog_bar=True)
        self.log_dict({"train/gradient_norm": norm, **{f"train/{key}": term.detach() for key, term in terms.items()}})

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.measure(batch, "val")

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        self.measure(batch, "test")

    def measure(self, batch: Tensor, stage: str, weighted_rate: float | Tensor = 0.0) -> None:
        """Logs PSNR, the weighted distortion of whole photos, and the objective that checkpoints are compared by: the
        distortion plus what the rate weighs where it is not fixed."""
        reconstruction = self.reconstruct(batch)
        error = (reconstruction - batch).square().mean()
        psnr = -10 * torch.log10(error.clamp(min=1e-10))
        self.log(f"{stage}/psnr", psnr, prog_bar=True, sync_dist=True, batch_size=1)
        distortion = self.distortion(reconstruction, batch)
        self.log(f"{stage}/distortion", distortion, sync_dist=True, batch_size=1)
        self.log(f"{stage}/objective", distortion + weighted_rate, sync_dist=True, batch_size=1)

    def checkpoint_info(self) -> dict[str, Any]:
        """Plain values that tell the run by."""
        steps = self.global_step if self.base is None else self.base.training.get("steps", 0)
        info = {**self.training_info, **self.fixed_on_resume, **self.predictors.info, "steps": steps}
        if info.get("perceptual") != "none":  # what is off by design is no reason for a warning in reports
            info["perceptual_term"] = self.perceptual is not None
        return info

    def raw_optimizers(self) -> list[Optimizer]:
        """The auto-encoder's, then the adversary's, without Lightning's wrapper."""
        optimizers = self.optimizers(use_pl_optimizer=False)
        return optimizers if isinstance(optimizers, list) else [optimizers]  # type: ignore[list-item]

    def generator(self) -> torch.Generator:
        """All that is random in this batch on this rank."""
        state = np.random.SeedSequence([self.seed, self.global_step, self.global_rank]).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(state) >> 1)


def to_256_levels(image: Tensor) -> Tensor:
    """[0, 1] as an 8-bit file would hold it."""
    return (image.clamp(0, 1) * 255).round() / 255
