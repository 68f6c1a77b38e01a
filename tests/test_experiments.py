"""Studies run at smoke size, end to end, and leave their tables: one in every test run, the others with the slow ones.

Trainings that studies have in common are made once: they share a folder. The one of every test run is started as a
person would; the others run train.py and evaluate.py in the process of the test, which saves a hundred imports. All
together took 252 s of CPU in one process, a fifth of it the one that is started by its command.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from experiments.demo.__main__ import demonstrate
from experiments.plan import Request
from experiments.process import show
from experiments.runner import run_study
from experiments.study import Study, read_sizes, read_study, study_names

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


def check_results(study: Study, output: Path, told: str) -> None:
    folders = [path.parent for path in (output / study.name).rglob("report.md")]
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


def test_study_runs_at_smoke_size_by_its_command(output: Path) -> None:
    check_results(read_study(QUICK), output, run([QUICK, "size=smoke", "--output", str(output)]))
    assert "$ python" not in run([QUICK, "--output", str(output)]), "made already"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in study_names() if name != QUICK])
def test_study_runs_at_smoke_size(
    name: str, output: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[str] = []

    def run_here(script: str, arguments: Sequence[str], keep_open: Sequence[int] = ()) -> int:
        """Of the runner, in place of `run_process`."""
        commands.append(script)
        show(script, arguments)
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        try:
            runpy.run_path(str(REPOSITORY / script), run_name="__main__")
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else 1
        return 0

    study, request = read_study(name), Request("smoke", output)
    assert run_study(study, request, run_here) == {}
    check_results(study, output, capfd.readouterr().out)
    commands.clear()
    assert run_study(study, request, run_here) == {} and not commands, "made already"


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
