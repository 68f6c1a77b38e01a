"""A checkpoint for one rate out of the training for all rates: to code files with, and to go on from.

    python -m experiments.campaign.export RUN/base.pt --weight 1.2 --roots FOLDER... --output medium.ckpt
    python train.py model=hific size=small recipe.transform=patch "recipe.widths=[160,256]" \\
        "recipe.residual_blocks=[6,4]" init_from=medium.ckpt ...
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from experiments.campaign.development import split
from hific.codecs.hific import latent_coding
from hific.codecs.latent_coding import LatentCoding
from hific.codecs.load import checkpoint_entry
from hific.errors import CheckpointError
from hific.fitting.coding import fit_activation_ranges
from hific.io.read_image import read_image
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.models.variable_rate import VariableRate

PHOTOS_FOR_RANGES = 64


def load(path: Path) -> tuple[VariableRate, int]:
    """A `base.pt`, in float32 and in eval mode, and the batches behind it."""
    base = torch.load(path, weights_only=True)
    rates = base["weights"]["anchors"].float().exp().tolist()
    variable = VariableRate(HyperpriorAutoencoder(**base["arguments"]), rates)
    found = variable.load_state_dict({name: value.float() for name, value in base["weights"].items()}, strict=False)
    # Activation ranges, which are fitted below, are in no older file.
    lacking = [name for name in found.missing_keys if not name.endswith("activation_range")]
    if lacking or found.unexpected_keys:
        raise CheckpointError(f"{path} is not of this model: {lacking}, {found.unexpected_keys}")
    return variable.eval(), base["batches"]


def checkpoint(name: str, model: nn.Module, coding: LatentCoding, training: Mapping[str, Any]) -> dict[str, Any]:
    """As training would save it, without what only training needs."""
    weights = {f"model.{key}": value for key, value in model.state_dict().items()}
    return {"state_dict": weights, "hific": checkpoint_entry(name, model, coding, training)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path, help="a base.pt")
    parser.add_argument("--weight", type=float, required=True, help="of the rate")
    parser.add_argument("--roots", nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    variable, batches = load(options.base)
    model = variable.fold(options.weight)
    files = split(options.roots).files("train")
    arrays = (read_image(path).array for path in files[:: max(1, len(files) // PHOTOS_FOR_RANGES)])
    with torch.no_grad():
        fit_activation_ranges(model, (torch.from_numpy(array.copy()).permute(2, 0, 1)[None] / 255 for array in arrays))
    training = {"steps": batches, "rate_weight": options.weight, "size": "small"}
    torch.save(checkpoint("hific", model, latent_coding(model), training), options.output)


if __name__ == "__main__":
    main()
