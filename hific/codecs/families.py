"""The closed table of model families: what a checkpoint or a file may name, and what a user may choose of each.

Imports no torch, so that the command line knows its options at once. A class is never looked up by a name that a file
brings along: `load_family` imports what this table says.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hific.codecs.memory import DECODE_MAX_PIXELS, DEFAULT_MAX_PIXELS, estimated_memory
from hific.coding.container import CODERS
from hific.errors import OptionError

if TYPE_CHECKING:
    from torch import nn

    from hific.codecs.family import Family


LEAST_TILE = 16  # pixels a side: of one latent


def option(default: Any, help: str, *, choices: tuple[str, ...] = (), encoder_only: bool = False) -> Any:
    """A field of options: `help` is the command line's too; `choices`: of a string; `encoder_only`: a decoder goes by
    the file."""
    return field(default=default, metadata={"help": help, "choices": choices, "encoder_only": encoder_only})


@dataclass(frozen=True)
class CodecOptions:
    """What a user may choose of every family; None is the codec's own choice. OptionError for what is none."""

    coder: str | None = option(
        None,
        "how the latent becomes bytes: without tables (fixed_length, CompressNet only), by tables, or by a context "
        "model that corrects them (context_coded); the last that a model has makes the smallest files, and is the "
        "default",
        choices=CODERS,
        encoder_only=True,
    )
    post_filter: bool | None = option(
        None,
        "correct decoded images where that brings them closer, of models that have a post-filter (default: where there "
        "is one): which tiles gain by it is found by decoding them, which takes time",
        encoder_only=True,
    )
    max_pixels: int | None = option(
        None,
        f"largest image, padding included; default: {DECODE_MAX_PIXELS} for what codes in tiles, as HiFiC does and the "
        f"shipped CompressNet; {DEFAULT_MAX_PIXELS} for the CompressNet of the paper, which codes an image whole, in "
        f"about {estimated_memory(1000, 16) / 1e6:.1f} GB of memory a megapixel at size=small and "
        f"{estimated_memory(1000, 60) / 1e6:.1f} GB at size=paper, for each of --jobs",
    )
    effort: int = option(
        0,
        "steps of a search for what suits each image best (default 0: none); 100 make it better by what some 10 %% "
        "more bytes would, and take two to five minutes a megapixel and core; decompressing takes no longer",
        encoder_only=True,
    )
    tile: int = option(
        1024,
        "of models that code in tiles (others do not look at it): pixels a side that the networks see at a time, "
        "16 or more, rounded down to a multiple of 16 (default 1024); less takes less memory and more time, 0 is the "
        "whole image at once; need not be the same for both ways",
    )

    @property
    def note(self) -> str:
        """What tables say of files that were made with them, beside the coder and the post-filter."""
        return f"effort {self.effort}" if self.effort else ""

    def __post_init__(self) -> None:
        for one in fields(self):
            value, choices = getattr(self, one.name), one.metadata["choices"]
            if choices and value is not None and value not in choices:
                raise OptionError(f"{one.name}={value!r} is none of {', '.join(choices)}")
        if self.max_pixels is not None and self.max_pixels < 1:
            raise OptionError(f"max_pixels={self.max_pixels} must be 1 or more")
        if self.effort < 0:
            raise OptionError(f"effort={self.effort} must be 0 (no search) or more steps")
        if self.tile != 0 and self.tile < LEAST_TILE:
            raise OptionError(f"tile={self.tile} must be 0 (the whole image), or {LEAST_TILE} or more")


@dataclass(frozen=True)
class CompressNetOptions(CodecOptions):
    """switch_source: where a model that predicts its switches takes them from when decoding; `top_left` and `random`
    are controls of what the prediction is worth."""

    switch_source: str = option(
        "predicted",
        "of models that predict their pooling switches: where a decoder takes them from; top_left and random are "
        "controls",
        choices=("predicted", "top_left", "random"),
    )


@dataclass(frozen=True)
class HificOptions(CodecOptions):
    """precision: of analysis and synthesis. A decoder may choose another than the encoder had; pixels then differ by a
    level or so, as they do between tiles."""

    precision: str = option(
        "float32",
        "of the networks (default float32); files can be decompressed with either. bfloat16 is for GPUs: most "
        "processors take longer with it, and several times the memory",
        choices=("float32", "bfloat16"),
    )


@dataclass(frozen=True)
class FamilyEntry:
    """module: that has a `FAMILY`."""

    module: str
    options: type[CodecOptions]


FAMILIES = {
    "compressnet": FamilyEntry("hific.codecs.compressnet", CompressNetOptions),
    "hific": FamilyEntry("hific.codecs.hific", HificOptions),
}


def load_family(name: str) -> Family:
    """One of FAMILIES; KeyError for others."""
    family: Family = import_module(FAMILIES[name].module).FAMILY
    return family


def family_of(model: nn.Module) -> Family:
    """The family whose model it is. TypeError where it is none's."""
    for name in FAMILIES:
        family = load_family(name)
        if isinstance(model, family.model):
            return family
    raise TypeError(f"{type(model).__name__} is the model of no family: {', '.join(FAMILIES)}")


def choose_options(family: str, name: str, given: dict[str, Any]) -> CodecOptions:
    """The options of a family's codec called `name`; of what is given, None stands for the default.

    Raises OptionError for an option that the family does not have, and for values that are none.
    """
    kind = FAMILIES[family].options
    known = [one.name for one in fields(kind)]
    chosen = {option: value for option, value in given.items() if value is not None}
    for option_name, value in chosen.items():
        if option_name not in known:
            raise OptionError(f"{option_name}={value} does not apply to {name}: its options are {', '.join(known)}")
    return kind(**chosen)


def options_by_name() -> dict[str, list[tuple[str, Field[Any]]]]:
    """Every option of any family, with the families that have it."""
    found: dict[str, list[tuple[str, Field[Any]]]] = {}
    for name, entry in FAMILIES.items():
        for one in fields(entry.options):
            found.setdefault(one.name, []).append((name, one))
    return found
