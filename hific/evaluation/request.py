"""What a person asks of an evaluation, checked before anything is coded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import torch

from hific.errors import OptionError


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


def byte_limits_wanted(
    match_to: str | int, references: Sequence[str], images: Sequence[str]
) -> Mapping[str, int] | Sequence[str]:
    """What `measure_all` takes for its limits: bytes by image, or the labels whose bytes they are. OptionError where
    there is nothing to match."""
    if isinstance(match_to, int):
        return dict.fromkeys(images, match_to)
    if match_to not in ("first", "each"):
        raise OptionError(f"match_to={match_to}: it is first, each or a number of bytes")
    if not references:
        raise OptionError("there is no checkpoint to match bytes to: give checkpoint=... or match_to=BYTES")
    return references[:1] if match_to == "first" else references
