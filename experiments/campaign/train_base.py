"""Trains the one model that low, medium and high begin from: all rates at once (models/variable_rate.py).

    python -m experiments.campaign.train_base --run RUN --roots FOLDER... --weights-dir FOLDER

Loss of an image at rate weight w, drawn for each image: (mse_weight · MSE + late terms + w · bpp) / √w. Late terms,
each of one image of a batch: LPIPS-Alex, the squared difference after AlexNet's conv4, 1 - MS-SSIM, 1 - SSIM of the
luma at 1/8; 0 unless asked for.
Adam at a rate that falls with the root of the batches: there is no end to plan for, until `--batches` and
`--cool-down` name one. bfloat16 where the processor multiplies it. An average of all weights is what is measured and
exported. SIGTERM to one of the ranks saves and stops all; the same command goes on. Blocks may be added on the way
(`--blocks`): they begin as the identity.

Files in RUN: last.pt (all), curve.csv (losses), development.csv, base.pt (averaged weights, float16).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.campaign.crops import Crops
from experiments.campaign.development import COLUMNS, as_codec, development_photos, measure
from experiments.campaign.loop import (
    Average,
    add_options,
    append,
    learning_rate_share,
    moments_by_name,
    run,
    save_whole,
    structure_lost,
    take_step,
)
from hific.codecs.latent_refinement import MSE_WEIGHT, coarse_structure_lost
from hific.losses.perceptual import AlexNetPerceptualLoss, LPIPSLoss
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.models.lapped_initialization import initialize_lapped, is_klt_initialized
from hific.models.variable_rate import VariableRate
from hific.ops.images import shifted_crop
from hific.ops.precision import fast_precision

RATE_WEIGHTS = (0.16, 0.4, 1.0, 2.4, 5.0)
MEASURED_AT = (0.22, 0.77, 3.5)
START_CROPS, START_STEPS = 96, 400  # that the lapped-transform initialization is fitted to


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    add = parser.add_argument
    add("--widths", type=int, nargs=2, default=(160, 256))
    add("--blocks", type=int, nargs=2, default=(3, 4))
    add("--latent-channels", type=int, default=96)
    add("--hyper-channels", type=int, default=96)
    add("--batch", type=int, default=2, help="of each rank")
    add("--crop", type=int, default=256)
    add("--lr", type=float, default=1e-3)
    add("--hyperprior-lr-factor", type=float, default=2.0)
    add("--settle", type=int, default=6000, help="batches after which the learning rate falls")
    add_late_terms(parser)
    add("--start-from", type=Path, help="a base.pt, where RUN has no last.pt yet: its weights, and its batches")
    return parser.parse_args(arguments)


def add_late_terms(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--lpips-weight", type=float, default=0.0)
    add("--conv4-weight", type=float, default=0.0)
    add("--ms-ssim-weight", type=float, default=0.0)
    add("--coarse-weight", type=float, default=0.0, help="of 1 - SSIM of the luma at 1/8 of the resolution")


def build(options: argparse.Namespace) -> VariableRate:
    torch.manual_seed(options.seed)
    model = HyperpriorAutoencoder(
        transform="patch",
        widths=options.widths,
        latent_channels=options.latent_channels,
        hyper_channels=options.hyper_channels,
        residual_blocks=options.blocks,
        normalization="none",
    )
    model.initialize_klt()
    return VariableRate(model.to(memory_format=torch.channels_last), RATE_WEIGHTS)


class LateTerms:
    """Distances beside the squared error, each of one image of a batch: they cost as much as the networks."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._terms: list[tuple[float, Callable[[Tensor, Tensor], Tensor]]] = []
        if options.lpips_weight:
            self._terms.append((options.lpips_weight, LPIPSLoss("alex", options.weights_dir)))
        if options.conv4_weight:
            self._terms.append((options.conv4_weight, AlexNetPerceptualLoss(options.weights_dir)))
        if options.ms_ssim_weight:
            self._terms.append((options.ms_ssim_weight, structure_lost))
        if options.coarse_weight:
            self._terms.append((options.coarse_weight, _coarse_structure_lost))

    def __call__(self, reconstruction: Tensor, image: Tensor, generator: torch.Generator) -> Tensor:
        """Images [1, 3, H, W] in [0, 1] to a scalar."""
        if not self._terms:
            return image.new_zeros(())
        x_hat, x = shifted_crop((reconstruction, image), 16, generator)
        return torch.stack([weight * term(2 * x_hat - 1, 2 * x - 1) for weight, term in self._terms]).sum()


def _coarse_structure_lost(reconstruction: Tensor, image: Tensor) -> Tensor:
    """`coarse_structure_lost` of images in [-1, 1]."""
    x_hat, x = ((one.float() + 1) / 2 for one in (reconstruction, image))
    return coarse_structure_lost(x_hat, x)


