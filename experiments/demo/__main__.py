"""`make demo`: what the shipped models do with the bundled photos, then a training from nothing as a proof.

1. outputs/demo/shipped: the photos through the models of hific/zoo, beside classical codecs at the same bytes.
2. outputs/demo: trains the tiny CompressNet for a few minutes, writes real files, reads them back, measures.

No study: it is made anew each time, in a folder whose name does not change.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.process import ROOT, Interrupted, run_process
from hific import zoo
from hific.cli import INTERRUPTED

TRAIN = ("model=sae_spn", "rate=high", "size=tiny", "data=bundled", "trainer=cpu")
SHIPPED = """
{output}/shipped: report.md has the table, panel.png the pictures of the shipped models. Now your own photo:
  .venv/bin/hific compress photo.jpg
  .venv/bin/hific decompress photo.hfc

What follows trains a tiny network for a few minutes: it shows that training works, and its pictures are no match."""
TRAINED = """
{output}: the same of the tiny network. Its checkpoint codes photos too:
  .venv/bin/hific compress photo.jpg --checkpoint {output}/last.ckpt"""


def demonstrate(output: Path, train: Sequence[str] = (), evaluate: Sequence[str] = ()) -> int:
    """Into `output`, which is emptied first, with further overrides; the exit status of what failed, or 0."""
    shutil.rmtree(output, ignore_errors=True)
    models = (f"checkpoint=[{','.join(zoo.BY_RATE)}]", "coders=last", "match_to=each")
    shown = ("title='Shipped models'", "panel.zoom_x=0.44", "panel.zoom_y=0.22")  # the astronaut's face
    if status := _evaluate(output / "shipped", [*models, *shown, *evaluate]):
        return status
    print(SHIPPED.format(output=output))
    if status := run_process("train.py", [*TRAIN, *train, f"hydra.run.dir={output}"]):
        return status
    tiny = (f"checkpoint={output}/last.ckpt", "title='A tiny CompressNet, trained for minutes'")
    if status := _evaluate(output, [*tiny, *evaluate]):
        return status
    print(TRAINED.format(output=output))
    return 0


def _evaluate(output: Path, overrides: Sequence[str]) -> int:
    where = (f"output_dir={output}", f"hydra.run.dir={output}", "hydra.output_subdir=null")
    return run_process("evaluate.py", ["data=bundled", *overrides, *where])


def main() -> int:
    try:
        return demonstrate(ROOT / "outputs" / "demo")
    except (Interrupted, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
