"""What a person asks of an evaluation, checked before anything is coded."""

from __future__ import annotations

from collections.abc import Collection, Iterable
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
