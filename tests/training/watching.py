"""What happens in each batch of a training: what goes in, what D is shown, and what is left behind."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn


@dataclass
class Batch:
    """`model`, `adversary`, `average`: as they were before it; `shown_to_d`: (images, latents) of each of D's calls;
    `switch_shares`: what the model was called with besides images; `gradients`: as the step left them."""

    images: Tensor
    model: Any
    adversary: Any
    average: Any
    shown_to_d: list[tuple[Tensor, Tensor | None]] = field(default_factory=list)
    switch_shares: list[float] = field(default_factory=list)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    learning_rates: list[list[float]] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass
class Validation:
    """The last validation: its photos, and a copy of the model that they were measured by."""

    model: Any = None
    photos: list[Tensor] = field(default_factory=list)


BATCHES: list[Batch] = []
LAST_VALIDATION = Validation()


class Watch(Callback):
    """Fills BATCHES and LAST_VALIDATION; a training forgets those of the one before."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        BATCHES.clear()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.adversary.discriminator.register_forward_pre_hook(_remember_judged)
        pl_module.model.register_forward_pre_hook(_remember_share)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        # A trainer is not to be copied.
        parts = [pl_module.model, pl_module.adversary, getattr(pl_module, "ema", None)]
        BATCHES.append(Batch(batch.clone(), *map(_unwatched, parts)))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        last = BATCHES[-1]
        named = pl_module.model.named_parameters()
        last.gradients = {name: one.grad.clone() for name, one in named if one.grad is not None}
        last.learning_rates = [
            [group["lr"] for group in optimizer.param_groups] for optimizer in pl_module.raw_optimizers()
        ]
        last.metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        LAST_VALIDATION.model, LAST_VALIDATION.photos = _unwatched(pl_module.model), []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        LAST_VALIDATION.photos.append(batch.clone())


WATCHING = [f"+callbacks.watch._target_={__name__}.Watch", "~callbacks.tables", "~callbacks.last"]
"""Overrides that add it; without files, of which nothing is asked here."""


def _remember_judged(_: nn.Module, arguments: tuple[Any, ...]) -> None:
    image, latent_hat = (*arguments, None)[:2]
    BATCHES[-1].shown_to_d.append((image.detach().clone(), None if latent_hat is None else latent_hat.detach().clone()))


def _remember_share(_: nn.Module, arguments: tuple[Any, ...]) -> None:
    if BATCHES and len(arguments) > 1 and isinstance(arguments[1], float):
        BATCHES[-1].switch_shares.append(arguments[1])


def _unwatched(part: nn.Module | None) -> nn.Module | None:
    """A copy that can be asked without being heard."""
    copied = copy.deepcopy(part)
    for module in copied.modules() if copied is not None else ():
        for known in (_remember_judged, _remember_share):
            for key in [key for key, hook in module._forward_pre_hooks.items() if hook is known]:
                del module._forward_pre_hooks[key]
    return copied


def generator_of(batch_number: int, place: int = 0) -> torch.Generator:
    """(seed 1, batch, 0 for what is of all images), as the modules draw it."""
    state = np.random.SeedSequence([1, batch_number, place]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


def generators_of(batch_number: int, count: int) -> list[torch.Generator]:
    """Of the first images of a batch: (seed 1, batch, 1 and on)."""
    return [generator_of(batch_number, 1 + place) for place in range(count)]
