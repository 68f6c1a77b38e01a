"""HiFiC at size=small and three rates, stage 1 and stage 2 beside classical codecs at the same bytes.

    python -m experiments.hific_small.run data=folder data.root=photos weights.dir=weights \
        --evaluate data=kodak data.root=kodak

Medium is trained first; low and high start from its first stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from experiments.commands import Options, evaluate, parse, train

FIRST = ("size=small", "model.stage1_steps=14000", "model.stage2_steps=2500")
BRANCH = ("size=small", "model.stage1_steps=3000", "model.stage2_steps=1700", "model.optimizer.lr=3e-4")


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(__doc__, "outputs/hific_small", arguments)
    for rate, checkpoint in train_rates(options).items():
        _measure(options, rate, checkpoint)


def train_rates(options: Options) -> dict[str, Path]:
    """Checkpoints of low, medium and high; low and high start from medium's first stage, which is trained first."""
    medium = train(options, "medium", "model=hific", "rate=medium", *FIRST)
    start = f"model.init_from={medium.with_name('stage1.ckpt')}"
    low, high = (train(options, rate, "model=hific", f"rate={rate}", *BRANCH, start) for rate in ("low", "high"))
    return {"low": low, "medium": medium, "high": high}


def _measure(options: Options, rate: str, last: Path) -> None:
    """The finished model, whose bytes classical codecs are matched to, and what it was after its first stage."""
    measured = replace(options, output=options.output / f"kodak_{rate}")
    names = f"names=[hific_{rate},hific_{rate}_stage1]"
    evaluate(measured, [last, last.with_name("stage1.ckpt")], names, f"title='HiFiC, small size, {rate}'")


if __name__ == "__main__":
    main()