class Base:
    """One rank's training."""

    def __init__(self, options: argparse.Namespace, rank: int) -> None:
        self.options, self.rank = options, rank
        self.variable = build(options)
        self.batches, self.seconds = 0, 0.0
        model = self.variable.model
        slow = [*model.analysis.parameters(), *model.synthesis.parameters()]
        fast = [self.variable.log_gains, *(p for part in model.hyperprior_parts for p in part.parameters())]
        self.optimizer = torch.optim.Adam(
            [{"params": slow, "factor": 1.0}, {"params": fast, "factor": options.hyperprior_lr_factor}], fused=True
        )
        self.average = Average(self.variable, options.ema)
        self.first = 0  # batch of this optimizer
        if (options.run / "last.pt").exists():
            self._resume(torch.load(options.run / "last.pt", weights_only=True))
        elif options.start_from is not None:
            self._start_from(torch.load(options.start_from, weights_only=True))
        self.crops = Crops(options.run.parent / "crops", options.seed + 1000 * rank + 7 * self.batches)
        torch.manual_seed(self.batches * options.ranks + rank)
        self.generator = torch.Generator().manual_seed(self.batches + rank)
        self.late_terms = LateTerms(options)
        if is_klt_initialized(model):
            self._fit_initialization(model)
        if rank == 0:
            print(f"batch {self.batches}, {sum(p.numel() for p in self.variable.parameters()) / 1e6:.2f} M", flush=True)
        self.low, self.high = (float(one) for one in torch.tensor((RATE_WEIGHTS[0], RATE_WEIGHTS[-1])).log())

    def _fit_initialization(self, model: HyperpriorAutoencoder) -> None:
        photos = Crops(self.options.run.parent / "crops", 5)
        some = [photos.batch(1, self.options.crop) for _ in range(START_CROPS)]
        initialize_lapped(model, some, mse_weight=MSE_WEIGHT, steps=START_STEPS, seed=0)
        self.average = Average(self.variable, self.options.ema)

    def step(self) -> dict[str, float]:
        options = self.options
        settled = min(1.0, (options.settle / max(1, self.batches)) ** 0.5)
        rate = options.lr * learning_rate_share(options, self.batches, self.first) * settled
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        image = self.crops.batch(options.batch, options.crop)
        weight = torch.empty(options.batch).uniform_(self.low, self.high, generator=self.generator).exp()
        with fast_precision(image.device):
            output = self.variable(image, weight)
        mse = 255**2 * (output.reconstruction - image).square().flatten(1).mean(1)
        losses = (MSE_WEIGHT * mse + weight * output.noisy_bpp) / weight.sqrt()
        loss = losses.mean()
        one = slice(self.batches % options.batch, self.batches % options.batch + 1)
        late = self.late_terms(output.reconstruction[one], image[one], self.generator)
        loss = loss + late / weight[one].sqrt().squeeze()
        norm = take_step(loss, self.variable, self.optimizer)
        self.batches += 1
        self.average.update(self.variable, self.batches)
        return {
            "loss": float(losses.mean().detach()),
            "bpp": float(output.quantized_bpp.mean()),
            "mse": float(mse.mean().detach()),
            "late": float(late.detach()),
            "gradient_norm": norm,
        }

    def save(self) -> None:
        state = {
            "weights": self.variable.state_dict(),
            "average": self.average.weights,
            "moments": moments_by_name(self.variable, self.optimizer),
            "batches": self.batches,
            "first": self.first,
            "cpu_seconds": self.seconds * self.options.ranks,
            "arguments": self.variable.model.arguments,
        }
        save_whole(state, self.options.run / "last.pt")
        self.average.exchange(self.variable)
        half = {name: value.half() for name, value in self.variable.state_dict().items()}
        self.average.exchange(self.variable)
        arguments = self.variable.model.arguments
        save_whole({"weights": half, "arguments": arguments, "batches": self.batches}, self.options.run / "base.pt")

    def _resume(self, state: Mapping[str, Any]) -> None:
        """Weights by name; what has been added since (blocks, rate weights) stays as it begins."""
        anchors, old_anchors = self.variable.get_buffer("anchors"), state["weights"]["anchors"]
        average = at_rates({**state["average"], "anchors": old_anchors}, anchors)
        self.variable.load_state_dict(at_rates(state["weights"], anchors), strict=False)
        for name, parameter in self.variable.named_parameters():
            if name in average:
                self.average.weights[name].copy_(average[name])
            if name in state["moments"] and (torch.equal(anchors, old_anchors) or name != "log_gains"):
                self.optimizer.state[parameter] = dict(state["moments"][name])
        self.batches, self.first = state["batches"], state["first"]
        self.seconds = state["cpu_seconds"] / self.options.ranks

    def _start_from(self, base: Mapping[str, Any]) -> None:
        weights = {name: value.float() for name, value in base["weights"].items()}
        self.variable.load_state_dict(at_rates(weights, self.variable.get_buffer("anchors")), strict=False)
        self.average = Average(self.variable, self.options.ema)
        self.batches = self.first = base["batches"]

    def measure(self) -> None:
        photos = development_photos(self.options.roots)
        self.average.exchange(self.variable)
        self.variable.eval()
        for weight in MEASURED_AT:
            row = measure(as_codec(self.variable.fold(weight)), photos, self.options.weights_dir)
            told = {"batches": self.batches, "cpu_seconds": round(self.seconds * self.options.ranks), "weight": weight}
            append(self.options.run / "development.csv", {**told, **{name: round(row[name], 5) for name in COLUMNS}})
        self.variable.train()
        self.average.exchange(self.variable)


def at_rates(weights: Mapping[str, Tensor], anchors: Tensor) -> dict[str, Tensor]:
    """A VariableRate's weights, with their gains [A, C] as they are at other logarithms of rate weights [B]: on the
    lines between their neighbors, or on that through the nearest two."""
    old, gains = weights["anchors"], weights["log_gains"]
    below = torch.bucketize(anchors, old[1:-1])
    share = (anchors - old[below]) / (old[below + 1] - old[below])
    moved = gains[below] + share[:, None] * (gains[below + 1] - gains[below])
    return {**weights, "anchors": anchors, "log_gains": moved}


if __name__ == "__main__":
    run(Base, parse())
