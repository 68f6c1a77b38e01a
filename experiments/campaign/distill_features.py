"""A small student of AlexNet for the encoder's search (hific/networks/perceptual_features.py): hific/zoo.

    python -m experiments.campaign.distill_features RUN/base.pt --roots FOLDER... --weights-dir weights --minutes 30

Pairs are training photos (never the development split) and what the model makes of them at random rates, half of them
with symbols changed at random, and drawn nearer to the photo or farther. Minutes are of process time, of one thread.
Squared errors of features and of their differences between the two of a pair, each relative to its own size; printed:
the latter by layer, 1 where the student knows nothing.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from experiments.campaign.crops import training_size
from experiments.campaign.development import split
from experiments.campaign.export import load
from hific import zoo
from hific.losses.perceptual import unit_length
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.networks.perceptual_features import LPIPS_SCALE, PerceptualFeatures
from hific.ops.precision import fast_precision
from hific.weights import CONV4, load_features, load_lpips

SIDE, CROP, PAIRS = 224, 160, 6
LEARNING_RATE, WARM_UP = 2e-3, 50
LOWEST_WEIGHT, HIGHEST_WEIGHT, NUM_RATES = 0.3, 7.0, 12  # of the rate
CHANGED_SYMBOLS = 0.05
FARTHEST = 1.3  # from the photo, 1 being the reconstruction
LPIPS_LAYERS = (1, 4, 7)  # of AlexNet's `features`: the first three that LPIPS takes, behind their ReLU

Pixels = NDArray[np.uint8]


class Teacher(nn.Module):
    """What the student is to give: AlexNet's features, those of LPIPS times the roots of its weights."""

    def __init__(self, weights_dir: Path) -> None:
        super().__init__()
        lpips = load_lpips("alex", weights_dir)
        self.layers = load_features("alexnet_features", weights_dir)[: CONV4 + 1]
        self.normalize = lpips.scaling_layer
        self.roots = [one.model[-1].weight.clamp(min=0).sqrt() * LPIPS_SCALE for one in lpips.lins]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features = self.normalize(2 * images - 1)
        found: list[Tensor] = []
        for number, layer in enumerate(self.layers):
            # Not in place: conv4's input is an output too.
            features = features.relu() if isinstance(layer, nn.ReLU) else layer(features)
            if number in LPIPS_LAYERS:
                found.append(unit_length(features) * self.roots[len(found)])
        return (*found, features)


def photos(roots: Sequence[str], draw: np.random.Generator) -> Iterator[Pixels]:
    """Squares of `SIDE`, of each training photo at a random scale."""
    for path in split(roots).files("train"):
        photo = Image.open(path).convert("RGB")
        width, height = training_size(photo, draw.random(), SIDE + 1)
        left, top = (int(draw.integers(side - SIDE + 1)) for side in (width, height))
        resized = photo.resize((width, height), Image.Resampling.LANCZOS)
        yield np.asarray(resized.crop((left, top, left + SIDE, top + SIDE)))


@torch.no_grad()
def reconstruction(model: HyperpriorAutoencoder, photo: Pixels, draw: np.random.Generator) -> Pixels:
    image = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float() / 255
    latent = model.analyze(image)
    latent_hat = model.quantize(latent, model.predict(latent))
    if draw.random() < 0.5:
        changed = (draw.random(latent.shape) < CHANGED_SYMBOLS) * draw.choice([-1, 1], latent.shape)
        latent_hat = latent_hat + torch.from_numpy(changed).float()
    decoded = model.synthesize(latent_hat)[0].clamp(0, 1)
    return (decoded * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def make_pairs(base: Path, roots: Sequence[str], draw: np.random.Generator) -> NDArray[np.uint8]:
    """[photos, 2, SIDE, SIDE, 3]: photo and reconstruction."""
    variable, _ = load(base)
    weights = np.geomspace(LOWEST_WEIGHT, HIGHEST_WEIGHT, NUM_RATES).tolist()
    models = [variable.fold(weight) for weight in weights]
    found = [(one, reconstruction(models[draw.integers(NUM_RATES)], one, draw)) for one in photos(roots, draw)]
    return np.array(found)


def batch(pairs: NDArray[np.uint8], draw: np.random.Generator) -> Tensor:
    """[2 * PAIRS, 3, CROP, CROP] in [0, 1]: photos, then their distorted ones."""
    left, top = draw.integers(SIDE - CROP + 1, size=2)
    chosen = pairs[draw.integers(len(pairs), size=PAIRS), :, top : top + CROP, left : left + CROP]
    if draw.random() < 0.5:
        chosen = chosen[..., ::-1, :]
    photo, decoded = torch.from_numpy(chosen.copy()).permute(1, 0, 4, 2, 3).float().div_(255)
    share = torch.from_numpy(draw.uniform(0, FARTHEST, (PAIRS, 1, 1, 1))).float()
    return torch.cat([photo, photo + share * (decoded - photo)]).contiguous(memory_format=torch.channels_last)


def relative_errors(found: Sequence[Tensor], due: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """By layer, of features and of their differences within pairs."""
    own, of_difference = [], []
    for one, target in zip(found, due, strict=True):
        one = one.float()
        own.append((one - target).square().mean() / target.var(0).mean().clamp(min=1e-8))
        difference, target_difference = (two[PAIRS:] - two[:PAIRS] for two in (one, target))
        lost = (difference - target_difference).square().mean()
        of_difference.append(lost / target_difference.square().mean().clamp(min=1e-8))
    return own, of_difference


def train(
    pairs: NDArray[np.uint8], teacher: nn.Module, minutes: float, draw: np.random.Generator
) -> PerceptualFeatures:
    torch.manual_seed(0)
    student = PerceptualFeatures().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(student.parameters(), LEARNING_RATE, betas=(0.9, 0.98))
    began, number, smooth = time.process_time(), 0, torch.ones(4)
    while (done := (time.process_time() - began) / 60 / minutes) < 1:
        annealed = 0.5 * (1 + math.cos(math.pi * done))
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * min(1, number / WARM_UP) * annealed
        images = batch(pairs, draw)
        with fast_precision(images.device):
            found = student(images)
        with torch.no_grad():
            due = teacher(images)
        own, of_difference = relative_errors(found, due)
        optimizer.zero_grad()
        torch.stack(own + of_difference).sum().backward()
        optimizer.step()
        number += 1
        smooth = 0.98 * smooth + 0.02 * torch.stack(of_difference).detach()
        if number % 100 == 0:
            print(f"{number}, {100 * done:.0f} %: {' '.join(f'{one:.3f}' for one in smooth.tolist())}", flush=True)
    return student.eval()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path, help="a base.pt")
    parser.add_argument("--roots", nargs="+", required=True)
    parser.add_argument("--weights-dir", type=Path, required=True, help="AlexNet's")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--output", type=Path, default=zoo.PERCEPTUAL_FEATURES)
    options = parser.parse_args(arguments)
    from safetensors.torch import save_file

    torch.set_num_threads(1)
    draw = np.random.default_rng(0)
    pairs = make_pairs(options.base, options.roots, draw)
    teacher = Teacher(options.weights_dir).eval().requires_grad_(False)
    student = train(pairs, teacher, options.minutes, draw)
    save_file({name: value.half().contiguous() for name, value in student.state_dict().items()}, options.output)


if __name__ == "__main__":
    main()
