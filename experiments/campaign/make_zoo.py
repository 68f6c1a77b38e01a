"""The models of hific/zoo out of the training for all rates: a hyperprior's tables and a context model for each rate.

    python -m experiments.campaign.make_zoo RUN/base.pt --roots FOLDER... [--output hific/zoo]

For each rate: the weights at its weight, rounded to float16; ranges of the integer hyper-syntheses; XGBoost over the
latents of training photos. Two models a rate, with the same weights: files of both hold the same pixels.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor, nn

from experiments.campaign.crops import training_size
from experiments.campaign.development import Pixels, split
from experiments.campaign.export import PHOTOS_FOR_RANGES, checkpoint, load
from hific.codecs.families import load_family
from hific.codecs.family import Identity
from hific.codecs.hific import latent_coding
from hific.codecs.learned_codec import LearnedCodec
from hific.context.xgboost import XGBoostFit
from hific.fitting.coding import fit_activation_ranges, training_latent
from hific.fitting.context_model import ContextFit
from hific.io.write_whole import write_whole

# Of the rate, beside the recipe's of the squared error: by the bytes that they give.
WEIGHTS = {"low": 5.0, "medium": 1.4, "high": 0.41}
# What that is on Kodak, with XGBoost.
KODAK_BPP = {"low": ".13", "medium": ".25", "high": ".42"}
SHARED = "hific"
SMALLEST = 64


def training_photos(roots: Sequence[str], count: int, seed: int = 3) -> Iterator[Pixels]:
    """Whole, each at a scale of its own, as the training's crops are."""
    files, draw = split(roots).files("train"), np.random.default_rng(seed)
    for path in np.array(files, object)[draw.permutation(len(files))[:count]]:
        photo = Image.open(path).convert("RGB")
        size = training_size(photo, draw.random(), SMALLEST)
        yield np.asarray(photo.resize(size, Image.Resampling.LANCZOS))


@torch.no_grad()
def round_to_half(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.copy_(parameter.half().float())


def checkpoints(base: Path, rate: str, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """By the models' names, as training would save them."""
    variable, batches = load(base)
    model = variable.fold(WEIGHTS[rate])
    round_to_half(model)
    arrays = list(training_photos(options.roots, PHOTOS_FOR_RANGES))
    fit_activation_ranges(model, (torch.from_numpy(one.copy()).permute(2, 0, 1)[None] / 255 for one in arrays))
    coding = latent_coding(model)
    training = {"batches": batches, "rate_weight": WEIGHTS[rate], "rate": rate, "size": "small"}
    training["about"] = f"{rate} rate, about {KODAK_BPP[rate]} bpp on Kodak with XGBoost"
    made = {f"hific-{rate}": checkpoint(f"hific-{rate}", model, coding, training)}
    family = load_family("hific")
    codec = LearnedCodec(family, model, coding, Identity("hific", bytes(32), training))
    latents = [training_latent(codec, photo) for photo in training_photos(options.roots, options.photos)]
    fit = ContextFit(XGBoostFit(), max_windows=options.max_windows)
    fitted = replace(coding, context_coded=fit(latents, coding.prior.tables, model.latent_channels))
    return made | {f"hific-xgboost-{rate}": checkpoint(f"hific-xgboost-{rate}", model, fitted, training)}


def pack(by_rate: Mapping[str, Mapping[str, Mapping[str, Any]]], folder: Path) -> None:
    """Files as hific/zoo/__init__.py has them: each tensor once, with the first that has it."""
    tensors = {name: _tensors(one) for made in by_rate.values() for name, one in made.items()}
    rates = [next(iter(made)) for made in by_rate.values()]
    first = tensors[rates[0]]
    common = {key: value for key, value in first.items() if all(_has(tensors[one], key, value) for one in rates)}
    shared = {
        f"{SHARED}-{part}": {key: value for key, value in common.items() if key.startswith(prefix)}
        for part, prefix in (("networks", "model."), ("tables", "table."))
    }
    for name, some in shared.items():
        _write(folder, name, some, {})
    for made in by_rate.values():
        sources = dict(shared)
        for name, one in made.items():
            known = {key: value for source in sources.values() for key, value in source.items()}
            own = {key: value for key, value in tensors[name].items() if not _has(known, key, value)}
            entry = {key: value for key, value in one["hific"].items() if key != "tables"}
            _write(folder, name, own, {"hific": json.dumps(entry), "others_from": json.dumps(list(sources))})
            sources[name] = own


def _tensors(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    tables = {f"table.{key}": value for key, value in checkpoint["hific"]["tables"].items()}
    return {key: _short(value) for key, value in checkpoint["state_dict"].items()} | tables


def _has(tensors: Mapping[str, Tensor], key: str, value: Tensor) -> bool:
    return key in tensors and torch.equal(tensors[key], value)


def _short(value: Tensor) -> Tensor:
    """In float16 where that is the same."""
    short = value.half()
    return short if value.is_floating_point() and torch.equal(short.float(), value) else value


def _write(folder: Path, name: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    data = save({key: value.contiguous() for key, value in tensors.items()}, dict(metadata))
    write_whole(folder / f"{name}.safetensors", data)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path, help="a base.pt")
    parser.add_argument("--roots", nargs="+", required=True)
    parser.add_argument("--output", type=Path, default=Path("hific/zoo"))
    parser.add_argument("--photos", type=int, default=384, help="that a context model learns from")
    parser.add_argument("--max-windows", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    pack({rate: checkpoints(options.base, rate, options) for rate in WEIGHTS}, options.output)


if __name__ == "__main__":
    main()
