"""train.py and evaluate.py as a person would call them: printed, then run in a process of their own."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from hific.cli import INTERRUPTED

ROOT = Path(__file__).resolve().parents[1]


class Interrupted(Exception):
    """Ctrl-C, for the experiment as for the command that ran."""


class Run(Protocol):
    """Runs a script with its arguments and returns its exit status. keep_open: file descriptors that live as long as
    the process does."""

    def __call__(self, script: str, arguments: Sequence[str], keep_open: Sequence[int] = ()) -> int: ...


def show(script: str, arguments: Sequence[str]) -> None:
    print("$ python", shlex.join([script, *arguments]), flush=True)


def run_process(script: str, arguments: Sequence[str], keep_open: Sequence[int] = ()) -> int:
    """In the folder of the checkout. Raises Interrupted when Ctrl-C was pressed, after the process has saved what it
    has: the terminal tells both."""
    show(script, arguments)
    interrupted = False
    with subprocess.Popen([sys.executable, script, *arguments], cwd=ROOT, pass_fds=tuple(keep_open)) as process:
        while True:
            try:
                status = process.wait()
                break
            except KeyboardInterrupt:
                interrupted = True
    if interrupted or status == INTERRUPTED:
        raise Interrupted
    return status
