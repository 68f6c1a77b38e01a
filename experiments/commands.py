"""How an experiment calls the suite: the same commands that a person would type, printed before they run."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Options that mean the same to train.py and to evaluate.py.
SHARED_PREFIXES = ("data=", "data.root", "weights.dir=")


@dataclass(frozen=True)
class Options:
    """What `run.py` was called with. `train`, `evaluate`: Hydra overrides for each command."""

    output: Path
    train: tuple[str, ...]
    evaluate: tuple[str, ...]


def parse(description: str | None, output: str, arguments: Sequence[str] | None = None) -> Options:
    """`run.py [--output FOLDER] [overrides of train.py ...] [--evaluate overrides of evaluate.py ...]`.

    data=, data.root and weights.dir count for both commands, unless --evaluate has others.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / output, help="folder for checkpoints and results")
    parser.add_argument("overrides", nargs="*", help="Hydra overrides of train.py, e.g. size=small data=folder")
    parser.add_argument("--evaluate", nargs="*", default=[], help="Hydra overrides of evaluate.py alone")
    options = parser.parse_args(arguments)
    shared = tuple(override for override in options.overrides if override.startswith(SHARED_PREFIXES))
    return Options(options.output.resolve(), tuple(options.overrides), (*shared, *options.evaluate))


def run(script: str, *overrides: str) -> None:
    """Runs train.py or evaluate.py in a process of its own; a failure ends the experiment with its exit status."""
    command = [sys.executable, script, *overrides]
    print("$ python", shlex.join(command[1:]), flush=True)
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    if status != 0:
        sys.exit(status)


def train(options: Options, name: str, *overrides: str) -> Path:
    """Trains into `output`/`name` unless its last.ckpt is already there; returns that checkpoint."""
    folder = options.output / name
    checkpoint = folder / "last.ckpt"
    if checkpoint.exists():
        print(f"{checkpoint} is there already: not trained again (delete it to train anew)", flush=True)
    else:
        run("train.py", *overrides, *options.train, f"hydra.run.dir={folder}")
    return checkpoint


def evaluate(options: Options, checkpoints: Sequence[Path], *overrides: str) -> None:
    """Measures the checkpoints into `output`."""
    paths = ",".join(str(path) for path in checkpoints)
    output = (f"output_dir={options.output}", f"hydra.run.dir={options.output}", "hydra.output_subdir=null")
    run("evaluate.py", f"checkpoint=[{paths}]", *overrides, *options.evaluate, *output)


def ablate(
    description: str | None,
    name: str,
    title: str,
    variants: Mapping[str, Sequence[str]],
    arguments: Sequence[str] | None = None,
) -> None:
    """Trains HiFiC once for each of `variants` (overrides by name) and measures them side by side in outputs/`name`."""
    options = parse(description, f"outputs/{name}", arguments)
    checkpoints = [train(options, variant, "model=hific", *overrides) for variant, overrides in variants.items()]
    evaluate(options, checkpoints, f"names=[{','.join(variants)}]", f"title='{title}'")
