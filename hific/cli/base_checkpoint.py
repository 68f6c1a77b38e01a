"""base_checkpoint=FILE: its size and rate are chosen before the configuration is composed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hific.errors import CheckpointError, OptionError
from hific.io.checkpoint_file import read_checkpoint

TAKEN = ("size", "rate")
STEPS = re.compile(r"\+*(recipe|model)\.[\w.]*steps=.*")


def with_choices_of_base(arguments: Sequence[str]) -> list[str]:
    """Overrides of train.py, with the size and the rate of `base_checkpoint=` where there is one.

    Raises:
        OptionError: others than the base's are asked for, or batches to train; bases of a sweep are not alike.
        CheckpointError: there is no such checkpoint.
    """
    paths = [one.partition("=")[2] for one in arguments if one.startswith("base_checkpoint=")]
    if not paths or paths[-1] in ("null", ""):
        return list(arguments)
    trained = [one for one in arguments if STEPS.fullmatch(one)]
    if trained:
        raise OptionError(f"{trained[0]}: base_checkpoint stays as it is, no batches are trained with it")
    choices = {_choices(Path(path.strip("'\""))) for path in paths[-1].split(",")}
    if len(choices) > 1:
        raise OptionError("base_checkpoint: a sweep is over models of one size and rate")
    added = []
    for group, choice in choices.pop():
        asked = [one.partition("=")[2] for one in arguments if one.startswith(f"{group}=")]
        if asked and asked[-1] != choice:
            raise OptionError(f"{group}={asked[-1]}: base_checkpoint is of {group}={choice}, which is taken from it")
        added += [] if asked else [f"{group}={choice}"]
    return [*arguments, *added]


def _choices(path: Path) -> tuple[tuple[str, str], ...]:
    entry = read_checkpoint(path).get("hific")
    if not isinstance(entry, dict) or not isinstance(entry.get("training"), dict):
        raise CheckpointError(f"{path}: a checkpoint, but not one that this suite's train.py made")
    return tuple((group, str(entry["training"][group])) for group in TAKEN if group in entry["training"])
