"""Trains CompressNet's low and high rate together: two models that share all networks but the latent's two layers.

    python -m experiments.campaign.train_compressnet --run RUN --roots FOLDER... --weights-dir FOLDER

Loss of an image: that of conf/recipe/compressnet_small.yaml (equation 3 with LPIPS-Alex), with the paper's own
perceptual loss (conv4) and 1 - MS-SSIM beside it. Adam; an average of all weights is what is measured and exported.
SIGTERM to one of the ranks saves and stops all; the same command goes on.

Files in RUN: last.pt (all), curve.csv (losses), development.csv, compressnet.pt (averaged weights, float16).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from experiments.campaign.crops import Crops
from experiments.campaign.development import COLUMNS, Codec, Pixels, development_photos, measure
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
from hific.codecs.load import load_codec
from hific.losses.perceptual import LPIPSLoss, unit_length
from hific.models.compressnet import CompressNet
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.networks.compressnet import FILLED
from hific.ops.images import from_unit_range, shifted_crop
from hific.ops.precision import fast_precision
from hific.training.objectives import CompressNetObjective, LossWeights

Rate = Literal["low", "high"]
LATENT_CHANNELS: Mapping[Rate, int] = {"low": 4, "high": 8}
VIEW_SHIFT = 16


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    add = parser.add_argument
    add("--switches", choices=("none", "predicted"), default="none", help="none: sae; predicted: sae_spn")
    add("--transform", choices=("pools", "patch"), default="patch")
    add("--widths", type=int, nargs="+", default=(160, 256))
    add("--blocks", type=int, nargs="+", default=(6, 4))
    add("--normalization", default="none")
    add("--linear-shortcut", action="store_true")
    add("--start-from", help="a HiFiC with the same patch transform, where RUN has no last.pt yet")
    add("--batch", type=int, default=4, help="of each rank")
    add("--low-every", type=int, default=4, help="one batch of so many is of the low rate")
    add("--crop", type=int, default=192)
    add("--lr", type=float, default=5e-4)
    add("--mse-weight", type=float, default=30.0)
    add("--lpips-weight", type=float, default=1.0)
    add("--conv4-weight", type=float, default=0.02)
    add("--ms-ssim-weight", type=float, default=0.5)
    add("--layerwise-weight", type=float, default=0.02)
    add("--switch-weight", type=float, default=1.0)
    add("--spread-weight", type=float, default=10.0, help="of what the deviation of a channel's latents lacks to 1")
    add("--true-switches-until", type=int, default=4000, help="batches until the decoder sees predicted switches alone")
    return parser.parse_args(arguments)


def _arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Of the CompressNets, but for the latent's channels."""
    return {
        "transform": options.transform,
        "widths": options.widths,
        "residual_blocks": options.blocks[0] if len(options.blocks) == 1 else options.blocks,
        "switches": options.switches,
        "normalization": options.normalization,
        "linear_shortcut": options.linear_shortcut,
    }


class SharedRates(nn.Module):
    """A CompressNet for each rate; the layers next to the latent are its own, and a linear shortcut; all others are
    the same."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self.of_rate: Any = nn.ModuleDict(
            {rate: CompressNet(latent_channels=channels, **arguments) for rate, channels in LATENT_CHANNELS.items()}
        )
        low, high = self.of_rate["low"], self.of_rate["high"]
        for network, own in (("analysis", ("head",)), ("synthesis", ("stem", "entry"))):
            for name, part in getattr(high, network).named_children():
                if name not in own:
                    setattr(getattr(low, network), name, part)
        low.spn = high.spn

    @torch.no_grad()
    def start_from(self, hific: HyperpriorAutoencoder, image: Tensor) -> None:
        """With the networks of a HiFiC with the patch transform, and those of its latents that vary most, as wide as
        the quantizer's levels; the others are held at their means. image [B, 3, H, W] in [0, 1]: to see them in."""
        latent = hific.analyze(image)
        means, deviations = latent.mean((0, 2, 3)), latent.std((0, 2, 3))
        old_head, old_entry = hific.analysis.head, hific.synthesis.entry
        assert old_head.bias is not None and old_entry.bias is not None
        for model in self.of_rate.values():
            model.analysis.load_state_dict(_without(hific.analysis, "head"), strict=False)
            model.synthesis.load_state_dict(_without(hific.synthesis, "entry"), strict=False)
            some = deviations.argsort(descending=True)[: model.latent_channels]
            gains = FILLED / deviations[some]
            head, entry = model.analysis.head, model.synthesis.entry
            head.weight.copy_(old_head.weight[some] * gains[:, None, None, None])
            head.bias.copy_((old_head.bias[some] - means[some]) * gains)
            entry.weight.copy_(old_entry.weight[:, some] / gains[:, None, None])
            entry.bias.copy_(old_entry.bias + old_entry.weight.sum((2, 3)) @ means)


def _without(network: nn.Module, part: str) -> dict[str, Tensor]:
    return {name: value for name, value in network.state_dict().items() if not name.startswith(f"{part}.")}


