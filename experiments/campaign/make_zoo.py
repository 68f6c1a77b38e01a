"""The models of hific/zoo out of the trainings for all rates: tables and a context model for each rate.

    python -m experiments.campaign.make_zoo RUN/base.pt --roots FOLDER... [--output hific/zoo]
    python -m experiments.campaign.make_zoo RUN/synthesis.pt
    python -m experiments.campaign.make_zoo RUN/compressnet.pt --roots FOLDER...

Of base.pt, HiFiC's, for each rate: the weights at its weight, rounded to float16; ranges of the integer
hyper-syntheses; XGBoost over the latents of training photos. Two models a rate, with the same weights: files of both
hold the same pixels. Of synthesis.pt, one rate's own: the shipped models of HiFiC with it, and all else as it was.
Of compressnet.pt, one model a rate, with XGBoost.
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
from hific.codecs.latent_coding import LatentCoding
from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.load import load_codec
from hific.context.xgboost import XGBoostFit
from hific.fitting.coding import fit_activation_ranges, fit_channel_tables, training_latent
from hific.fitting.context_model import ContextFit, TrainingLatent
from hific.io.write_whole import write_whole
from hific.models.compressnet import CompressNet

# Of the rate, beside the recipe's of the squared error: by the bytes that they give.
WEIGHTS = {"low": 5.0, "medium": 1.4, "high": 0.41}
# What that is on Kodak, with XGBoost.
KODAK_BPP = {"low": ".12", "medium": ".24", "high": ".42"}
COMPRESSNET_KODAK_BPP = {"low": ".025", "high": ".05"}
SMALLEST = 64
LARGEST_FILE = 11_000_000  # bytes of the tensors that a file of shared ones has, at most
_WEIGHT = "model."


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


Made = dict[str, dict[str, Any]]
"""Checkpoints as training would save them, by the models' names."""


def hific_models(base: Path, rate: str, options: argparse.Namespace) -> Made:
    variable, batches = load(base)
    model = variable.fold(WEIGHTS[rate])
    round_to_half(model)
    arrays = list(training_photos(options.roots, PHOTOS_FOR_RANGES))
    fit_activation_ranges(model, (torch.from_numpy(one.copy()).permute(2, 0, 1)[None] / 255 for one in arrays))
    coding = latent_coding(model)
    training = {"batches": batches, "rate_weight": WEIGHTS[rate], "rate": rate, "size": "small"}
    fitted = _with_context_model(_latents("hific", model, coding, training, options), coding, options)
    return _two_models(rate, model, coding, fitted, training)


def _two_models(
    rate: str, model: nn.Module, coding: LatentCoding, fitted: LatentCoding, training: Mapping[str, Any]
) -> Made:
    """fitted: the coding with XGBoost."""
    about = f"{rate} rate, about {KODAK_BPP[rate]} bpp on Kodak"
    told = {"": f"{about} where XGBoost codes it (hific-xgboost-{rate}), more without", "xgboost-": about}
    return {
        f"hific-{kind}{rate}": checkpoint(f"hific-{kind}{rate}", model, one, {**training, "about": told[kind]})
        for kind, one in (("", coding), ("xgboost-", fitted))
    }


def with_own_synthesis(state: Mapping[str, Any], rate: str) -> Made:
    """The shipped models of a rate, with the synthesis of train_synthesis.py's file where it is of their rate."""
    plain, xgboost = load_codec(f"hific-{rate}"), load_codec(f"hific-xgboost-{rate}")
    training = dict(plain.identity.training)
    if state["weight"] == training["rate_weight"]:
        plain.model.synthesis.load_state_dict(state["synthesis"])
        training["synthesis_batches"] = state["batches"]
    return _two_models(rate, plain.model, plain.coding, xgboost.coding, training)


