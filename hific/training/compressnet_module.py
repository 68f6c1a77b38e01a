"""Training of the CompressNet family: sae, swwae, sae_spn and gc differ in the parts that are passed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hific.codecs.load import checkpoint_entry
from hific.errors import OptionError
from hific.losses.switch_prediction import switch_accuracy
from hific.models.compressnet import CompressNet
from hific.models.outputs import CompressNetOutput
from hific.training.adversarial_module import AdversarialModule
from hific.training.adversary import Adversary
from hific.training.compressnet_coding import (
    fit_compressnet_coding,
    make_compressnet_coding,
    reconstruct_compressnet,
    symbols_of,
)
from hific.training.compressnet_objective import CompressNetObjective
from hific.training.finite import check_finite
from hific.training.fitting import Fitting, Photos
from hific.training.optimization import Optimization
from hific.training.symbol_history import SymbolHistory, count_switches

SWITCH_COUNT_INTERVAL = 16  # counting millions of switches is slow, and one batch in sixteen tells the same


class CompressNetModule(AdversarialModule):
    """One CompressNet, its adversary and its losses.

    Args, besides those of `AdversarialModule`:
        objective: the losses beside the adversary's.
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
        objective: CompressNetObjective,
        adversary: Adversary,
        optimization: Optimization,
        steps: int,
        fitting: Fitting,
        true_switches_until: float = 0.0,
        init_from: str | None = None,
        seed: int = 0,
        history_capacity: int = 1024,
        training_info: Mapping[str, Any] | None = None,
    ) -> None:
        check_compressnet_fitting(fitting)
        if not 0 <= true_switches_until <= 1:
            raise OptionError(f"true_switches_until={true_switches_until} lies in 0..1")
        super().__init__(
            name=name,
            model=model,
            adversary=adversary,
            optimization=optimization,
            steps=steps,
            fitting=fitting,
            init_from=init_from,
            seed=seed,
            training_info=training_info,
        )
        self.objective = objective
        self.true_switches_until = true_switches_until
        self.history = SymbolHistory(history_capacity)

    @property
    def trains_perceptually(self) -> bool:
        return self.objective.perceptual is not None

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        image = (2 * batch - 1).contiguous(memory_format=torch.channels_last)
        self.optimization.set_learning_rates(self.raw_optimizers(), self.progress)
        output: CompressNetOutput = self.model(image, self._true_switch_share())
        image_view, view = self.objective.view(image, output.reconstruction, self.generator())
        terms = self.objective.terms(self.model, image, output) | self.objective.perceptual_terms(image_view, view)
        check_finite(terms, self.global_step)
        if self.adversary.active(self.progress):
            self.step_adversary(image_view, view)
            terms |= self._adversarial_terms(image_view, view)
        self.step_autoencoder(terms)
        self._remember(output)

    def _true_switch_share(self) -> float:
        return max(0.0, 1.0 - self.progress / self.true_switches_until) if self.true_switches_until > 0 else 0.0

    def _adversarial_terms(self, image: Tensor, reconstruction: Tensor) -> dict[str, Tensor]:
        terms = self.adversary.generator_terms(image, reconstruction)
        check_finite(terms, self.global_step)
        return terms

    @torch.no_grad()
    def _remember(self, output: CompressNetOutput) -> None:
        """Keeps what the coding tables are fitted on, the same on all ranks, and logs how it looks."""
        self.history.append(self.of_all_ranks(output.quantized.symbols.to(torch.uint8)).flatten(0, 1))
        if self.model.switches == "transmitted" and self.global_step % SWITCH_COUNT_INTERVAL == 1:
            counts = [self.of_all_ranks(count_switches(switches)) for switches in output.analysis.switches]
            self.history.add_switch_counts([count.sum(0) for count in counts])
        if self.global_step % self.trainer.log_every_n_steps != 0:  # type: ignore[attr-defined]
            return
        levels = torch.bincount(output.quantized.symbols.flatten(), minlength=self.model.levels).float()
        self.log_dict({f"train/level_{index}": share for index, share in enumerate(levels / levels.sum())})
        predicted = output.synthesis.predicted_switches
        if predicted is not None:
            accuracy = switch_accuracy(predicted, output.analysis.switches[0], output.analysis.tied[0])
            self.log("train/switch_accuracy", accuracy)

    def distortion(self, reconstruction: Tensor, batch: Tensor) -> Tensor:
        return self.objective.distortion(reconstruction, batch, self.model.minimum_size)

    def reconstruct(self, batch: Tensor) -> Tensor:
        return reconstruct_compressnet(self.model, batch)

    def fit_coding(self, photos: Photos, num_photos: int) -> None:
        latents = symbols_of(self.model, photos(num_photos))
        coding = make_compressnet_coding(self.model, latents, self.history.switch_counts)
        self.fitted = fit_compressnet_coding(self.fitting, self.model, coding, photos)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.fitted is None:
            latents = list(self.history.latents)
            coding = make_compressnet_coding(self.model, latents, self.history.switch_counts)
        else:
            coding = self.fitted.coding
        checkpoint["hific"] = checkpoint_entry(self.name, self.model, coding, self.checkpoint_info())
        checkpoint["symbol_history"] = self.history.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if "symbol_history" in checkpoint:
            self.history.load_state_dict(checkpoint["symbol_history"])


def check_compressnet_fitting(fitting: Fitting) -> None:
    """Raises OptionError for what is HiFiC's alone."""
    if fitting.postfilter.fit is not None:
        raise OptionError(
            f"postfilter={fitting.postfilter.name} is for HiFiC's images: postfilter=none with this model"
        )
