"""The codec that the options ask for. Torch is imported here, after the rest of the request was found to make sense."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from hific.cli.arguments import UsageError
from hific.cli.precheck import pixel_limit

if TYPE_CHECKING:
    from hific.codecs.compressnet_codec import CompressNetCodec
    from hific.codecs.compressnet_coding import Coding

VARIABLE = "HIFIC_CHECKPOINT"


def load_from_options(options: argparse.Namespace) -> CompressNetCodec:
    """Raises UsageError where no checkpoint is named, or the named one cannot be used."""
    path = options.checkpoint or os.environ.get(VARIABLE)
    if not path:
        raise UsageError(
            f"no checkpoint: give --checkpoint FILE, or set {VARIABLE}; `make demo` or `python train.py` makes one"
        )
    import torch

    from hific.codecs.load import CheckpointError, load_codec

    if options.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no CUDA device here")
    # Jobs share the cores that torch would give to one image.
    torch.set_num_threads(max(1, torch.get_num_threads() // options.jobs))
    coding: Coding = options.coding if options.command == "compress" else "context"
    try:
        return load_codec(path, coding=coding, max_pixels=pixel_limit(options), device=options.device)
    except CheckpointError as error:
        raise UsageError(str(error)) from error
