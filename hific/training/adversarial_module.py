"""What the training of every model shares: an auto-encoder and its adversary, by manual optimization."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from lightning.pytorch.strategies import ParallelStrategy
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from hific.data.image_datamodule import ImageDataModule
from hific.errors import OptionError
from hific.fitting.coding import FittedCoding, Fitting, Photos
from hific.training.adversary import Adversary
from hific.training.beginnings import load_matching_weights
from hific.training.coding_module import CodingModule
from hific.training.objectives import Objective, Share
from hific.training.optimization import Optimization, check_finite
from hific.training.speed import Speed

Terms = dict[str, Tensor]
Part = tuple[Terms, Terms]
"""Of a batch: the weighted terms of its loss, and what else is to be averaged and logged, scalars."""


class AdversarialModule(CodingModule):
    """One auto-encoder, its adversary and their optimizers.

    Args:
        name: the system's key in configuration and results (`sae_spn`, `hific`).
        model: with `stride`, `minimum_size` and `arguments`, plain values of its constructor.
        objective: all losses but the adversary's and the rate.
        steps: batches of the whole training.
        fitting: what is fitted to photos when training has ended.
        init_from: a checkpoint whose weights of equal name and shape are loaded.
        seed: all that is random in a step is a function of (seed, batches done), and for an image also of its place in
            the batch of all ranks.
        speed: how it is computed.
        training_info: plain values that the checkpoint keeps, for reports (data, rate, size).

    Batches are float images [B, 3, H, W] in [0, 1]. `trainer.global_step` counts batches: a discriminator's step is
    kept out of Lightning's count.

    DDP looks after the auto-encoder alone: each backward pass reaches one of the two players, and with both in its care
    DDP would search every graph for the other's weights and send zeros for them. D's own step averages its gradients.
    """

    def __init__(
        self,
        *,
        name: str,
        model: nn.Module,
        objective: Objective,
        adversary: Adversary,
        optimization: Optimization,
        steps: int,
        fitting: Fitting,
        init_from: str | None,
        seed: int,
        speed: Speed,
        training_info: Mapping[str, Any] | None,
    ) -> None:
        super().__init__(name=name, fitting=fitting, training_info=training_info)
        if steps < 1:
            raise OptionError(f"steps={steps} must be 1 or more")
        if seed < 0:
            raise OptionError(f"seed={seed} must be 0 or more")
        self.automatic_optimization = False
        self.model: Any = speed.prepared(model)
        self.objective = objective
        self.adversary = adversary
        self.optimization = optimization
        self.steps = steps
        self.seed, self.speed = seed, speed
        self.fitted: FittedCoding | None = None
        of_d = [*dict(adversary.named_parameters("adversary")), *dict(adversary.named_buffers("adversary"))]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(self, of_d)
        if init_from is not None:
            load_matching_weights(self, init_from)

    @abstractmethod
    def fit_coding(self, photos: Photos, num_photos: int) -> None: ...

    @property
    def progress(self) -> float:
        """Share of the training that is done."""
        return self.global_step / self.steps

    @property
    def awaits_fitting(self) -> bool:
        """Whether all batches are trained, and what files are coded with is not fitted yet."""
        return self.fitted is None and 0 < self.steps <= self.global_step

    @property
    def fixed_on_resume(self) -> dict[str, Any]:
        """What must be as it was for a resumed run to be the same run, besides the model: plain values by name."""
        return {name: self.training_info[name] for name in ("rate", "size") if name in self.training_info}

    @property
    def milestones(self) -> dict[int, str]:
        """Batches after which a checkpoint of its own is kept, under that name."""
        return {}

    @property
    def is_comparable(self) -> bool:
        """Whether the objective of the weights at hand may be compared with the finished model's."""
        return True

    def setup(self, stage: str) -> None:
        datamodule = getattr(self.trainer, "datamodule", None)
        transform = getattr(datamodule, "transform", None)
        stride, minimum = self.model.stride, self.model.minimum_size
        crop = getattr(transform, "crop", minimum)
        if stage == "fit" and (crop % stride or crop < minimum):
            sizes = ", ".join(str(minimum + step * stride) for step in range(3))
            raise OptionError(f"a crop of {crop} does not fit {self.name}: data.crop must be {sizes}, ...")
        if stage == "fit" and isinstance(datamodule, ImageDataModule):
            self.speed.check_share(datamodule.batch_size_of_rank(self.trainer.world_size))

    def on_train_start(self) -> None:
        self.fitted = None  # of an earlier training's end

    def configure_optimizers(self) -> list[Optimizer]:
        optimizers = [self.optimization.make(self.parameter_groups(), **self.speed.of_optimizers)]
        if self.adversary.enabled:
            optimizers.append(self.adversary.make_optimizer(**self.speed.of_optimizers))
        return optimizers

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Of the auto-encoder, for its optimizer; `lr_factor` of a group multiplies the learning rate."""
        return [{"params": list(self.model.parameters())}]

    def step_adversary(self, image: Tensor, reconstruction: Tensor, latent_hat: Tensor | None = None) -> None:
        """D's own step; images in [-1, 1]."""
        logs = self.adversary.step(
            image,
            reconstruction,
            latent_hat,
            # The raw optimizer: a step of Lightning's wrapper would count as a batch in trainer.global_step.
            optimizer=self.raw_optimizers()[1],
            backward=self._backward_of_adversary,
            batch_number=self.global_step,
            parts=self.speed.accumulate,
        )
        self.log_dict({f"train/{key}": value for key, value in logs.items()})

    def _backward_of_adversary(self, loss: Tensor) -> None:
        with self._without_sync():
            self.manual_backward(loss)

    def _without_sync(self) -> AbstractContextManager[None]:
        """In which DDP leaves gradients as they are."""
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else nullcontext()

    def parts_of(self, images: Tensor) -> list[tuple[Tensor, Share]]:
        """This rank's images [B, ...] in equal parts, and which of the batch of all ranks each has."""
        first, total = self.global_rank * len(images), self.trainer.world_size * len(images)
        size = len(images) // self.speed.accumulate
        return [(images[at : at + size], Share(first + at, size, total)) for at in range(0, len(images), size)]

    def step_autoencoder(self, parts: Iterable[Part]) -> Terms:
        """One step on the sum of the weighted terms, each a mean over parts and ranks. Parts are computed one after
        another, and asked for one after another. Returns all means."""
        optimizer = self.optimizers()
        optimizer = optimizer[0] if isinstance(optimizer, list) else optimizer
        optimizer.zero_grad()
        means: list[Terms] = []
        for number, (terms, facts) in enumerate(parts, start=1):
            names = terms.keys()
            means.append(check_finite({**terms, **facts}, self.global_step))
            with self._without_sync() if number < self.speed.accumulate else nullcontext():
                self.manual_backward(torch.stack(list(terms.values())).sum() / self.speed.accumulate)
        norm = self.optimization.clip(self.model.parameters())
        check_finite({"gradient": norm}, self.global_step)
        optimizer.step()
        mean = {name: torch.stack([one[name] for one in means]).mean() for name in means[0]}
        self.log("train/loss", torch.stack([mean[name] for name in names]).sum(), prog_bar=True)
        self.log_dict({"train/gradient_norm": norm, **{f"train/{name}": mean[name] for name in names}})
        return mean

    def measure(self, batch: Tensor, stage: str) -> Tensor:
        reconstruction = self.reconstruct(batch)
        self.log_quality(reconstruction, batch, stage)
        return reconstruction

    def log_quality(
        self, reconstruction: Tensor, batch: Tensor, stage: str, weighted_rate: float | Tensor = 0.0
    ) -> None:
        """Logs PSNR, the weighted distortion of whole photos, and the objective that checkpoints are compared by: the
        distortion plus what the rate weighs where it is not fixed."""
        self.log_psnr(reconstruction, batch, stage)
        distortion = self.objective.distortion(reconstruction, batch)
        self.log_photo(f"{stage}/distortion", distortion)
        self.log_photo(f"{stage}/objective", distortion + weighted_rate)

    def checkpoint_info(self) -> dict[str, Any]:
        """Plain values that tell the run by."""
        fitted = {} if self.fitted is None else self.fitted.info
        info = {**self.training_info, **self.fixed_on_resume, **self.fitting.info, **fitted, "steps": self.global_step}
        info |= {"planned_steps": self.steps, "coding_fitted": self.fitted is not None}
        if info.get("perceptual") != "none":  # what is off by design is no reason for a warning in reports
            info["perceptual_term"] = self.objective.perceptual is not None
        return info

    def raw_optimizers(self) -> list[Optimizer]:
        """The auto-encoder's, then the adversary's, without Lightning's wrapper."""
        optimizers = self.optimizers(use_pl_optimizer=False)
        return optimizers if isinstance(optimizers, list) else [optimizers]

    def of_all_ranks(self, value: Tensor) -> Tensor:
        """Every rank's, along a new first dimension; one without DDP."""
        gathered = self.all_gather(value)
        assert isinstance(gathered, Tensor)
        return gathered if gathered.ndim > value.ndim else gathered[None]

    def generator(self) -> torch.Generator:
        """All that is random in this batch and the same for all of its images."""
        return self._seeded(0)

    def generators(self, share: Share) -> list[torch.Generator]:
        """All that is random about single images, the same for an image on whatever rank and in whatever part it is."""
        return [self._seeded(1 + place) for place in range(share.first, share.first + share.count)]

    def _seeded(self, place: int) -> torch.Generator:
        state = np.random.SeedSequence([self.seed, self.global_step, place]).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(state) >> 1)
