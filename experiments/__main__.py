"""python -m experiments NAME size=smoke|short|small|paper [overrides of train.py] [--evaluate overrides of evaluate.py]

size= is smoke where it is left out; seeds=[1,2,3] trains each variant so often. data=, data.root and weights.dir count
for evaluate.py too, unless --evaluate has others. What was made before of the same options, photos and code is taken,
what was stopped goes on.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.process import ROOT, Interrupted
from experiments.study import read_study
from hific.cli import INTERRUPTED
from hific.errors import OptionError, exit_on_user_error
from hific.zoo import MODELS

if TYPE_CHECKING:
    from experiments.plan import Request


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, 1 (something failed), 2 (usage), 130 (Ctrl-C)."""
    options = _parser().parse_intermixed_args(arguments)
    output = options.output.resolve()
    with exit_on_user_error():
        if options.list:
            from experiments.listing import list_studies

            print(list_studies(output))
            return 0
        if not options.overrides:
            raise OptionError("which experiment? python -m experiments --list shows all")
        study = read_study(options.overrides[0])
        # Ten seconds of libraries: for those who named a study that there is.
        from experiments.runner import run_study, show_commands

        request = _request(options.overrides[1:], options.evaluate, options.use, output)
        if request.seeds is not None:
            study = replace(study, seeds=request.seeds)
        if options.dry_run:
            show_commands(study, request)
            return 0
        try:
            failures = run_study(study, request)
        except (Interrupted, KeyboardInterrupt):
            print("interrupted; the same command goes on from here", file=sys.stderr)
            return INTERRUPTED
    for label, problem in failures.items():
        print(f"failed: {label}: {problem}", file=sys.stderr)
    return 1 if failures else 0


def _request(overrides: Sequence[str], evaluate: Sequence[str], use: Sequence[str], output: Path) -> Request:
    from experiments.plan import Request

    sizes = [one.removeprefix("size=") for one in overrides if one.startswith("size=")]
    seeds = [one.removeprefix("seeds=") for one in overrides if one.startswith("seeds=")]
    train = tuple(one for one in overrides if not one.startswith(("size=", "seeds=")))
    pairs = [one.partition("=") for one in use]
    if wrong := [variant for variant, equals, path in pairs if not (equals and path)]:
        raise OptionError(f"--use {wrong[0]}: VARIANT=CHECKPOINT is due")
    given = {variant: Path(path) if path in MODELS else Path(path).expanduser().resolve() for variant, _, path in pairs}
    chosen = _seeds(seeds[-1]) if seeds else None
    return Request(sizes[-1] if sizes else "smoke", output, train, tuple(evaluate), given, chosen)


def _seeds(text: str) -> tuple[int, ...]:
    inside = re.fullmatch(r"\[\s*(\d+(?:\s*,\s*\d+)*)\s*\]", text)
    if inside is None:
        raise OptionError(f"seeds={text}: whole numbers as in seeds=[1,2,3] are due")
    return tuple(int(one) for one in inside[1].split(","))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*", metavar="NAME [OVERRIDE]", help="experiment, overrides of train.py")
    parser.add_argument("--evaluate", nargs="*", default=[], metavar="OVERRIDE", help="overrides of evaluate.py alone")
    parser.add_argument(
        "--use",
        nargs="+",
        default=[],
        metavar="VARIANT=FILE",
        help="checkpoints or shipped models in place of trainings",
    )
    output = ROOT / "outputs" / "experiments"
    parser.add_argument("--output", type=Path, default=output, help="folder for checkpoints and results")
    parser.add_argument("--dry-run", action="store_true", help="show the commands and what is there already")
    parser.add_argument("--list", action="store_true", help="all experiments: state, last result, cost")
    return parser


if __name__ == "__main__":
    sys.exit(main())
