"""Trains one rate's own synthesis: the other networks, and with them the files, stay as they are.

    python -m experiments.campaign.train_synthesis --run RUN --start-from BASE.pt --weight 5 --roots FOLDER... \
        --weights-dir FOLDER

The synthesis of the training for all rates (train_base.py) has to undo every rate's quantization. This one goes on from
it over latents of one rate. Loss of an image: mse_weight · MSE + late terms, over the root of the weight, as there.
With `--adversarial-weight` one image of a batch is also judged by an adversary over AlexNet's features
(networks/discriminators.py), which learns from the same image.

Files in RUN: last.pt (all), curve.csv (losses), synthesis.pt (averaged weights, float16, for make_zoo.py), and
development.csv: differences from the synthesis that it began as, or `--against` another run's synthesis.pt, on the same
latents, by photos of the development split at two scales.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from experiments.campaign.crops import Crops
from experiments.campaign.development import COLUMNS, as_codec, development_photos, measure
from experiments.campaign.export import load
from experiments.campaign.loop import (
    Average,
    add_options,
    append,
    learning_rate_share,
    moments_by_name,
    run,
    save_whole,
    take_step,
)
from experiments.campaign.train_base import LateTerms, add_late_terms
from hific.codecs.latent_refinement import MSE_WEIGHT
from hific.evaluation.equal_bytes import bootstrap_interval
from hific.losses.perceptual import AlexNetFeatures
from hific.networks.discriminators import ProjectedDiscriminator
from hific.ops.precision import fast_precision
from hific.training.adversary import Adversary

D_LEARNING_RATE = 3e-4
SCALES = (1.0, 1.5)  # of the development photos' own


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    add = parser.add_argument
    add("--start-from", type=Path, required=True, help="a base.pt")
    add("--weight", type=float, required=True, help="of the rate")
    add("--batch", type=int, default=3, help="of each rank")
    add("--crop", type=int, default=192)
    add("--lr", type=float, default=5e-4)
    add("--adversarial-weight", type=float, default=0.0)
    add("--against", type=Path, help="a synthesis.pt of the same weight that development.csv compares with")
    add_late_terms(parser)
    return parser.parse_args(arguments)


class Synthesis:
    """One rank's training."""

    def __init__(self, options: argparse.Namespace, rank: int) -> None:
        self.options, self.rank = options, rank
        self.model = load(options.start_from)[0].fold(options.weight).requires_grad_(False)
        self.synthesis = self.model.synthesis.to(memory_format=torch.channels_last).requires_grad_(True)
        self.optimizer = torch.optim.Adam(self.synthesis.parameters(), fused=True)
        self.average = Average(self.synthesis, options.ema)
        self.adversary: Adversary | None = None
        if options.adversarial_weight:
            self.adversary = _projected_adversary(options, self.model.latent_channels)
            self.optimizer_of_d = self.adversary.make_optimizer()
        self.batches, self.seconds = 0, 0.0
        if (options.run / "last.pt").exists():
            state = torch.load(options.run / "last.pt", weights_only=True)
            self.synthesis.load_state_dict(state["weights"])
            self.average.weights = state["average"]
            for name, parameter in self.synthesis.named_parameters():
                self.optimizer.state[parameter] = state["moments"][name]
            if self.adversary is not None and "adversary" in state:
                self.adversary.load_state_dict(state["adversary"])
                self.optimizer_of_d.load_state_dict(state["optimizer_of_d"])
            self.batches, self.seconds = state["batches"], state["cpu_seconds"] / options.ranks
        self.crops = Crops(options.run.parent / "crops", options.seed + 1000 * rank + 7 * self.batches + 100_000)
        torch.manual_seed(self.batches * options.ranks + rank)
        self.generator = torch.Generator().manual_seed(self.batches + rank)
        self.late_terms = LateTerms(options)

    def step(self) -> dict[str, float]:
        options = self.options
        for group in self.optimizer.param_groups:
            group["lr"] = options.lr * learning_rate_share(options, self.batches)
        image = self.crops.batch(options.batch, options.crop)
        with fast_precision(image.device):
            with torch.no_grad():
                latent = self.model.analyze(image)
                latent_hat = self.model.quantize(latent, self.model.predict(latent))
            reconstruction = self.model.synthesize(latent_hat)
        mse = 255**2 * (reconstruction - image).square().mean()
        one = slice(self.batches % options.batch, self.batches % options.batch + 1)
        late = self.late_terms(reconstruction[one], image[one], self.generator)
        told = {"mse": float(mse.detach()), "late": float(late.detach())}
        if self.adversary is not None:
            x, x_hat, latent_hat = 2 * image[one] - 1, 2 * reconstruction[one].float() - 1, latent_hat[one].float()
            logs = self.adversary.step(
                x,
                x_hat,
                latent_hat,
                optimizer=self.optimizer_of_d,
                backward=torch.autograd.backward,
                batch_number=self.batches,
            )
            told |= {name.partition("/")[2]: float(value) for name, value in logs.items() if "/" in name}
            late = late + torch.stack(list(self.adversary.generator_terms(x, x_hat, latent_hat).values())).sum()
        told["gradient_norm"] = take_step(
            (MSE_WEIGHT * mse + late) / options.weight**0.5, self.synthesis, self.optimizer
        )
        self.batches += 1
        self.average.update(self.synthesis, self.batches)
        return told

    def save(self) -> None:
        state = {
            "weights": self.synthesis.state_dict(),
            "average": self.average.weights,
            "moments": moments_by_name(self.synthesis, self.optimizer),
            "batches": self.batches,
            "cpu_seconds": self.seconds * self.options.ranks,
        }
        if self.adversary is not None:
            state |= {"adversary": self.adversary.state_dict(), "optimizer_of_d": self.optimizer_of_d.state_dict()}
        save_whole(state, self.options.run / "last.pt")
        half = {name: value.half() for name, value in self.average.weights.items()}
        told = {"weight": self.options.weight, "batches": self.batches}
        save_whole({"synthesis": half, **told}, self.options.run / "synthesis.pt")

    def measure(self) -> None:
        options = self.options
        first = load(options.start_from)[0].fold(options.weight)
        if options.against is not None:
            first.synthesis.load_state_dict(torch.load(options.against, weights_only=True)["synthesis"])
        self.average.exchange(self.synthesis)
        for scale in SCALES:
            rows = []
            for photo in development_photos(options.roots, scale):
                before, after = (
                    measure(as_codec(model), [photo], options.weights_dir) for model in (first, self.model)
                )
                rows.append([[before[name], after[name]] for name in COLUMNS])
            for name, values in zip(COLUMNS, np.array(rows).transpose(1, 2, 0), strict=True):
                difference = values[1] - values[0]
                low, high = bootstrap_interval(difference)
                row = {"weight": options.weight, "batches": self.batches, "scale": scale, "metric": name}
                row |= {"n": len(difference), "before": f"{values[0].mean():.5f}"}
                row |= {"difference": f"{difference.mean():+.5f}", "low": f"{low:+.5f}", "high": f"{high:+.5f}"}
                append(options.run / "development.csv", row)
        self.average.exchange(self.synthesis)


def _projected_adversary(options: argparse.Namespace, latent_channels: int) -> Adversary:
    torch.manual_seed(options.seed)  # the same on all ranks
    return Adversary(
        ProjectedDiscriminator(AlexNetFeatures(options.weights_dir), latent_channels),
        partial(torch.optim.Adam, lr=D_LEARNING_RATE, betas=(0.5, 0.99)),
        weight=options.adversarial_weight,
    )


if __name__ == "__main__":
    run(Synthesis, parse())
