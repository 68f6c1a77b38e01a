"""Training of the CompressNet family: sae, swwae, sae_spn and gc differ in the parts that are passed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hific.codecs.compressnet_coding import CompressNetCoding, centered_tables, channel_ids
from hific.codecs.load import checkpoint_entry
from hific.context.fit_neighbors import NeighborFit, TrainingLatent
from hific.context.neighbor_model import NeighborModel
from hific.losses.latent_spread import latent_spread_loss
from hific.losses.layerwise import layerwise_loss
from hific.losses.perceptual import FrozenFeatureLoss
from hific.losses.phase_pattern import phase_pattern_loss
from hific.losses.switch_prediction import switch_accuracy, switch_prediction_loss
from hific.models.compressnet import CompressNet
from hific.models.outputs import CompressNetOutput
from hific.ops.geometry import pad_to_multiple, shifted_crop
from hific.training.adversarial_module import AdversarialModule, OptimizerFactory, to_256_levels
from hific.training.adversary import Adversary
from hific.training.finite import check_finite
from hific.training.predictors import Predictors, share_of_rank
from hific.training.schedule import Schedule
from hific.training.symbol_history import Latent, SymbolHistory, count_switches

SWITCH_COUNT_INTERVAL = 16  # counting millions of switches is slow, and one batch in sixteen tells the same


@dataclass(frozen=True)
class LossWeights:
    """Weights of equation 3 beside the adversary's own; images in [-1, 1], every term a mean over elements.

    mse: lambda_MSE; perceptual: lambda_p; layerwise: lambda_S; switch_prediction: the SPN's own loss; latent_spread,
    phase_pattern: not in the paper, see losses/.
    """

    mse: float = 1.0
    perceptual: float = 5.0
    layerwise: float = 1.0
    switch_prediction: float = 1.0
    latent_spread: float = 1.0
    phase_pattern: float = 0.0


class CompressNetModule(AdversarialModule):
    """One CompressNet, its adversary and its losses.

    Args, besides those of `AdversarialModule`:
        view_shift: pixels by which what the perceptual term and the adversary see is moved at random
            (ops/geometry.py).
        true_switches_until: share of training over which sae_spn's decoder goes from the encoder's switches for all
            images of a batch to predicted ones for all; 0 trains on predicted switches only.
        history_capacity: latents of training crops that the coding tables of checkpoints on the way are fitted on.
    """

    model: CompressNet

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
        base_checkpoint: str | None = None,
        coding: str = "none",
        neighbor: NeighborFit | None = None,
        seed: int = 0,
        history_capacity: int = 1024,
        training_info: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            name=name,
            model=model,
            adversary=adversary,
            perceptual=perceptual,
            optimizer=optimizer,
            discriminator_optimizer=discriminator_optimizer,
            schedule=schedule,
            gradient_clip=gradient_clip,
            init_from=init_from,
            base_checkpoint=base_checkpoint,
            predictors=Predictors(neighbor, coding),
            seed=seed,
            training_info=training_info,
        )
        self.weights = weights
        self.view_shift = view_shift
        self.detach_layerwise = detach_layerwise
        self.true_switches_until = true_switches_until
        self.history = SymbolHistory(history_capacity)
        self.photo_latents: list[Latent] = []
        self.neighbor_model: NeighborModel | None = None

    def on_train_start(self) -> None:
        self.photo_latents, self.neighbor_model = [], None  # of an earlier training's end

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        image = (2 * batch - 1).contiguous(memory_format=torch.channels_last)
        self.set_learning_rates(self.progress)
        output = self.model(image, self._true_switch_share())
        view, image_view = shifted_crop((output.reconstruction, image), self.view_shift, self.generator())
        terms = self._distortion_terms(image, output)
        if self.perceptual is not None:
            terms["perceptual"] = self.weights.perceptual * self.perceptual(view, image_view)
        check_finite(terms, self.global_step)
        if self.adversary.active(self.progress):
            self.step_discriminator(image_view, view)
            adversarial = self.adversary.generator_terms(image_view, view)
            check_finite(adversarial, self.global_step)
            terms |= adversarial
        self.step_autoencoder(terms)
        self._remember(output)

    def _true_switch_share(self) -> float:
        return max(0.0, 1.0 - self.progress / self.true_switches_until) if self.true_switches_until > 0 else 0.0

    def _distortion_terms(self, image: Tensor, output: CompressNetOutput) -> dict[str, Tensor]:
        """The weighted terms that need more than a view of the image (equation 3, and the SPN's)."""
        analysis = output.analysis
        terms = {"mse": self.weights.mse * (output.reconstruction - image).square().mean()}
        if self.weights.latent_spread > 0:
            distance = latent_spread_loss(analysis.latent, self.model.levels)
            terms["latent_spread"] = self.weights.latent_spread * distance
        if self.weights.phase_pattern > 0:
            distance = phase_pattern_loss(output.reconstruction, image, self.model.stride)
            terms["phase_pattern"] = self.weights.phase_pattern * distance
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

    def distortion(self, reconstruction: Tensor, batch: Tensor) -> Tensor:
        x_hat, x = 2 * reconstruction - 1, 2 * batch - 1
        total = self.weights.mse * (x_hat - x).square().mean()
        if self.perceptual is not None and min(batch.shape[-2:]) >= self.model.minimum_size:
            total = total + self.weights.perceptual * self.perceptual(x_hat, x)
        return total

    @torch.no_grad()
    def reconstruct(self, batch: Tensor) -> Tensor:
        height, width = batch.shape[-2:]
        padded = pad_to_multiple(2 * batch - 1, self.model.stride, self.model.minimum_size)
        reconstruction = self.model(padded).reconstruction[..., :height, :width]
        return to_256_levels((reconstruction + 1) / 2)

    def fit_coding(self, photos: Iterable[Tensor]) -> None:
        self.photo_latents = [self.symbols(photo) for photo in photos]
        if self.predictors.neighbor is not None:
            coding, channels = self._coding(), self.model.latent_channels
            middle = coding.static_tables.shape[1] // 2
            latents = [
                TrainingLatent(latent.astype(np.int16) - middle, channel_ids(latent.shape))
                for latent in share_of_rank(self.photo_latents)
            ]
            fit = partial(self.predictors.neighbor, tables=centered_tables(coding.static_tables), num_channels=channels)
            self.neighbor_model = self.predictors.fit(fit, latents)

    @torch.no_grad()
    def symbols(self, photo: Tensor) -> Latent:
        """One image [1, 3, H, W] in [0, 1] to its symbols, int8 [C, H/16, W/16]."""
        padded = pad_to_multiple(2 * photo - 1, self.model.stride, self.model.minimum_size)
        symbols: Latent = self.model.quantize(self.model.analyze(padded).latent).symbols[0].to(torch.int8).cpu().numpy()
        return symbols

    def _coding(self) -> CompressNetCoding:
        if self.base is not None:
            assert isinstance(self.base.coding_tables, CompressNetCoding)
            return self.base.coding_tables
        latents = self.photo_latents or list(self.history.latents)
        return CompressNetCoding.fit(latents, self.history.switch_counts, num_channels=self.model.latent_channels)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        coding = replace(self._coding(), neighbor=self.neighbor_model)
        checkpoint["hific"] = checkpoint_entry(self.name, self.model, coding, self.checkpoint_info())
        checkpoint["symbol_history"] = self.history.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if "symbol_history" in checkpoint:
            self.history.load_state_dict(checkpoint["symbol_history"])
