"""Training of the CompressNet family: sae, swwae, sae_spn and gc differ in the parts that are passed in.

The coding tables are fitted to the symbols of the latest training batches whenever a checkpoint is saved: so every one
can code, the one after Ctrl-C at step 20 too, and without a calibration pass. This history is no module buffer (buffers
that change shape break resuming), but is stored in the checkpoint beside the weights.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hific.codecs.latent_coding import LatentCoding
from hific.codecs.load import checkpoint_entry
from hific.errors import OptionError
from hific.fitting.coding import Fitting, Photos, fit_channel_tables, fit_over
from hific.losses.auxiliary import switch_accuracy
from hific.models.compressnet import CompressNet, CompressNetOutput
from hific.ops.images import pad_to_multiple
from hific.training.adversarial_module import AdversarialModule, Part, Terms
from hific.training.adversary import Adversary
from hific.training.coding_module import to_256_levels
from hific.training.objectives import CompressNetObjective, Share
from hific.training.optimization import Optimization, check_finite
from hific.training.speed import PLAIN, Speed

Latent = npt.NDArray[np.int8]
"""Symbols of one image, [C, h, w]."""
SwitchCounts = list[npt.NDArray[np.int64]]


class SymbolHistory:
    """The last `capacity` latents as int8 [C, h, w] symbols, and how often each switch occurred.

    Under DDP every rank appends the gathered symbols of all ranks, and so all ranks hold the same history.
    """

    def __init__(self, capacity: int = 1024) -> None:
        self.latents: deque[Latent] = deque(maxlen=capacity)
        self.switch_counts: SwitchCounts | None = None

    def append(self, symbols: Tensor) -> None:
        """Adds a batch of symbols, int [B, C, h, w]."""
        self.latents.extend(symbols.to(torch.int8).cpu().numpy())

    def add_switch_counts(self, counts: list[Tensor]) -> None:
        """Adds int64 counts [k, 4], a tensor a scale."""
        arrays = [count.cpu().numpy() for count in counts]
        self.switch_counts = (
            arrays
            if self.switch_counts is None
            else [old + new for old, new in zip(self.switch_counts, arrays, strict=True)]
        )

    def state_dict(self) -> dict[str, Any]:
        """Tensors and lists only, so that it loads with `weights_only=True`."""
        return {
            "latents": [torch.from_numpy(latent.copy()) for latent in self.latents],
            "switch_counts": None if self.switch_counts is None else [torch.from_numpy(c) for c in self.switch_counts],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.latents.clear()
        self.latents.extend(latent.numpy() for latent in state["latents"])
        counts = state["switch_counts"]
        self.switch_counts = None if counts is None else [count.numpy() for count in counts]


def count_switches(switches: Tensor) -> Tensor:
    """[B, k, h, w] with values 0..3 -> how often each occurs in each channel, int64 [k, 4]."""
    return torch.stack([(switches == place).sum(dim=(0, 2, 3)) for place in range(4)], dim=1)


FACTS = LEVEL, ACCURACY = "level_", "switch_accuracy"
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
    objective: CompressNetObjective

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
        speed: Speed = PLAIN,
        history_capacity: int = 1024,
        training_info: Mapping[str, Any] | None = None,
    ) -> None:
        if not 0 <= true_switches_until <= 1:
            raise OptionError(f"true_switches_until={true_switches_until} must be in 0..1")
        super().__init__(
            name=name,
            model=model,
            objective=objective,
            adversary=adversary,
            optimization=optimization,
            steps=steps,
            fitting=fitting,
            init_from=init_from,
            seed=seed,
            speed=speed,
            training_info=training_info,
        )
        self.true_switches_until = true_switches_until
        self.history = SymbolHistory(history_capacity)

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        image = self.speed.laid_out(2 * batch - 1)
        self.optimization.set_learning_rates(self.raw_optimizers(), self.progress)
        if self.adversary.active(self.progress) and self.speed.accumulate > 1:
            self.step_adversary(*self._view_without_gradient(image))
        is_logged = (self.global_step + 1) % self.trainer.log_every_n_steps == 0  # type: ignore[attr-defined]
        means = self.step_autoencoder(self._parts(image, is_logged))
        if is_logged:
            self.log_dict({f"train/{name}": mean for name, mean in means.items() if name.startswith(FACTS)})

    def _parts(self, image: Tensor, is_logged: bool) -> Iterator[Part]:
        for some, share in self.parts_of(image):
            output: CompressNetOutput = self.model(some, self._true_switch_share(share))
            image_view, view = self.objective.view(some, output.reconstruction, self.generator())
            terms = self.objective.terms(self.model, some, output) | self.objective.perceptual_terms(image_view, view)
            if self.adversary.active(self.progress):
                if self.speed.accumulate == 1:
                    check_finite(terms, self.global_step)
                    self.step_adversary(image_view, view)
                terms |= self.adversary.generator_terms(image_view, view)
            self._remember(output)
            yield terms, self._facts(output) if is_logged else {}

    @torch.no_grad()
    def _view_without_gradient(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """All images and reconstructions as the adversary sees them, computed in parts."""
        parts = self.parts_of(image)
        found = [self.model(some, self._true_switch_share(share)).reconstruction for some, share in parts]
        return self.objective.view(image, torch.cat(found), self.generator())

    def _true_switch_share(self, share: Share) -> float:
        """The first images of the batch of all ranks are decoded with the encoder's switches."""
        of_all = round(self._true_switch_share_of_all() * share.total)
        return min(max(of_all - share.first, 0), share.count) / share.count

    def _true_switch_share_of_all(self) -> float:
        return max(0.0, 1.0 - self.progress / self.true_switches_until) if self.true_switches_until > 0 else 0.0

    @torch.no_grad()
    def _remember(self, output: CompressNetOutput) -> None:
        """Keeps what the coding tables are fitted on, the same on all ranks."""
        self.history.append(self.of_all_ranks(output.quantized.symbols.to(torch.uint8)).flatten(0, 1))
        if self.model.switches == "transmitted" and self.global_step % SWITCH_COUNT_INTERVAL == 0:
            counts = [self.of_all_ranks(count_switches(switches)) for switches in output.analysis.switches]
            self.history.add_switch_counts([count.sum(0) for count in counts])

    @torch.no_grad()
    def _facts(self, output: CompressNetOutput) -> Terms:
        """How symbols and switches look."""
        levels = torch.bincount(output.quantized.symbols.flatten(), minlength=self.model.levels).float()
        facts = {f"{LEVEL}{index}": share for index, share in enumerate(levels / levels.sum())}
        predicted = output.synthesis.predicted_switches
        if predicted is not None:
            facts[ACCURACY] = switch_accuracy(predicted, output.analysis.switches[0], output.analysis.tied[0])
        return facts

    @torch.no_grad()
    def reconstruct(self, batch: Tensor) -> Tensor:
        height, width = batch.shape[-2:]
        padded = pad_to_multiple(2 * batch - 1, self.model.stride, self.model.minimum_size)
        return to_256_levels((self.model(padded).reconstruction[..., :height, :width] + 1) / 2)

    @torch.no_grad()
    def fit_coding(self, photos: Photos, num_photos: int) -> None:
        coding = self._tables([self.symbols(photo) for photo in photos(num_photos)])
        self.fitted = fit_over(self.model.eval(), coding, self.fitting, photos)

    @torch.no_grad()
    def symbols(self, photo: Tensor) -> Latent:
        """One image [1, 3, H, W] in [0, 1] to its symbols, int8 [C, H/16, W/16] of 0 to 4."""
        padded = pad_to_multiple(2 * photo - 1, self.model.stride, self.model.minimum_size)
        quantized = self.model.quantize(self.model.analyze(padded, note_switches=False).latent)
        found: Latent = quantized.symbols[0].to(torch.int8).cpu().numpy()
        return found

    def _tables(self, latents: Sequence[Latent]) -> LatentCoding:
        return fit_channel_tables(latents, self.history.switch_counts, num_channels=self.model.latent_channels)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        coding = self._tables(list(self.history.latents)) if self.fitted is None else self.fitted.coding
        checkpoint["hific"] = checkpoint_entry(self.name, self.model, coding, self.checkpoint_info())
        checkpoint["symbol_history"] = self.history.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if "symbol_history" in checkpoint:
            self.history.load_state_dict(checkpoint["symbol_history"])
