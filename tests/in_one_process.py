"""`python in_one_process.py EXPERIMENT ...`: its run.py, whose calls of train.py and evaluate.py share this process.

Importing torch and Lightning takes a process five seconds; an experiment over one base has as many as ten of them.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from experiments import commands  # noqa: E402


def run(script: str, *overrides: str) -> None:
    """As `commands.run`."""
    sys.argv = [script, *overrides]
    runpy.run_path(str(REPOSITORY / script), run_name="__main__")


if __name__ == "__main__":
    _, experiment, *arguments = sys.argv
    commands.run = run
    importlib.import_module(f"experiments.{experiment}.run").main(arguments)
