"""Training of the CompressNet family: sae, swwae, sae_spn and gc differ in the parts that are passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from torch import Tensor
from torch.optim import Optimizer

from hific.codecs.compressnet_coding import CompressNetCoding
from hific.codecs.load import checkpoint_entry
from hific.losses.latent_spread import latent_spread_loss
from hific.losses.layerwise import layerwise_loss
from hific.losses.perceptual import FrozenFeatureLoss
from hific.losses.switch_prediction import switch_accuracy, switch_prediction_loss
from hific.models.compressnet import CompressNet
from hific.models.outputs import CompressNetOutput
from hific.ops.padding import pad_to_multiple
from hific.ops.random_crop import shifted_crop
from hific.training.adversary import Adversary
from hific.training.finite import check_finite
from hific.training.init_from import load_matching_weights
from hific.training.schedule import Schedule
from hific.training.symbol_history import Latent, SymbolHistory, count_switches

OptimizerFactory = Callable[[Iterable[torch.nn.Parameter]], Optimizer]
SWITCH_COUNT_INTERVAL = 16  # counting millions of switches is slow, and one batch in sixteen tells the same


@dataclass(frozen=True)
class LossWeights:
    """Weights of equation 3 beside the adversary's own; images in [-1, 1], every term a mean over elements.

    mse: lambda_MSE; perceptual: lambda_p; layerwise: lambda_S; switch_prediction: the SPN's own loss; latent_spread:
    not in the paper, see losses/latent_spread.py.
    """

    mse: float = 1.0
    perceptual: float = 5.0
    layerwise: float = 1.0
    switch_prediction: float = 1.0
    latent_spread: float = 1.0


class CropError(ValueError):
    """The training crop does not fit the model; says which do."""


class CompressNetModule(LightningModule):
    """One CompressNet, its adversary and its losses, with manual optimization.

    Args:
        name: the system's key in configuration and results (`sae_spn`).
        perceptual: built by `perceptual_term`; None trains without (the checkpoint says so).
        view_shift: pixels by which what the perceptual term and the adversary see is moved at random
            (ops/random_crop.py).
        optimizer, discriminator_optimizer: parameters -> optimizer; `schedule` scales both learning rates.
        true_switches_until: share of training over which sae_spn's decoder goes from the encoder's switches for all
            images of a batch to predicted ones for all; 0 trains on predicted switches only.
        gradient_clip: largest norm of the gradient of the auto-encoder.
        init_from: a checkpoint whose weights of equal name and shape are taken over.
        seed: all that is random in a step is a function of (seed, batches done, rank).
        training_info: plain values that the checkpoint keeps, for reports (data, rate, size).

    Batches are float images [B, 3, H, W] in [0, 1]. `trainer.global_step` counts batches.
    """

    def __init__(
        self,
        *,
        name: str,
        model: CompressNet,
        adversary: Adversary,
        weights: LossWeights,
        perceptual: FrozenFeatureLoss | None,
        optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory,
        schedule: Schedule,
        view_shift: int = 16,
        detach_layerwise: bool = True,
        true_switches_until: float = 0.3,
        gradient_clip: float = 1.0,
        init_from: str | None = None,
        seed: int = 0,
        history_capacity: int = 1024,
        training_info: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.name = name
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.adversary = adversary
        self.weights = weights
        self.perceptual = perceptual
        self.optimizer_factory = optimizer
        self.discriminator_optimizer_factory = discriminator_optimizer
        self.schedule = schedule
        self.view_shift = view_shift
        self.detach_layerwise = detach_layerwise
        self.true_switches_until = true_switches_until
        self.gradient_clip = gradient_clip
        self.seed = seed
        self.training_info = dict(training_info or {})
        self.history = SymbolHistory(history_capacity)
        self.photo_latents: list[Latent] = []
        if init_from is not None:
            load_matching_weights(self, init_from)

    def setup(self, stage: str) -> None:
        transform = getattr(getattr(self.trainer, "datamodule", None), "transform", None)
        crop = getattr(transform, "crop", self.model.minimum_size)
        if stage == "fit" and (crop % self.model.stride or crop < self.model.minimum_size):
            raise CropError(f"a crop of {crop} does not fit {self.name}: size.crop must be 32, 48, 64, ...")

    def configure_optimizers(self) -> list[Optimizer]:
        optimizers = [self.optimizer_factory(self.model.parameters())]
        if self.adversary.enabled:
            optimizers.append(self.discriminator_optimizer_factory(self.adversary.parameters()))
        return optimizers

    @property
    def progress(self) -> float:
        """Share of the training that is done."""
        return self.global_step / max(1, self.trainer.estimated_stepping_batches)

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        image = (2 * batch - 1).contiguous(memory_format=torch.channels_last)
        self._set_learning_rates()
        output = self.model(image, self._true_switch_share())
        view, image_view = shifted_crop((output.reconstruction, image), self.view_shift, self._generator())
        terms = self._distortion_terms(image, output)
        if self.perceptual is not None:
            terms["perceptual"] = self.weights.perceptual * self.perceptual(view, image_view)
        check_finite(terms, self.global_step)
        if self.adversary.active(self.progress):
            self._step_discriminator(image_view, view)
            adversarial = self.adversary.generator_terms(image_view, view)
            check_finite(adversarial, self.global_step)
            terms |= adversarial
        self._step_autoencoder(terms)
        self._remember(output)

    def _set_learning_rates(self) -> None:
        factor = self.schedule(self.progress)
        for optimizer in self._raw_optimizers():
            for group in optimizer.param_groups:
                group.setdefault("base_lr", group["lr"])
                group["lr"] = group["base_lr"] * factor

    def _true_switch_share(self) -> float:
        return max(0.0, 1.0 - self.progress / self.true_switches_until) if self.true_switches_until > 0 else 0.0

    def _step_discriminator(self, image: Tensor, reconstruction: Tensor) -> None:
        # The raw optimizer: a step of Lightning's wrapper would count as a batch in trainer.global_step.
        optimizer = self._raw_optimizers()[1]
        loss, logs = self.adversary.discriminator_terms(image, reconstruction)
        check_finite({"discriminator": loss}, self.global_step)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.log_dict({"train/discriminator": loss.detach(), **{f"train/{key}": value for key, value in logs.items()}})

    def _step_autoencoder(self, terms: dict[str, Tensor]) -> None:
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

    def _distortion_terms(self, image: Tensor, output: CompressNetOutput) -> dict[str, Tensor]:
        """The weighted terms that need more than a view of the image (equation 3, and the SPN's)."""
        analysis = output.analysis
        terms = {"mse": self.weights.mse * (output.reconstruction - image).square().mean()}
        if self.weights.latent_spread > 0:
            distance = latent_spread_loss(analysis.latent, self.model.levels)
            terms["latent_spread"] = self.weights.latent_spread * distance
        if self.weights.layerwise > 0 and analysis.features:
            distance = layerwise_loss(output.synthesis.features, analysis.features, self.detach_layerwise)
            terms["layerwise"] = self.weights.layerwise * distance
        prediction = output.synthesis.switch_prediction
        if prediction is not None:
            spn_loss = switch_prediction_loss(prediction, analysis.switches[0], analysis.tied[0])
            terms["switch_prediction"] = self.weights.switch_prediction * spn_loss
        return terms

    @torch.no_grad()
    def _remember(self, output: CompressNetOutput) -> None:
        """Keeps what the coding tables are fitted on, the same on all ranks, and logs how it looks."""
        symbols = self.all_gather(output.quantized.symbols.to(torch.uint8))
        self.history.append(symbols.flatten(0, 1) if symbols.ndim == 5 else symbols)
        if self.model.switches == "transmitted" and self.global_step % SWITCH_COUNT_INTERVAL == 1:
            counts = [self.all_gather(count_switches(switches)) for switches in output.analysis.switches]
            self.history.add_switch_counts([count.sum(0) if count.ndim == 3 else count for count in counts])
        if self.global_step % self.trainer.log_every_n_steps != 0:
            return
        levels = torch.bincount(output.quantized.symbols.flatten(), minlength=self.model.levels).float()
        self.log_dict({f"train/level_{index}": share for index, share in enumerate(levels / levels.sum())})
        predicted = output.synthesis.predicted_switches
        if predicted is not None:
            accuracy = switch_accuracy(predicted, output.analysis.switches[0], output.analysis.tied[0])
            self.log("train/switch_accuracy", accuracy)

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self._measure(batch, "val")

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        self._measure(batch, "test")

    def _measure(self, batch: Tensor, stage: str) -> None:
        reconstruction, image = self.reconstruct(batch), 2 * batch - 1
        error = (reconstruction - image).square().mean()
        distortion = self.weights.mse * error
        if self.perceptual is not None and min(image.shape[-2:]) >= self.model.minimum_size:
            distortion = distortion + self.weights.perceptual * self.perceptual(reconstruction, image)
        psnr = 10 * torch.log10(4 / error.clamp(min=1e-10))
        self.log(f"{stage}/psnr", psnr, prog_bar=True, sync_dist=True, batch_size=1)
        self.log(f"{stage}/distortion", distortion, sync_dist=True, batch_size=1)

    @torch.no_grad()
    def reconstruct(self, batch: Tensor) -> Tensor:
        """Images [B, 3, H, W] of any size in [0, 1] -> reconstructions [B, 3, H, W] in [-1, 1], at 256 levels."""
        height, width = batch.shape[-2:]
        padded = pad_to_multiple(2 * batch - 1, self.model.stride, self.model.minimum_size)
        reconstruction = self.model(padded).reconstruction[..., :height, :width]
        return ((reconstruction.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1

    @torch.no_grad()
    def symbols(self, photo: Tensor) -> Latent:
        """One image [1, 3, H, W] in [0, 1] to its symbols, int8 [C, H/16, W/16]."""
        padded = pad_to_multiple(2 * photo - 1, self.model.stride, self.model.minimum_size)
        symbols: Latent = self.model.quantize(self.model.analyze(padded).latent).symbols[0].to(torch.int8).cpu().numpy()
        return symbols

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        latents = self.photo_latents or list(self.history.latents)
        coding = CompressNetCoding.fit(latents, self.history.switch_counts, num_channels=self.model.latent_channels)
        info = {**self.training_info, "steps": self.global_step}
        if info.get("perceptual") != "none":  # what is off by design is no reason for a warning in reports
            info["perceptual_term"] = self.perceptual is not None
        checkpoint["hific"] = checkpoint_entry(self.name, self.model, coding, info)
        checkpoint["symbol_history"] = self.history.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if "symbol_history" in checkpoint:
            self.history.load_state_dict(checkpoint["symbol_history"])

    def _raw_optimizers(self) -> list[Optimizer]:
        optimizers = self.optimizers(use_pl_optimizer=False)
        return optimizers if isinstance(optimizers, list) else [optimizers]  # type: ignore[list-item]

    def _generator(self) -> torch.Generator:
        state = np.random.SeedSequence([self.seed, self.global_step, self.global_rank]).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(state) >> 1)