def compressnet_model(trained: Path, rate: str, options: argparse.Namespace) -> Made:
    state = torch.load(trained, weights_only=True)
    model = CompressNet(**state["models"][rate]["arguments"]).eval()
    model.load_state_dict({name: value.float() for name, value in state["models"][rate]["weights"].items()})
    training = {"batches": state["batches"], "rate": rate, "size": "small"}
    training["about"] = f"{rate} rate of CompressNet, about {COMPRESSNET_KODAK_BPP[rate]} bpp on Kodak"
    # Tables know nothing yet, and levels are what they are whatever the tables.
    unfitted = fit_channel_tables([], num_channels=model.latent_channels)
    latents = _latents("compressnet", model, unfitted, training, options)
    levels = [one.symbols + model.levels // 2 for one in latents]
    coding = fit_channel_tables(levels, num_channels=model.latent_channels)
    name = f"compressnet-{rate}"
    return {name: checkpoint(name, model, _with_context_model(latents, coding, options), training)}


def _latents(
    family: str, model: nn.Module, coding: LatentCoding, training: Mapping[str, Any], options: argparse.Namespace
) -> list[TrainingLatent]:
    codec = LearnedCodec(load_family(family), model, coding, Identity(family, bytes(32), training))
    return [training_latent(codec, photo) for photo in training_photos(options.roots, options.photos)]


def _with_context_model(
    latents: Sequence[TrainingLatent], coding: LatentCoding, options: argparse.Namespace
) -> LatentCoding:
    fit = ContextFit(XGBoostFit(), max_windows=options.max_windows)
    return replace(coding, context_coded=fit(latents, coding.prior.tables, coding.prior.latent_channels))


def pack(family: str, by_rate: Sequence[Made], folder: Path) -> None:
    """Files as hific/zoo/__init__.py has them: each tensor once, with the first that has it. Others of the family that
    were in the folder go."""
    before = set(folder.glob(f"{family}-*.safetensors"))
    tensors = {name: _tensors(one) for made in by_rate for name, one in made.items()}
    rates = [next(iter(made)) for made in by_rate]
    shared: dict[str, dict[str, Tensor]] = {}
    of_rate: dict[str, list[str]] = {rate: [] for rate in rates}
    for part, having, some in _shared({rate: tensors[rate] for rate in rates}):
        only = [] if having == rates else [one.removeprefix(f"{family}-") for one in having]
        files = _of_at_most(LARGEST_FILE, some)
        for number, file in enumerate(files, start=1):
            name = "-".join([family, part, *only, *([str(number)] if len(files) > 1 else [])])
            shared[name] = file
            for rate in having:
                of_rate[rate].append(name)
    written = [_write(folder, name, some, {}) for name, some in shared.items()]
    for made in by_rate:
        sources = {name: shared[name] for name in of_rate[next(iter(made))]}
        for name, one in made.items():
            known = {key: value for source in sources.values() for key, value in source.items()}
            own = {key: value for key, value in tensors[name].items() if not _has(known, key, value)}
            entry = {key: value for key, value in one["hific"].items() if key != "tables"}
            told = {"hific": json.dumps(entry), "others_from": json.dumps(list(sources))}
            written.append(_write(folder, name, own, told))
            sources[name] = own
    for path in before - set(written):
        path.unlink()


def _shared(models: Mapping[str, Mapping[str, Tensor]]) -> list[tuple[str, list[str], dict[str, Tensor]]]:
    """What several models have: the kind of tensors, these models, and the tensors. Weights of some of the models too;
    tables of all, for what two have of them alone is small."""
    found: dict[tuple[str, tuple[str, ...]], dict[str, Tensor]] = {}
    for tensors in models.values():
        for key, value in tensors.items():
            having = tuple(name for name, others in models.items() if _has(others, key, value))
            part = "networks" if key.startswith(_WEIGHT) else "tables"
            if len(having) == len(models) or (part == "networks" and len(having) > 1):
                found.setdefault((part, having), {})[key] = value
    return [(part, list(having), some) for (part, having), some in found.items()]


def _of_at_most(num_bytes: int, tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """In their order, in parts; none where there are no tensors."""
    parts: list[dict[str, Tensor]] = []
    left = 0
    for name, value in tensors.items():
        if not parts or value.nbytes > left:
            parts.append({})
            left = num_bytes
        parts[-1][name] = value
        left -= value.nbytes
    return parts


def _tensors(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    tables = {f"table.{key}": value for key, value in checkpoint["hific"]["tables"].items()}
    return {key: _short(value) for key, value in checkpoint["state_dict"].items()} | tables


def _has(tensors: Mapping[str, Tensor], key: str, value: Tensor) -> bool:
    return key in tensors and torch.equal(tensors[key], value)


def _short(value: Tensor) -> Tensor:
    """In float16 where that is the same."""
    short = value.half()
    return short if value.is_floating_point() and torch.equal(short.float(), value) else value


def _write(folder: Path, name: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Path:
    data = save({key: value.contiguous() for key, value in tensors.items()}, dict(metadata))
    path = folder / f"{name}.safetensors"
    write_whole(path, data)
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained", type=Path, help="a base.pt, synthesis.pt or compressnet.pt")
    parser.add_argument("--roots", nargs="+", help="photos, but for a synthesis.pt")
    parser.add_argument("--output", type=Path, default=Path("hific/zoo"))
    parser.add_argument("--photos", type=int, default=384, help="that a context model learns from")
    parser.add_argument("--max-windows", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    state = torch.load(options.trained, weights_only=True, mmap=True)
    if "synthesis" in state:
        if state["weight"] not in WEIGHTS.values():
            known = ", ".join(f"{rate} {weight:g}" for rate, weight in WEIGHTS.items())
            parser.error(f"{options.trained} is of weight {state['weight']:g}; the shipped rates are {known}")
        pack("hific", [with_own_synthesis(state, rate) for rate in WEIGHTS], options.output)
        return
    if options.roots is None:
        parser.error(f"{options.trained} goes with --roots")
    if "models" in state:
        made = [compressnet_model(options.trained, rate, options) for rate in COMPRESSNET_KODAK_BPP]
        pack("compressnet", made, options.output)
    else:
        pack("hific", [hific_models(options.trained, rate, options) for rate in WEIGHTS], options.output)


if __name__ == "__main__":
    main()
