"""Training of HiFiC in two stages (Mentzer et al. 2020, section 4; hific_xgboost, section 3).

Stage 1: rate, MSE and LPIPS. Stage 2 adds the adversary, from stage 1's weights, with fresh optimizers and schedules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from hific.codecs.hyperprior_coding import HyperpriorCoding
from hific.codecs.load import checkpoint_entry
from hific.context.fit_neighbors import NeighborFit
from hific.context.fit_refinement import RefinementFit
from hific.losses.perceptual import FrozenFeatureLoss
from hific.losses.rate_target import RateTarget
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.models.outputs import HyperpriorOutput
from hific.ops.geometry import pad_to_multiple, shifted_crop
from hific.training.adversarial_module import AdversarialModule, OptimizerFactory, to_256_levels
from hific.training.adversary import Adversary
from hific.training.distortion_weights import DistortionWeights
from hific.training.ema import ExponentialAverage
from hific.training.finite import check_finite
from hific.training.fit_hific_coding import fit_peaks, refinement_patches, training_latents
from hific.training.predictors import Predictors
from hific.training.schedule import Schedule
from hific.training.stages import Stages


class HificModule(AdversarialModule):
    """One HiFiC and its adversary, in one resumable run.

    Args, besides those of `AdversarialModule`:
        rate_target: lambda' of the rate; see losses/rate_target.py.
        stage1_steps, stage2_steps: batches; 0 leaves a stage out (stage 2 alone starts from `init_from`).
        freeze_analysis: in stage 2 only the synthesis and D learn: files keep the stream they had after stage 1.
        ema_decay: of an average of the synthesis's weights, which then is what files are decoded with; 0 for none.
        compile: analysis and synthesis by torch.compile.
        perceptual_samples: images of each batch that the perceptual term looks at; None for all.
        hyperprior_lr_factor: of the hyperprior's learning rate; what is coded changes faster than it follows.
        view_shift: pixels by which what it sees is moved at random (ops/geometry.py): judged at one offset only, a
            network learns to hide errors there, as a grid.

    Schedules, warm-up and fresh optimizers are a matter of a stage's own progress, counted in batches. From stage 2 on
    batches hold twice as many images: the second half is the discriminator's own.
    """

    model: HyperpriorAutoencoder

    def __init__(
        self,
        *,
        name: str,
        model: HyperpriorAutoencoder,
        adversary: Adversary,
        weights: DistortionWeights,
        rate_target: RateTarget,
        perceptual: FrozenFeatureLoss | None,
        optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory,
        schedule: Schedule,
        stage1_steps: int,
        stage2_steps: int,
        freeze_analysis: bool = False,
        ema_decay: float = 0.0,
        compile: bool = False,
        perceptual_samples: int | None = None,
        view_shift: int = 16,
        gradient_clip: float = 1.0,
        hyperprior_lr_factor: float = 1.0,
        init_from: str | None = None,
        base_checkpoint: str | None = None,
        coding: str = "none",
        neighbor: NeighborFit | None = None,
        refine: str = "none",
        refinement: RefinementFit | None = None,
        seed: int = 0,
        training_info: Mapping[str, Any] | None = None,
    ) -> None:
        stages = Stages(stage1_steps, stage2_steps, over_base=base_checkpoint is not None)
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
            predictors=Predictors(neighbor, coding, refinement, refine),
            seed=seed,
            training_info=training_info,
        )
        self.weights, self.rate_target = weights, rate_target
        self.stages = stages
        self.freeze_analysis = freeze_analysis
        self.perceptual_samples = perceptual_samples
        self.view_shift = view_shift
        self.hyperprior_lr_factor = hyperprior_lr_factor
        self.fitted_coding: HyperpriorCoding | None = None
        self.ema = ExponentialAverage(self.model.synthesis, ema_decay) if ema_decay else None
        if compile:
            self.model.analysis.compile()
            self.model.synthesis.compile()

    def parameter_groups(self) -> list[dict[str, Any]]:
        return self.model.parameter_groups(self.hyperprior_lr_factor)

    @property
    def stage(self) -> int:
        """1 or 2: which the batch at hand belongs to."""
        return self.stages.number(self.global_step)

    @property
    def stage_progress(self) -> float:
        """Share of the stage that is done; never reaches 1 in it."""
        return self.stages.progress(self.global_step)

    @property
    def fixed_on_resume(self) -> dict[str, Any]:
        return {**super().fixed_on_resume, "stage1_steps": self.stages.first}

    @property
    def milestones(self) -> dict[int, str]:
        return {self.stages.first: "stage1.ckpt"} if self.stages.first and self.stages.second else {}

    def on_train_start(self) -> None:
        self.fitted_coding = None  # of an earlier training's end

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        if self.global_step == self.stages.first:
            self._begin_stage2()
        self.set_learning_rates(self.stage_progress)
        generator = self.generator()
        image = batch.contiguous(memory_format=torch.channels_last)
        if self.stage == 2:
            image, image_of_d = image.chunk(2)
            if self.adversary.enabled:
                self._step_discriminator_on(image_of_d)
        output: HyperpriorOutput = self.model(image, generator)
        terms = self._distortion_terms(image, output, generator) | self._rate_term(output)
        if self.stage == 2 and self.adversary.enabled:
            # The paper's beta; images in [-1, 1] for D.
            terms |= self.adversary.generator_terms(2 * image - 1, 2 * output.reconstruction - 1, output.latent_hat)
        check_finite(terms, self.global_step)
        self.step_autoencoder(terms)
        if self.ema is not None:
            self.ema.update(self.model.synthesis)
        self._share_peaks()

    def _begin_stage2(self) -> None:
        """Forgets stage 1's optimizer moments and learning rates."""
        rank_zero_info("stage 2 of 2: with the adversary, fresh optimizers and schedules")
        for optimizer in self.raw_optimizers():
            optimizer.state.clear()
            optimizer.zero_grad()
        if self.ema is not None:
            self.ema.restart(self.model.synthesis)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if self.freeze_analysis:
            for part in self.model.stream_parts:
                part.requires_grad_(self.stage == 1)
        self._rest_what_is_frozen()

    def _rest_what_is_frozen(self) -> None:
        """Statistics and peaks of frozen parts stay too: their files keep the stream of stage 1."""
        if self._is_frozen:
            for part in self.model.stream_parts:
                part.eval()

    @property
    def _is_frozen(self) -> bool:
        return self.freeze_analysis and self.stage == 2

    def _step_discriminator_on(self, image: Tensor) -> None:
        """D's step, before and on other images than the auto-encoder's."""
        with self._at_rest():
            latent = self.model.analyze(image)
            latent_hat = self.model.quantize(latent, self.model.predict(latent))
            reconstruction = self.model.synthesize(latent_hat)
        self.step_discriminator(2 * image - 1, 2 * reconstruction - 1, latent_hat)

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        """The auto-encoder in use: no gradient, no running statistics, no peaks."""
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.model.train(was_training)
            self._rest_what_is_frozen()

    def _distortion_terms(
        self, image: Tensor, output: HyperpriorOutput, generator: torch.Generator
    ) -> dict[str, Tensor]:
        error = (output.reconstruction - image).square().mean()
        flaws = self.weights.of_flaws(output.reconstruction, image, self.model.stride)
        terms = {"mse": self.weights.of_mse(error), **flaws}
        if self.perceptual is not None and self.weights.perceptual > 0:
            some = slice(self.perceptual_samples)
            x_hat, x = shifted_crop((output.reconstruction[some], image[some]), self.view_shift, generator)
            terms["perceptual"] = self.weights.perceptual * self.perceptual(2 * x_hat - 1, 2 * x - 1)
        self.log("train/psnr", -10 * torch.log10(error.detach().clamp(min=1e-10)))
        return terms

    def _rate_term(self, output: HyperpriorOutput) -> dict[str, Tensor]:
        """lambda' times the noisy rate; lambda' goes by the quantized rate of all ranks' images."""
        quantized_bpp = self.trainer.strategy.reduce(output.estimated_bpp_quantized, reduce_op="mean")
        assert isinstance(quantized_bpp, Tensor)
        rate_weight = self.rate_target.weight(quantized_bpp, self.stage_progress)
        self.log("train/estimated_bpp_quantized", quantized_bpp, prog_bar=True)
        self.log("train/estimated_bpp_noisy", output.estimated_bpp_noisy.detach())
        self.log("train/rate_weight", rate_weight)
        return {"rate": rate_weight * output.estimated_bpp_noisy}

    def _share_peaks(self) -> None:
        """The largest activations of all ranks, so that every rank would save the same integer networks."""
        if self.trainer.world_size > 1:
            for network in (self.model.mean_synthesis, self.model.scale_synthesis):
                network.peaks = self.all_gather(network.peaks).amax(0)

    @torch.no_grad()
    def measure(self, batch: Tensor, stage: str, weighted_rate: float | Tensor = 0.0) -> None:
        padded = pad_to_multiple(batch, self.model.stride, self.model.minimum_size)
        bits = self.model.quantized_bits(self.model.analyze(padded))  # over the unpadded pixels:
        rate = bits / (batch.shape[0] * batch.shape[-2] * batch.shape[-1])
        super().measure(batch, stage, weighted_rate + self.rate_target.lambda_a * rate)
        self.log(f"{stage}/estimated_bpp", rate, prog_bar=True, sync_dist=True, batch_size=1)

    def distortion(self, reconstruction: Tensor, batch: Tensor) -> Tensor:
        total = self.weights.of_mse((reconstruction - batch).square().mean())
        if self.perceptual is not None and self.weights.perceptual > 0 and min(batch.shape[-2:]) >= 32:
            total = total + self.weights.perceptual * self.perceptual(2 * reconstruction - 1, 2 * batch - 1)
        return total

    @torch.no_grad()
    def reconstruct(self, batch: Tensor) -> Tensor:
        height, width = batch.shape[-2:]
        padded = pad_to_multiple(batch, self.model.stride, self.model.minimum_size)
        latent = self.model.analyze(padded)
        latent_hat = self.model.quantize(latent, self.model.predict(latent))
        synthesis = self.model.synthesis if self.ema is None else self.ema.average
        return to_256_levels(synthesis(latent_hat).float()[..., :height, :width])

    def fit_coding(self, photos: Iterable[Tensor]) -> None:
        """Takes the ranges of the hyper-syntheses' activations from whole photos: crops know too much of borders. Then
        the neighbor predictor, from the symbols that these lead to, and the refinement, from reconstructions.
        """
        with self._at_rest():
            if not self._is_frozen and self.base is None:
                fit_peaks(self.model, photos)
            coding = self._coding()
            made_by = self.predictors
            if made_by.neighbor is not None:
                latents = training_latents(self.model, coding, photos)
                fit = partial(made_by.neighbor, tables=coding.latent_tables, num_channels=self.model.latent_channels)
                coding = replace(coding, neighbor=made_by.fit(fit, latents))
            if made_by.refinement is not None:
                patches = refinement_patches(made_by.refinement, self.reconstruct, photos)
                coding = replace(coding, refinement=made_by.fit(made_by.refinement, patches))
            self.fitted_coding = coding

    def _coding(self) -> HyperpriorCoding:
        if self.base is None:
            return HyperpriorCoding.from_model(self.model)
        assert isinstance(self.base.coding_tables, HyperpriorCoding)
        return self.base.coding_tables

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        weights = self.model.state_dict()
        if self.ema is not None:
            weights |= {f"synthesis.{name}": value for name, value in self.ema.average.state_dict().items()}
        coding = self.fitted_coding or self._coding()
        checkpoint["hific"] = checkpoint_entry(self.name, self.model, coding, self.checkpoint_info(), weights)
        checkpoint["rate_target"] = self.rate_target.state_dict()
        checkpoint["peaks"] = [self.model.mean_synthesis.peaks, self.model.scale_synthesis.peaks]

    def take_over(self, checkpoint: dict[str, Any]) -> None:
        if "peaks" in checkpoint:
            self.model.mean_synthesis.peaks, self.model.scale_synthesis.peaks = checkpoint["peaks"]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.take_over(checkpoint)
        self.rate_target.load_state_dict(checkpoint.get("rate_target", {}))
