"""Every experiment runs at smoke size and leaves its table, and names the paper's claims with their source."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_overrides import TINY

REPOSITORY = Path(__file__).resolve().parents[1]
SMOKE = [*TINY, "size.max_steps=2", "size.val_check_interval=2", "test=false"]
SMALL_EVALUATION = ["crop=64", "num_images=1"]
EXPERIMENTS = {
    "demo": ["classical=[jpeg]"],
    "compressnet_small": ["classical=[jpeg]"],
    "fig8_benchmark": ["classical=[jpeg]"],
    "ablation_spn_controls": [],
    "hific_small": ["classical=[jpeg]"],
    "ablation_hific_strategy": ["classical=[]"],
    # The same code with other overrides, which tests/training tries one by one.
    **{
        f"ablation_hific_{factor}": ["classical=[]"]
        for factor in (
            "activation",
            "discriminator",
            "normalization",
            "perceptual_loss",
            "quantization",
            "rate_target",
            "start",
        )
    },
    "hific_xgboost_tables": [],
    "ablation_neighbor_stage": [],
    "ablation_neighbor_predictor": [],
    # The same code with other overrides once more.
    **{f"ablation_neighbor_{factor}": [] for factor in ("windows", "side", "location", "order")},
}
QUICK = ("ablation_hific_strategy", "ablation_neighbor_stage", "ablation_neighbor_predictor")
SLOW = [
    name for name in EXPERIMENTS if name.startswith(("ablation_hific_", "ablation_neighbor_")) and name not in QUICK
]
# What fits predictors to a base: many short runs, and a table of its own.
TABLES = {name: ["ablation"] for name in EXPERIMENTS if name.startswith("ablation_neighbor_")}
TABLES["hific_xgboost_tables"] = ["table1_bytes", "table3_quality"]
FEW = ["callbacks.tables.num_photos=4", "neighbor.xgboost.predictor.rounds=2", "refinement.xgboost.rounds=2"]


def test_all_experiments_are_tested() -> None:
    assert {path.parent.name for path in (REPOSITORY / "experiments").glob("*/run.py")} == set(EXPERIMENTS)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in EXPERIMENTS]
)
def test_experiment_runs_at_smoke_size(name: str, tmp_path: Path) -> None:
    steps = ["model.stage1_steps=1", "model.stage2_steps=1"] if "hific" in name else []
    if name == "ablation_hific_strategy":
        steps = []  # one of its variants sets them itself
    command = [sys.executable, "-m", f"experiments.{name}.run"]
    if name in TABLES:
        command, steps = [sys.executable, "tests/in_one_process.py", name], [*steps, *FEW]
    command += ["--output", str(tmp_path), *SMOKE, *steps]
    command += ["--evaluate", *SMALL_EVALUATION, *EXPERIMENTS[name]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    folders = [path.parent for path in tmp_path.rglob("report.md")]
    assert len(folders) == (3 if name == "hific_small" else 1)
    for folder in folders:
        for file in ("table.md", "table.tex", "measurements.parquet", "measurements.csv", "panel.png"):
            assert (folder / file).stat().st_size > 0, file
    assert list(tmp_path.rglob("*.hfc"))
    for table in TABLES.get(name, []):
        for suffix in (".md", ".csv"):
            assert (tmp_path / f"{table}{suffix}").read_text() in done.stdout or suffix == ".csv"


@pytest.mark.parametrize("path", sorted((REPOSITORY / "experiments").glob("*/paper.csv")), ids=lambda p: p.parent.name)
def test_claims_have_a_source_and_a_value_or_say_that_there_is_none(path: Path) -> None:
    with path.open() as file:
        for row in csv.DictReader(file):
            assert row["source"] and row["claim"] and row["value"], row
