"""Learned codecs under the labels that tables give them, and which of their files are measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from hific.codecs.learned_codec import LearnedCodec
from hific.coding.container import CODERS
from hific.errors import OptionError, TooLargeError, WeightsNotFoundError
from hific.evaluation.codecs_under_test import FixedCodec, variant_under_test
from hific.evaluation.request import check_known
from hific.weights import WeightsName, find_weights

LAST = "last"


@dataclass(frozen=True)
class LabeledCodec:
    """coders: those whose files are measured, in the order of their rows."""

    label: str
    codec: LearnedCodec
    coders: tuple[str, ...]

    @property
    def reference(self) -> str:
        """The label of the row whose bytes classical codecs are matched to: the last coder's, without post-filter."""
        return f"{self.label}, {self.codec.variants(self.coders)[len(self.coders) - 1].label}"

    def under_test(self, *, controls: bool) -> list[FixedCodec]:
        """A row for each variant of its files."""
        variants = self.codec.variants(self.coders)
        return [variant_under_test(self.label, one) for one in variants if controls or not one.is_control]


def label_codecs(codecs: Sequence[LearnedCodec], names: Sequence[str], coders: Sequence[str]) -> list[LabeledCodec]:
    """names: labels, or none for the codecs' own; coders: wanted ones, `last` alone, or none for all.

    Raises OptionError where the names do not tell the codecs apart, and where a codec has none of the coders.
    """
    labels = list(names) or [codec.name for codec in codecs]
    if len(labels) != len(codecs) or len(set(labels)) < len(labels):
        raise OptionError(f"{len(codecs)} checkpoints are called {labels}: give each a name of its own by names=[...]")
    return [LabeledCodec(label, one, _chosen(label, one, coders)) for label, one in zip(labels, codecs, strict=True)]


def _chosen(label: str, codec: LearnedCodec, wanted: Sequence[str]) -> tuple[str, ...]:
    known = tuple(codec.coding.coders)
    if list(wanted) == [LAST]:
        return known[-1:]
    chosen = tuple(coder for coder in wanted or known if coder in known)
    if not chosen:
        raise OptionError(f"coders={list(wanted)}: {label} has {', '.join(known)}")
    return chosen


def check_coders(wanted: Sequence[str]) -> None:
    """OptionError for what no file is coded by."""
    if list(wanted) != [LAST]:
        check_known("coders", wanted, CODERS)


def size_check(codecs: Sequence[LearnedCodec]) -> Callable[[int, int], None]:
    """Of width and height; raises TooLargeError where one of the codecs does not take them."""

    def check(width: int, height: int) -> None:
        for codec in codecs:
            try:
                codec.check_size(width, height)
            except TooLargeError as error:
                raise TooLargeError(f"{codec.name}: {error}") from error

    return check


def weights_warnings(folder: str | None) -> list[str]:
    """A sentence where a folder was given and none of its files is found by name."""
    if not folder:
        return []
    own = Path(folder).expanduser()
    for name in get_args(WeightsName):
        try:
            if find_weights(name, own).parent == own:
                return []
        except WeightsNotFoundError:
            continue
    names = ", ".join(f"{name}.pth" for name in get_args(WeightsName))
    return [f"weights.dir={folder} holds no pretrained weights under the names that are looked for, such as {names}."]
