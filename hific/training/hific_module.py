"""Training of HiFiC in two stages (Mentzer et al. 2020, section 4; hific_xgboost, section 3).

Stage 1: rate, MSE and LPIPS. Stage 2 adds the adversary, from stage 1's weights, with fresh optimizers and schedules.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from hific.codecs.hific import latent_coding
from hific.codecs.latent_refinement import MSE_WEIGHT
from hific.codecs.load import checkpoint_entry
from hific.fitting.coding import Fitting, Photos, fit_activation_ranges, fit_over
from hific.losses.rate_target import RateTarget
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder, HyperpriorOutput
from hific.ops.images import pad_to_multiple
from hific.ops.ranks import mean_over_ranks
from hific.training.adversarial_module import AdversarialModule, Part
from hific.training.adversary import Adversary
from hific.training.beginnings import Initialization
from hific.training.coding_module import to_256_levels
from hific.training.objectives import HificDistortion
from hific.training.optimization import ExponentialAverage, Optimization, Stages
from hific.training.speed import PLAIN, Speed

ERROR, NOISY_BPP = "squared_error", "estimated_bpp_noisy"


class HificModule(AdversarialModule):
    """One HiFiC and its adversary, in one resumable run.

    Args, besides those of `AdversarialModule`:
        objective: the distortion that both stages train on.
        rate_target: lambda' of the rate; see losses/rate_target.py.
        stages: batches of both; stage 2 alone starts from `init_from`.
        initialization: of the untrained networks.
        freeze_analysis: in stage 2 only the synthesis and D learn: files keep the stream they had after stage 1.
        ema_decay: of an average of the synthesis's weights, which then is what files are decoded with; 0 for none.

    Schedules, warm-up and fresh optimizers are a matter of a stage's own progress, counted in batches. From stage 2 on
    batches hold twice as many images: every second one is the discriminator's own, so that ranks part a batch as one
    rank does.
    """

    model: HyperpriorAutoencoder
    objective: HificDistortion

    def __init__(
        self,
        *,
        name: str,
        model: HyperpriorAutoencoder,
        objective: HificDistortion,
        rate_target: RateTarget,
        adversary: Adversary,
        optimization: Optimization,
        stages: Stages,
        initialization: Initialization,
        fitting: Fitting,
        init_from: str | None = None,
        freeze_analysis: bool = False,
        ema_decay: float = 0.0,
        seed: int = 0,
        speed: Speed = PLAIN,
        training_info: Mapping[str, Any] | None = None,
    ) -> None:
        initialization.prepare(model)
        super().__init__(
            name=name,
            model=model,
            objective=objective,
            adversary=adversary,
            optimization=optimization,
            steps=stages.total,
            fitting=fitting,
            init_from=init_from,
            seed=seed,
            speed=speed,
            training_info=training_info,
        )
        self.rate_target = rate_target
        self.stages, self.initialization = stages, initialization
        self.freeze_analysis = freeze_analysis
        self.ema = ExponentialAverage(self.model.synthesis, ema_decay) if ema_decay else None

    @property
    def all_weights_learn(self) -> bool:
        return not self.freeze_analysis

    def parameter_groups(self) -> list[dict[str, Any]]:
        return self.model.parameter_groups(self.optimization.hyperprior_lr_factor)

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
        return {**super().fixed_on_resume, "stage1_steps": self.stages.stage1_steps}

    @property
    def milestones(self) -> dict[int, str]:
        has_both = self.stages.stage1_steps and self.stages.stage2_steps
        return {self.stages.stage1_steps: "stage1.ckpt"} if has_both else {}

    @property
    def is_comparable(self) -> bool:
        # Stage 2 gives up some distortion for what the adversary asks: stage 1 would always win.
        return self.stages.learned_in_last(self.global_step)

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        self._begin_batch()
        image, image_of_d = (None if some is None else self.speed.laid_out(some) for some in self._split(batch))
        if image_of_d is not None and self.adversary.enabled:
            self._step_adversary_on(image_of_d)
        assert image is not None
        means = self.step_autoencoder(self._parts(image))
        self.log("train/psnr", -10 * torch.log10(means[ERROR].clamp(min=1e-10)))
        self.log("train/estimated_bpp_noisy", means[NOISY_BPP])
        self._end_batch()

    def _begin_batch(self) -> None:
        if self.global_step == self.stages.stage1_steps:
            self._begin_stage2()
        self.optimization.set_learning_rates(self.raw_optimizers(), self.stage_progress)
        for network in (self.model.mean_synthesis, self.model.scale_synthesis):
            network.forget_activation_range()

    def _parts(self, image: Tensor) -> Iterator[Part]:
        rate_weight = None if self.speed.accumulate == 1 else self._rate_weight(self._quantized_bpp(image))
        for some, share in self.parts_of(image):
            output: HyperpriorOutput = self.model(some, self.generators(share))
            if rate_weight is None:
                rate_weight = self._rate_weight(output.estimated_bpp_quantized)
            terms = self.objective.terms(output.reconstruction, some, self.model.stride, self.generator(), share)
            terms["rate"] = rate_weight * output.estimated_bpp_noisy
            if self.stage == 2 and self.adversary.enabled:
                # The paper's beta; images in [-1, 1] for D.
                terms |= self.adversary.generator_terms(2 * some - 1, 2 * output.reconstruction - 1, output.latent_hat)
            error = (output.reconstruction.detach() - some).square().mean()
            yield terms, {ERROR: error, NOISY_BPP: output.estimated_bpp_noisy}

    def _quantized_bpp(self, image: Tensor) -> Tensor:
        """Of all parts, before the first of them is trained on: the rate's weight is one for all."""
        with self._eval_mode():
            bits = [self.model.quantized_bits(self.model.analyze(some)) for some, _ in self.parts_of(image)]
        return torch.stack(bits).sum() / (image.shape[0] * image.shape[2] * image.shape[3])

    def _begin_stage2(self) -> None:
        """Forgets stage 1's optimizer moments and learning rates."""
        rank_zero_info("stage 2 of 2: with the adversary, fresh optimizers and schedules")
        for optimizer in self.raw_optimizers():
            optimizer.state.clear()
            optimizer.zero_grad()
        if self.ema is not None:
            self.ema.restart(self.model.synthesis)

    def _split(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        """The auto-encoder's images, and from stage 2 on as many for the discriminator alone."""
        if self.stage == 1:
            return image, None
        return image[0::2], image[1::2]

    def _end_batch(self) -> None:
        """Averages of the weights, and the largest activations of all ranks, so that each would save the same."""
        if self.ema is not None:
            self.ema.update(self.model.synthesis)
        if self.trainer.world_size > 1:
            for network in (self.model.mean_synthesis, self.model.scale_synthesis):
                network.activation_range.copy_(self.of_all_ranks(network.activation_range).amax(0))

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if self.freeze_analysis:
            for part in self.model.stream_parts:
                part.requires_grad_(self.stage == 1)
        self._keep_frozen_in_eval_mode()

    def _keep_frozen_in_eval_mode(self) -> None:
        """Statistics and activation ranges of frozen parts stay too: their files keep the stream of stage 1."""
        if self._is_frozen:
            for part in self.model.stream_parts:
                part.eval()

    @property
    def _is_frozen(self) -> bool:
        return self.freeze_analysis and self.stage == 2

    @property
    def _decoder(self) -> nn.Module:
        """The synthesis that files are decoded with."""
        return self.model.synthesis if self.ema is None else self.ema.average

    def _step_adversary_on(self, image: Tensor) -> None:
        """D's step, before and on other images than the auto-encoder's."""
        with self._eval_mode():
            latent = self.model.analyze(image)
            latent_hat = self.model.quantize(latent, self.model.predict(latent))
            reconstruction = self.model.synthesize(latent_hat)
        self.step_adversary(2 * image - 1, 2 * reconstruction - 1, latent_hat)

    @contextmanager
    def _eval_mode(self) -> Iterator[None]:
        """The auto-encoder in use: no gradient, no running statistics, no activation ranges."""
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.model.train(was_training)
            self._keep_frozen_in_eval_mode()

    def _rate_weight(self, quantized_bpp: Tensor) -> Tensor:
        """lambda' of the noisy rate, by the quantized rate of all ranks' images."""
        quantized_bpp = mean_over_ranks(quantized_bpp)
        rate_weight = self.rate_target.weight(quantized_bpp, self.stage_progress)
        self.log("train/estimated_bpp_quantized", quantized_bpp, prog_bar=True)
        self.log("train/rate_weight", rate_weight)
        return rate_weight

    @torch.no_grad()
    def measure(self, batch: Tensor, stage: str) -> Tensor:
        reconstruction, bits = self._code(batch)
        rate = bits / (batch.shape[0] * batch.shape[-2] * batch.shape[-1])  # over the unpadded pixels
        self.log_quality(reconstruction, batch, stage, self.rate_target.lambda_a * rate)
        self.log_photo(f"{stage}/estimated_bpp", rate, prog_bar=True)
        return reconstruction

    def reconstruct(self, batch: Tensor) -> Tensor:
        return self._code(batch)[0]

    @torch.no_grad()
    def _code(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstructions at 256 levels, in [0, 1], and the estimated bits of all of them."""
        height, width = batch.shape[-2:]
        latent = self.model.analyze(pad_to_multiple(batch, self.model.stride, self.model.minimum_size))
        hyperprior = self.model.predict(latent)
        decoded = self._decoder(self.model.quantize(latent, hyperprior)).float()
        return to_256_levels(decoded[..., :height, :width]), self.model.quantized_bits(latent, hyperprior)

    def fit_coding(self, photos: Photos, num_photos: int) -> None:
        with self._eval_mode():
            if not self._is_frozen:
                fit_activation_ranges(self.model, photos(num_photos))
            self.fitted = fit_over(self._file_model, latent_coding(self.model), self.fitting, photos)

    @property
    def _file_model(self) -> HyperpriorAutoencoder:
        """The model that files are coded and decoded with: the averaged synthesis in place of the trained one."""
        model = copy.copy(self.model)
        model._modules = {**self.model._modules, "synthesis": self._decoder}
        return model.eval()

    def checkpoint_info(self) -> dict[str, Any]:
        info = {**super().checkpoint_info(), "target_bpp": self.rate_target.target_bpp}
        if self.rate_target.average_weight is not None and self.objective.weights.mse > 0:
            # Beside the paper's k_M, whatever this training's is.
            price = float(self.rate_target.average_weight) / self.objective.weights.mse
            info["rate_weight"] = price * MSE_WEIGHT
        return info

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        weights = self.model.state_dict()
        if self.ema is not None:
            weights |= {f"synthesis.{name}": value for name, value in self.ema.average.state_dict().items()}
        coding = latent_coding(self.model) if self.fitted is None else self.fitted.coding
        checkpoint["hific"] = checkpoint_entry(self.name, self.model, coding, self.checkpoint_info(), weights)
        checkpoint["rate_target"] = self.rate_target.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.rate_target.load_state_dict(checkpoint.get("rate_target", {}))
