"""The codecs that the options ask for. Torch is imported here, after the rest of the request made sense."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hific.coding.container import CODINGS
from hific.errors import UsageError

if TYPE_CHECKING:
    from hific.codecs.codec_set import CodecSet
    from hific.codecs.families import AnyCodec

VARIABLE = "HIFIC_CHECKPOINT"
# By the model that a checkpoint names.
OPTIONS = {"compressnet": ("coding",), "hific": ("coding", "refine", "tile", "precision")}
WHY_NOT = {
    "tile": "CompressNet codes an image whole; only HiFiC does in tiles",
    "precision": "CompressNet runs in float32; only HiFiC in others too",
}


class Models:
    """The codecs of the named checkpoints, in their order."""

    def __init__(self, paths: Sequence[str], codecs: CodecSet) -> None:
        self.codecs = codecs
        self._paths = {id(codec): path for path, codec in zip(paths, codecs.codecs, strict=True)}

    def path_of(self, codec: AnyCodec) -> str:
        return self._paths[id(codec)]

    def tell_progress(self, progress: Callable[[int, int], None]) -> None:
        """`progress` is told of every tile, where there are tiles."""
        from hific.codecs.hyperprior_codec import HyperpriorCodec

        for codec in self.codecs.codecs:
            if isinstance(codec, HyperpriorCodec):
                codec.progress = progress


def load_from_options(options: argparse.Namespace) -> Models:
    """Raises UsageError where no checkpoint is named, a named one cannot be used, or the options do not suit them."""
    paths = _named_paths(options)
    import torch

    from hific.codecs.codec_set import CodecSet
    from hific.codecs.load import load_codec
    from hific.errors import CheckpointError

    if options.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no CUDA device here")
    # Jobs share the cores that torch would give to one image.
    torch.set_num_threads(max(1, torch.get_num_threads() // options.jobs))
    try:
        models = [_model_of(path) for path in paths]
        _check_options(options, paths, models)
        return Models(
            paths,
            CodecSet(
                [
                    load_codec(path, max_pixels=options.max_pixels, device=options.device, **_chosen(options, model))
                    for path, model in zip(paths, models, strict=True)
                ]
            ),
        )
    except CheckpointError as error:
        raise UsageError(str(error)) from error
    except ValueError as error:
        raise UsageError(f"{', '.join(paths)}: {error}: leave it out, or choose one of these") from error


def _named_paths(options: argparse.Namespace) -> list[str]:
    named = options.checkpoint or os.environ.get(VARIABLE, "").split(os.pathsep)
    paths = list({os.path.realpath(path): path for path in named if path}.values())
    if not paths:
        raise UsageError(
            f"no checkpoint: give --checkpoint FILE, or set {VARIABLE}; `make demo` or `python train.py` makes one"
        )
    if options.command == "compress" and len(paths) > 1 and options.max_bytes is None and options.bpp is None:
        raise UsageError(
            f"{len(paths)} checkpoints, and nothing to choose by: limit the files with --bpp or --max-bytes, or name "
            "one checkpoint"
        )
    return paths


def _model_of(path: str) -> str | None:
    """Which model a checkpoint says it is; None where it does not, which is for `load_codec` to tell."""
    from hific.io.checkpoint_file import read_checkpoint

    entry = read_checkpoint(Path(path)).get("hific")
    model = entry.get("model") if isinstance(entry, dict) else None
    return model if isinstance(model, str) else None


def _check_options(options: argparse.Namespace, paths: Sequence[str], models: Sequence[str | None]) -> None:
    """An option that no model has is a mistake; where some have it, it is theirs."""
    known = [OPTIONS[model] for model in models if model in OPTIONS]
    for option, reason in WHY_NOT.items():
        value = getattr(options, option, None)
        if value is not None and known and not any(option in theirs for theirs in known):
            raise UsageError(f"--{option} {value} is not for {', '.join(paths)}: {reason}: leave it out")
    coding = getattr(options, "coding", None)
    families = [model for model in models if model in CODINGS]
    if coding is not None and families and not any(coding in CODINGS[family] for family in families):
        theirs = sorted({one for family in families for one in CODINGS[family]})
        raise UsageError(
            f"--coding {coding} is not for {', '.join(paths)}: {'its model knows' if len(paths) == 1 else 'they know'} "
            f"only {', '.join(theirs)}: leave it out"
        )


def _chosen(options: argparse.Namespace, model: str | None) -> dict[str, Any]:
    chosen = {option: getattr(options, option, None) for option in OPTIONS.get(model or "", ())}
    if "coding" in chosen and chosen["coding"] not in CODINGS[model or ""]:
        chosen["coding"] = None  # another model's
    return chosen
