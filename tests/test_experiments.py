"""Studies run at smoke size, end to end, and leave their tables: one in every test run, the others with the slow ones.

Trainings that studies have in common are made once: they share a folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from experiments.demo.__main__ import demonstrate
from experiments.study import read_sizes, read_study, study_names

REPOSITORY = Path(__file__).resolve().parents[1]
QUICK = "ablation_location"
REPORT = ("report.html", "report.md", "table.md", "table.tex", "measurements.parquet", "measurements.csv", "panel.png")


@pytest.fixture(scope="session")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all workers of pytest-xdist: the runner waits where another trains the same."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "experiments"
    folder.mkdir(exist_ok=True)
    return folder


def run(arguments: Sequence[str]) -> str:
    command = [sys.executable, "-m", "experiments", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == QUICK else [pytest.mark.slow]) for name in study_names()]
)
def test_study_runs_at_smoke_size(name: str, output: Path) -> None:
    study = read_study(name)
    told = run([name, "size=smoke", "--output", str(output)])
    folders = [path.parent for path in (output / name).rglob("report.md")]
    assert len(folders) == max(1, len(study.measure))
    for folder in folders:
        assert all((folder / file).stat().st_size > 0 for file in REPORT)
        assert list(folder.rglob("*.hfc"))
    for table in study.tables:
        assert (folders[0] / f"{table}.md").read_text() in told and (folders[0] / f"{table}.csv").stat().st_size > 0
        assert (
            study.question.split("'")[0] in (folders[0] / "report.html").read_text()
            and f"<h3>{table}</h3>" in (folders[0] / "report.html").read_text()
        )
    assert "$ python" not in run([name, "--output", str(output)]), "made already"


def test_the_demo_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    smoke = read_sizes("compressnet")["smoke"]
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "of before").touch()
    assert demonstrate(folder, smoke.train, smoke.evaluate) == 0
    assert all((folder / file).stat().st_size > 0 for file in REPORT) and not (folder / "of before").exists()
    assert all((folder / "shipped" / file).stat().st_size > 0 for file in REPORT)
    assert f"hific compress photo.jpg --checkpoint {folder}/last.ckpt" in capfd.readouterr().out
