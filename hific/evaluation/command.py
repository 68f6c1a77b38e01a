"""What was typed, as a reader can type it again on another machine: without the paths of this one."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

SCRIPT = "evaluate.py"
# Where results go says nothing of what they are.
_PLACES = re.compile(r"[+~]*(output_dir|hydra[./])")
_FOLDERS = re.compile(r"(?:~|[^\s=,\[\]{}'\"/]*)/(?:[^\s,\[\]{}'\"/]*/)*(?=[^\s,\[\]{}'\"/]|$)")


def typed_command(arguments: Sequence[str] | None = None) -> str:
    """Of `python evaluate.py ...`, in which a path is its last part; empty where another program calls.

    `arguments`: by default those of this process."""
    script, *options = sys.argv if arguments is None else arguments
    if Path(script).name != SCRIPT:
        return ""
    kept = [_without_folders(option) for option in options if not _PLACES.match(option)]
    return " ".join(["python", SCRIPT, *map(shlex.quote, kept)])


def _without_folders(option: str) -> str:
    """Of NAME=VALUE the value: NAME may be a group of Hydra such as data/base."""
    name, equals, value = option.partition("=")
    return f"{name}{equals}{_FOLDERS.sub('', value.rstrip('/'))}"
