"""CPU seconds and memory of one batch of every paper's preset, as train.py takes it: networks, crops and batch of the
papers, every phase once, on a CPU.

    PYTHONPATH=. python benchmarks/paper_presets.py --csv benchmarks/results/paper_presets.csv weights.dir=FOLDER
    PYTHONPATH=. python benchmarks/paper_presets.py recipe.perceptual=none --only compressnet_paper

FOLDER has the pretrained weights of perceptual losses. Photos are the bundled ones. The memory is that of the largest
process: workers that load photos share most of theirs with it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.rows import write_rows

ROOT = Path(__file__).resolve().parents[1]
PRESETS = {
    "compressnet_paper": ("sae", "swwae", "sae_spn", "gc"),
    "hific_paper": ("hific", "hific_xgboost", "hific_knn"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PRESETS, nargs="+", default=list(PRESETS))
    parser.add_argument("--csv", type=Path)
    parser.add_argument("overrides", nargs="*", help="of train.py")
    options = parser.parse_args()
    rows = []
    for experiment in options.only:
        for model in PRESETS[experiment]:
            rows.append({"model": model, "experiment": experiment, **measured(experiment, model, options.overrides)})
            print(rows[-1], flush=True)
    if options.csv:
        write_rows(rows, options.csv)


def measured(experiment: str, model: str, overrides: list[str]) -> dict[str, Any]:
    """Of train.py, from its start to its end. It ends this if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [f"experiment={experiment}", f"model={model}", "data=bundled", "trainer=cpu", *overrides]
        arguments += ["++trainer.fast_dev_run=1", f"hydra.run.dir={folder}/run"]
        began = time.perf_counter()
        process = subprocess.Popen([sys.executable, str(ROOT / "train.py"), *arguments], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"experiment={experiment} model={model} ended with status {process.returncode}")
    return {
        "cpu_seconds": round(used.ru_utime + used.ru_stime),
        "peak_gib": round(used.ru_maxrss / 2**20, 2),
        "wall_seconds": round(seconds),
        "options": " ".join(one for one in overrides if not one.startswith("weights.")),
    }


if __name__ == "__main__":
    main()
