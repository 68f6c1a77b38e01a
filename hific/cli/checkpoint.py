"""The codecs that the options ask for. Torch is imported here, after the rest of the request made sense."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hific import zoo
from hific.cli.plan import Task
from hific.codecs.families import FAMILIES, options_by_name
from hific.coding.container import read_info
from hific.errors import BitstreamError, CheckpointError, OptionError, UsageError

if TYPE_CHECKING:
    from hific.codecs.codec_set import CodecSet
    from hific.codecs.learned_codec import LearnedCodec

VARIABLE = "HIFIC_CHECKPOINT"


class Models:
    """The codecs of the named checkpoints, in their order."""

    def __init__(self, paths: Sequence[str], codecs: CodecSet) -> None:
        self.codecs = codecs
        self._paths = {id(codec): path for path, codec in zip(paths, codecs.codecs, strict=True)}

    def path_of(self, codec: LearnedCodec) -> str:
        """Or the name of a shipped one."""
        return self._paths[id(codec)]

    def tell_progress(self, progress: Callable[[int, int], None]) -> None:
        """`progress` is told of every tile, where there are tiles."""
        for codec in self.codecs.codecs:
            codec.progress = progress


def load_from_options(options: argparse.Namespace, tasks: Sequence[Task]) -> Models:
    """Of the checkpoints that are named, or else those of the shipped models that the tasks need. Raises UsageError
    where a named one cannot be used, or the options do not suit them."""
    paths = model_names(options, tasks)
    import torch

    from hific.codecs.codec_set import CodecSet
    from hific.codecs.load import load_codec

    if options.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no CUDA device here")
    # Jobs share the cores that torch would give to one image.
    torch.set_num_threads(max(1, torch.get_num_threads() // options.jobs))
    codecs = []
    try:
        families = [_family_of(path) for path in paths]
        chosen = _chosen_by_family(options, paths, families)
        for path, family in zip(paths, families, strict=True):
            try:
                codecs.append(load_codec(path, device=options.device, **chosen.get(family or "", {})))
            except OptionError as error:
                raise UsageError(f"{path}: {_as_written(error)}: leave it out, or choose otherwise") from error
    except CheckpointError as error:
        raise UsageError(str(error)) from error
    return Models(paths, CodecSet(codecs))


def model_names(options: argparse.Namespace, tasks: Sequence[Task]) -> list[str]:
    """The checkpoints, and names of shipped models, that `load_from_options` loads. Raises UsageError likewise."""
    return _named_paths(options) or _shipped(options, tasks)


def _as_written(error: OptionError) -> str:
    """Its message with the option as the command line has it: `post_filter=True` is `--post-filter`."""
    return re.sub(
        r"^(\w+)=(\w+)",
        lambda found: f"--{found[1].replace('_', '-')}" + ("" if found[2] == "True" else f" {found[2]}"),
        str(error),
    )


def _named_paths(options: argparse.Namespace) -> list[str]:
    """Empty where none is named."""
    named = options.checkpoint or os.environ.get(VARIABLE, "").split(os.pathsep)
    paths = list({os.path.realpath(path): path for path in named if path}.values())
    if options.command == "compress" and len(paths) > 1 and options.max_bytes is None and options.bpp is None:
        raise UsageError(
            f"{len(paths)} checkpoints, and nothing to choose by: limit the files with --bpp or --max-bytes, or name "
            "one checkpoint"
        )
    return paths


def _shipped(options: argparse.Namespace, tasks: Sequence[Task]) -> list[str]:
    if options.command == "compress":
        return [zoo.DEFAULT] if options.max_bytes is None and options.bpp is None else list(zoo.BY_RATE)
    if any(task.source.is_stream for task in tasks):
        return list(zoo.MODELS)
    makers = {_maker(task.source.path) for task in tasks if task.source.path is not None}
    return [name for name in zoo.MODELS if name in makers] or [zoo.DEFAULT]


def _maker(path: Path) -> str | None:
    """The shipped model that made a file, if one did; what is wrong with the file is told at its turn."""
    try:
        return zoo.made_by(bytes.fromhex(read_info(path.read_bytes()).fingerprint))
    except (BitstreamError, OSError):
        return None


def _family_of(path: str) -> str | None:
    """Which family a checkpoint says it is of; None where it says none, which is for `load_codec` to tell."""
    from hific.io.checkpoint_file import read_checkpoint

    entry = read_checkpoint(Path(path)).get("hific")
    family = entry.get("family") if isinstance(entry, dict) else None
    return family if family in FAMILIES else None


def _chosen_by_family(
    options: argparse.Namespace, paths: Sequence[str], families: Sequence[str | None]
) -> dict[str, dict[str, Any]]:
    """For each family, those of the given options that it has. UsageError for one that none of `families` has."""
    chosen: dict[str, dict[str, Any]] = {family: {} for family in families if family is not None}
    for name, owners in options_by_name().items():
        value = getattr(options, name, None)
        theirs = [family for family, _ in owners if family in chosen]
        if value is None or not chosen:
            continue
        if not theirs:
            raise UsageError(
                f"--{name.replace('_', '-')} {value} is not for {', '.join(paths)}: only {owners[0][0]} has it: "
                "leave it out"
            )
        for family in theirs:
            chosen[family][name] = value
    return chosen
