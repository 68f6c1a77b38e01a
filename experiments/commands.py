"""How an experiment calls the suite: the same commands that a person would type, printed before they run."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hific.cli import INTERRUPTED

ROOT = Path(__file__).resolve().parents[1]
# Options that mean the same to train.py and to evaluate.py.
SHARED_PREFIXES = ("data=", "data.root", "weights.dir=")
# Left in the folder of a run that came to its end: an interrupted one has a last.ckpt too.
FINISHED = "finished"


@dataclass(frozen=True)
class Options:
    """What `run.py` was called with. `train`, `evaluate`: Hydra overrides for each command; `bases`: checkpoints of
    trained models, none where they are to be trained first."""

    output: Path
    train: tuple[str, ...]
    evaluate: tuple[str, ...]
    bases: tuple[Path, ...] = ()


def parse(
    description: str | None, output: str, arguments: Sequence[str] | None = None, *, bases: Sequence[str] = ()
) -> Options:
    """`run.py [--output FOLDER] [overrides of train.py ...] [--evaluate overrides of evaluate.py ...]`.

    data=, data.root and weights.dir count for both commands, unless --evaluate has others. `bases`: what checkpoints
    are called that the experiment trains where they are not given: --base is one, --bases are several. Exits where a
    file is missing.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / output, help="folder for checkpoints and results")
    parser.add_argument("overrides", nargs="*", help="Hydra overrides of train.py, e.g. size=small data=folder")
    parser.add_argument("--evaluate", nargs="*", default=[], help="Hydra overrides of evaluate.py alone")
    parser.set_defaults(bases=[])
    if bases:
        option = "--base" if len(bases) == 1 else "--bases"
        about = "HiFiC that is trained already and stays as it is; without, it is trained first"
        parser.add_argument(option, dest="bases", type=Path, nargs=len(bases), metavar=tuple(bases), help=about)
    # Intermixed: overrides may stand on both sides of an option.
    options = parser.parse_intermixed_args(arguments)
    for path in options.bases:
        if not path.is_file():
            sys.exit(f"error: {path}: no such checkpoint")
    shared = tuple(override for override in options.overrides if override.startswith(SHARED_PREFIXES))
    return Options(
        options.output.resolve(),
        tuple(options.overrides),
        (*shared, *options.evaluate),
        tuple(path.resolve() for path in options.bases),
    )


def run(script: str, *overrides: str) -> None:
    """Runs train.py or evaluate.py in a process of its own; a failure ends the experiment with its exit status."""
    command = [sys.executable, script, *overrides]
    print("$ python", shlex.join(command[1:]), flush=True)
    interrupted = False
    with subprocess.Popen(command, cwd=ROOT) as process:
        while True:
            try:
                process.wait()
                break
            except KeyboardInterrupt:
                interrupted = True  # The terminal tells both: train.py saves what it has.
    if interrupted or process.returncode != 0:
        sys.exit(INTERRUPTED if interrupted else process.returncode)


def train(options: Options, name: str, *overrides: str) -> Path:
    """Trains into `output`/`name`, going on where an interrupted run stopped, unless that is finished; returns the
    checkpoint."""
    folder = options.output / name
    checkpoint = folder / "last.ckpt"
    resume = [f"ckpt_path={checkpoint}"] if checkpoint.exists() and not (folder / FINISHED).exists() else []
    if resume:
        print(
            f"{checkpoint} is of a run that did not finish: going on from it (delete it to train anew; if it did "
            f"finish, by an earlier version: touch {folder / FINISHED})",
            flush=True,
        )
    return train_once(folder, *overrides, *options.train, *resume)


def train_once(folder: Path, *overrides: str) -> Path:
    """Runs train.py into `folder` unless a run there is finished; returns its last.ckpt."""
    checkpoint = folder / "last.ckpt"
    if checkpoint.exists() and (folder / FINISHED).exists():
        print(f"{checkpoint} is there already: not made again (delete it to make it anew)", flush=True)
    else:
        (folder / FINISHED).unlink(missing_ok=True)
        run("train.py", *overrides, f"hydra.run.dir={folder}")
        (folder / FINISHED).touch()
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
