"""What a person asks of an evaluation, checked before anything is coded; learned codecs under the labels of tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch

from hific.codecs.learned_codec import LearnedCodec
from hific.coding.container import CODERS
from hific.errors import OptionError, TooLargeError, WeightsNotFoundError, in_a_line
from hific.evaluation.codecs_under_test import FixedCodec, variant_under_test
from hific.evaluation.folder import read_rows
from hific.weights import WeightsName, find_weights


def check_known(option: str, wanted: Iterable[str], known: Collection[str]) -> None:
    """OptionError unless every wanted name is known; the message names `option`, the stranger and what there is."""
    if strangers := [str(name) for name in wanted if name not in known]:
        there = "; ".join(map(str, known)) if any("," in str(name) for name in known) else ", ".join(map(str, known))
        raise OptionError(f"{option}: there is no {', '.join(strangers)}; there is: {there or 'nothing to choose'}")


def check_device(device: str) -> None:
    """OptionError unless networks can run on `device`, torch's name of it."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: a torch that was built without CUDA
        reason = str(error).splitlines()[0]
        raise OptionError(f"device={device} cannot be used here ({reason}): take device=cpu") from error


def check_folder(option: str, folder: str | Path | None) -> None:
    """OptionError unless it is None or a folder that exists."""
    if folder and not Path(folder).expanduser().is_dir():
        raise OptionError(f"{option}={folder}: there is no such folder")


def check_file(option: str, file: str | Path | None) -> None:
    """OptionError unless it is None or a file that exists."""
    if file and not Path(file).is_file():
        raise OptionError(f"{option}={file}: there is no such file")


def check_output(option: str, folder: str | Path) -> None:
    """OptionError where a file stands in the way of a folder that is to be made."""
    path = Path(folder).absolute()
    for one in (path, *path.parents):
        if one.exists() and not one.is_dir():
            raise OptionError(f"{option}={folder}: {one} is a file, not a folder")


def check_positive(option: str, value: int | None) -> None:
    """OptionError unless it is None or above 0."""
    if value is not None and value < 1:
        raise OptionError(f"{option}={value} must be a whole number above 0, or null")


def check_scale(value: float) -> None:
    """OptionError unless it lies in (0, 1]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise OptionError(f"scale={value} must be above 0, and at most 1")


def check_zoom(option: str, value: float) -> None:
    """OptionError unless it lies in [0, 1]."""
    if not 0 <= value <= 1:
        raise OptionError(f"{option}={value} must be a share from 0 to 1")


def byte_limits_wanted(
    match_to: str | int, references: Sequence[str], images: Sequence[str]
) -> Mapping[str, int] | Sequence[str]:
    """What `measure_all` takes for its limits: bytes by image, or the labels whose bytes they are. OptionError where
    there is nothing to match."""
    if isinstance(match_to, int):
        return dict.fromkeys(images, match_to)
    match_to = str(match_to)  # 0.5 is none of these either
    if Path(match_to).suffix in (".parquet", ".csv"):
        return _limits_of_rows(match_to, images)
    if match_to not in ("first", "each"):
        raise OptionError(f"match_to={match_to}: it is first, each, a number of bytes or a measurements.parquet")
    if not references:
        raise OptionError("there is no checkpoint to match bytes to: give checkpoint=... or match_to=BYTES")
    return references[:1] if match_to == "first" else references


def _limits_of_rows(path: str, images: Sequence[str]) -> dict[str, int]:
    """The limits that classical codecs had in earlier rows: another codec joins them where the checkpoint is gone."""
    try:
        rows = read_rows(path)
    except (OSError, ValueError) as error:
        raise OptionError(f"match_to={path} holds no measurements ({in_a_line(error)})") from error
    found = {(row.image, row.max_bytes) for row in rows if row.max_bytes is not None and not row.is_set}
    limits = dict(found)
    if len(limits) < len(found):
        raise OptionError(f"match_to={path}: its codecs were matched to several systems, so an image has no one limit")
    if missing := [image for image in images if image not in limits]:
        raise OptionError(f"match_to={path}: no classical codec was measured of {', '.join(missing)}")
    return limits


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
