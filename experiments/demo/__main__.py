"""Trains the tiny CompressNet on the bundled photos, writes real files, reads them back, measures (`make demo`).

No study: it is made anew each time, in a folder whose name does not change.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.process import ROOT, Interrupted, run_process
from hific.cli import INTERRUPTED

TRAIN = ("model=sae_spn", "rate=high", "size=tiny", "data=bundled", "trainer=cpu")
HINT = """
{output}: report.md has the table, panel.png the pictures, files/ what was written. Now try your own photo:
  .venv/bin/hific compress photo.jpg --checkpoint {output}/last.ckpt
  .venv/bin/hific decompress photo.hfc --checkpoint {output}/last.ckpt"""


def demonstrate(output: Path, train: Sequence[str] = (), evaluate: Sequence[str] = ()) -> int:
    """Into `output`, which is emptied first, with further overrides; the exit status of what failed, or 0."""
    shutil.rmtree(output, ignore_errors=True)
    if status := run_process("train.py", [*TRAIN, *train, f"hydra.run.dir={output}"]):
        return status
    measured = (f"checkpoint={output}/last.ckpt", "data=bundled", "title='CompressNet demo, tiny size'")
    where = (f"output_dir={output}", f"hydra.run.dir={output}", "hydra.output_subdir=null")
    if status := run_process("evaluate.py", [*measured, *evaluate, *where]):
        return status
    print(HINT.format(output=output))
    return 0


def main() -> int:
    try:
        return demonstrate(ROOT / "outputs" / "demo")
    except (Interrupted, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
