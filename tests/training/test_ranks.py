"""The law of ranks: two with half a batch each compute what one computes with all of it, through train.py's own way.

Everything is compared: what goes in, losses and metrics of every step, gradients, weights, the rate's controller,
ranges, averages, and what files are coded with. In float32 sums are rounded in another order, hence tolerances;
optimizers are SGD, since Adam's step depends on no more than the sign of a gradient that is nearly 0.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from photos import save_noise

REPOSITORY = Path(__file__).resolve().parents[2]
QUICK, SLOW = ("sae_spn", "hific"), ("sae", "swwae", "gc", "parts")
Runs = dict[str, list[dict[str, Any]]]


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def trained(folder: Path, names: tuple[str, ...]) -> Runs:
    """Of each: what one rank leaves alone, and each of two; three processes at a time, which know nothing of each
    other but the two."""
    for split, count in (("train", 5), ("val", 3), ("test", 1)):
        for number in range(count):
            save_noise(folder / "photos" / split / f"{number}.png", (80, 64), seed=number)
    port, environment = free_port(), {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{REPOSITORY}"}
    command = [sys.executable, str(REPOSITORY / "tests" / "rank_runs.py"), str(folder), str(folder / "photos"), *names]
    processes = [
        subprocess.Popen(
            command, env={**environment, **own}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for own in ({}, *({"LOCAL_RANK": rank, "MASTER_PORT": port} for rank in "01"))
    ]
    for process in processes:
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output
    return {
        name: [torch.load(folder / f"{name}_{rank}.pt", weights_only=True) for rank in ("alone", "0", "1")]
        for name in names
    }


@pytest.fixture(scope="module")
def quick_runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return trained(tmp_path_factory.mktemp("ranks"), QUICK)


@pytest.fixture(scope="module")
def slow_runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return trained(tmp_path_factory.mktemp("ranks"), SLOW)


@pytest.fixture(params=[*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def runs(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = request.getfixturevalue("quick_runs" if request.param in QUICK else "slow_runs")[
        request.param
    ]
    return found


def test_two_ranks_compute_what_one_does(runs: list[dict[str, Any]]) -> None:
    alone, first, second = runs
    for whole, *halves in zip(*(run["batches"] for run in runs), strict=True):
        assert torch.equal(whole, torch.cat(halves)) and not torch.equal(*halves)
    assert len(alone["steps"]) == len(first["steps"]) == len(alone["batches"]) > 2
    for rank in (first, second):
        for number, (due, found) in enumerate(zip(alone["steps"], rank["steps"], strict=True)):
            assert "train/loss" in due and ("train/discriminator" in due or number < 2)
            norms = due.pop("train/gradient_norm"), found.pop("train/gradient_norm")
            assert norms[1] == pytest.approx(norms[0], rel=5e-3) and found == pytest.approx(due, rel=1e-3, abs=1e-5)
            due["train/gradient_norm"] = norms[0]
    for part in ("gradients", "weights", "controller"):
        assert first[part].keys() == alone[part].keys()
        for name, value in alone[part].items():
            torch.testing.assert_close(
                first[part][name], value, rtol=1e-3, atol=2e-6, msg=lambda told, at=name: f"{at}: {told}"
            )
    # Of all ranks' photos, by the first rank, which alone writes.
    assert first["fitted"] == alone["fitted"] and len(first["fitted"]) > len(second["fitted"])
    for due, found in zip(alone["coding"], first["coding"], strict=True):
        torch.testing.assert_close(found, due, rtol=1e-4, atol=1e-5)


def test_both_ranks_end_with_the_same_to_the_bit(runs: list[dict[str, Any]]) -> None:
    _, first, second = runs
    for part in ("weights", "controller"):
        assert first[part].keys() == second[part].keys()
        assert all(torch.equal(value, second[part][name]) for name, value in first[part].items()), part
    assert all(torch.equal(*pair) for pair in zip(first["coding"], second["coding"], strict=True))


def test_every_photo_is_measured_once(runs: list[dict[str, Any]]) -> None:
    """Three to validate on and one to test on are no equal shares of two ranks."""
    alone, first, _ = runs
    measured = {name: value for name, value in alone["metrics"].items() if name.startswith(("val/", "test/"))}
    assert {"val/psnr", "val/objective", "test/psnr"} <= measured.keys()
    assert {name: first["metrics"][name] for name in measured} == pytest.approx(measured, rel=1e-3)