class AlexNetDistances(LPIPSLoss):
    """LPIPS-Alex and the paper's conv4 (hific/losses/perceptual.py) from one pass of the network that both are of."""

    CONV4 = 3  # of the layers that LPIPS looks at

    def distance(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        with torch.no_grad():
            targets, conv4_target = self._layers(image)
        layers, conv4 = self._layers(reconstruction)
        terms = [
            head((unit_length(features) - unit_length(target)).square()).mean()
            for head, features, target in zip(self.network.lins, layers, targets, strict=True)
        ]
        return torch.stack([torch.stack(terms).sum(), nn.functional.mse_loss(conv4, conv4_target)])

    def _layers(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        net, features, layers = self.network.net, self.network.scaling_layer(image), []
        for number in range(5):
            *before, activation = getattr(net, f"slice{number + 1}")
            for layer in before:
                features = layer(features)
            if number == self.CONV4:
                conv4 = features.clone()  # the activation works in place
            features = activation(features)
            layers.append(features)
        return layers, conv4


class CompressNetTraining:
    """One rank's training."""

    seconds = 0.0

    def __init__(self, options: argparse.Namespace, rank: int) -> None:
        self.options = options
        torch.manual_seed(options.seed)
        self.rates = SharedRates(**_arguments(options)).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.rates.parameters(), fused=True)
        self.average = Average(self.rates, options.ema)
        self.batches = 0
        if (options.run / "last.pt").exists():
            self._resume(torch.load(options.run / "last.pt", weights_only=True))
        elif options.start_from is not None:
            photos = Crops(options.run.parent / "crops", 5)
            self.rates.start_from(load_codec(options.start_from).model, photos.batch(24, options.crop))
            self.average = Average(self.rates, options.ema)
        self.crops = Crops(options.run.parent / "crops", options.seed + 1000 * rank + 7 * self.batches)
        self.generator = torch.Generator().manual_seed(self.batches + rank)
        weights = LossWeights(
            mse=options.mse_weight,
            layerwise=options.layerwise_weight,
            switch_prediction=options.switch_weight,
            latent_spread=options.spread_weight,
            phase_pattern=1000.0,
        )
        self.objective = CompressNetObjective(weights, None)
        self.alexnet = AlexNetDistances("alex", options.weights_dir)
        if rank == 0:
            count = sum(p.numel() for p in self.rates.parameters())
            print(f"batch {self.batches}, {count / 1e6:.2f} M", flush=True)

    def step(self) -> dict[str, float]:
        options = self.options
        for group in self.optimizer.param_groups:
            group["lr"] = options.lr * learning_rate_share(options, self.batches)
        image = 2 * self.crops.batch(options.batch, options.crop) - 1
        model = self.rates.of_rate["low" if self.batches % options.low_every == 0 else "high"]
        true_share = max(0.0, 1 - self.batches / max(1, options.true_switches_until))
        with fast_precision(image.device):
            output = model(image, true_share)
        terms = self.objective.terms(model, image, output)
        x_hat, x = shifted_crop((output.reconstruction, image), VIEW_SHIFT, self.generator)
        lpips, conv4 = self.alexnet(x_hat, x)
        terms |= {"lpips": options.lpips_weight * lpips, "conv4": options.conv4_weight * conv4}
        one = self.batches % options.batch  # of a batch: it takes longer than AlexNet
        terms["ms_ssim"] = options.ms_ssim_weight * structure_lost(x_hat[one : one + 1], x[one : one + 1])
        norm = take_step(torch.stack(list(terms.values())).sum(), self.rates, self.optimizer)
        self.batches += 1
        self.average.update(self.rates, self.batches)
        return {name: float(value.detach()) for name, value in terms.items()} | {"gradient_norm": norm}

    def save(self) -> None:
        state = {
            "weights": dict(self.rates.named_parameters()),
            "average": self.average.weights,
            "moments": moments_by_name(self.rates, self.optimizer),
            "batches": self.batches,
            "cpu_seconds": self.seconds * self.options.ranks,
        }
        save_whole({**state, "weights": {name: p.detach() for name, p in state["weights"].items()}}, self._last)
        self.average.exchange(self.rates)
        models = {
            rate: {"weights": _half(model.state_dict()), "arguments": model.arguments}
            for rate, model in self.rates.of_rate.items()
        }
        self.average.exchange(self.rates)
        save_whole({"models": models, "batches": self.batches}, self.options.run / "compressnet.pt")

    @property
    def _last(self) -> Any:
        return self.options.run / "last.pt"

    def _resume(self, state: Mapping[str, Any]) -> None:
        """Weights by name; what has been added since (layers in place of switches) stays as it begins."""
        for name, parameter in self.rates.named_parameters():
            if name in state["weights"]:
                parameter.data.copy_(state["weights"][name])
                self.average.weights[name].copy_(state["average"][name])
            if name in state["moments"]:
                self.optimizer.state[parameter] = dict(state["moments"][name])
        self.batches, self.seconds = state["batches"], state["cpu_seconds"] / self.options.ranks

    def measure(self) -> None:
        photos = development_photos(self.options.roots)
        self.average.exchange(self.rates)
        for rate, model in self.rates.eval().of_rate.items():
            row = measure(as_codec(model), photos, self.options.weights_dir)
            told = {"batches": self.batches, "cpu_seconds": round(self.seconds * self.options.ranks), "rate": rate}
            append(self.options.run / "development.csv", {**told, **{name: round(row[name], 5) for name in COLUMNS}})
        self.rates.train()
        self.average.exchange(self.rates)


def as_codec(model: CompressNet) -> Codec:
    """Bits: what the symbols of the photo take by the shares of each channel's own levels; no file."""

    @torch.no_grad()
    def code(photo: Pixels) -> tuple[Pixels, float]:
        image = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        output = model(image)
        counts = torch.stack([(output.quantized.symbols[0] == one).sum((1, 2)) for one in range(model.levels)], 1)
        bits = torch.special.entr(counts / counts.sum(1, keepdim=True)).sum() / np.log(2) * counts[0].sum()
        return from_unit_range((output.reconstruction + 1) / 2), float(bits)

    return code


def _half(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.half() for name, value in weights.items()}


if __name__ == "__main__":
    run(CompressNetTraining, parse())
