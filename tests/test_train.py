"""train.py as a person calls it: sweeps, several processes, Ctrl-C, wrong options, loggers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_overrides import TINY_COMPRESSNET, TINY_HIFIC

import hific

REPOSITORY = Path(__file__).resolve().parents[1]
SHORT = [*TINY_COMPRESSNET, "recipe.steps=4", "recipe.val_check_interval=4"]
SHORT_HIFIC = [*TINY_HIFIC, "recipe.val_check_interval=4"]
CPU_DDP = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "offline",
        # Workers of launchers start elsewhere than in this checkout.
        "PYTHONPATH": f"{REPOSITORY / 'tests'}{os.pathsep}{REPOSITORY}",
    }
    return subprocess.Popen(
        [sys.executable, str(REPOSITORY / "train.py"), *arguments],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(*arguments: str, cwd: Path, status: int = 0) -> str:
    process = start(*arguments, cwd=cwd)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == status, output
    return output


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, map_location="cpu", weights_only=True)["state_dict"]


def test_a_run_leaves_checkpoints_metrics_and_pictures(tmp_path: Path) -> None:
    run(*SHORT, "hydra.run.dir=run", "logger=tensorboard", cwd=tmp_path)
    folder = tmp_path / "run"
    for name in ("last.ckpt", "best.ckpt", "metrics.csv", ".hydra/config.yaml"):
        assert (folder / name).exists(), name
    assert list((folder / "reconstructions").glob("*.png"))
    assert list((folder / "tensorboard").rglob("events*"))
    header = (folder / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"val/psnr", "test/psnr", "train/level_0", "train/switch_accuracy"} <= set(header)


def test_a_sweep_makes_a_folder_a_job(tmp_path: Path) -> None:
    run("-m", "model=sae,sae_spn", "rate=low,high", *SHORT, "hydra.sweep.dir=sweep", "test=false", cwd=tmp_path)
    checkpoints = sorted((tmp_path / "sweep").glob("*/last.ckpt"))
    assert len(checkpoints) == 4
    assert {hific.load_codec(path).name for path in checkpoints} == {"sae", "sae_spn"}


def test_hific_sweeps_over_rates(tmp_path: Path) -> None:
    run("-m", "model=hific", "rate=low,medium,high", *SHORT_HIFIC, "hydra.sweep.dir=sweep", "test=false", cwd=tmp_path)
    targets = {"low": 0.14, "medium": 0.30, "high": 0.45}
    for rate, target in targets.items():
        codec = hific.load_codec(tmp_path / "sweep" / f"rate={rate}" / "last.ckpt")
        assert codec.training["target_bpp"] == target
    assert len(list((tmp_path / "sweep").glob("*/stage1.ckpt"))) == 3


@pytest.mark.parametrize("model", ["swwae", "hific"])
def test_two_processes_hold_equal_weights(model: str, tmp_path: Path) -> None:
    """gloo on the CPU, by Lightning's launcher; each rank writes its weights and what coding is made of, and both must
    be equal to the bit. (tests/training/test_ranks.py compares them with one rank's.)"""
    watch = ["+callbacks.watch._target_=rank_callback.SaveRank", f"+callbacks.watch.folder={tmp_path}"]
    short = SHORT_HIFIC if model == "hific" else SHORT
    run(
        *short,
        "recipe.batch_size=4",
        f"model={model}",
        *CPU_DDP,
        *watch,
        "hydra.run.dir=run",
        "test=false",
        cwd=tmp_path,
    )
    ranks = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert ranks[0]["weights"].keys() == ranks[1]["weights"].keys()
    for name, value in ranks[0]["weights"].items():
        assert torch.equal(value, ranks[1]["weights"][name]), name
    assert len(ranks[0]["coding"]) == (2 if model == "hific" else 4 * 2 * 2)  # networks; or batches, ranks, images
    for one, two in zip(ranks[0]["coding"], ranks[1]["coding"], strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(ranks[0]["batch"], ranks[1]["batch"])  # or two ranks did the work of one
    assert len(list(tmp_path.glob("run*"))) == 1
    hific.load_codec(tmp_path / "run" / "last.ckpt")


def test_ranks_of_torchrun_share_the_folder_that_is_named(tmp_path: Path) -> None:
    """As on a cluster: a folder by the clock would be another for each rank."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    short = [*SHORT, *CPU_DDP, "recipe.batch_size=4", "test=false", "resume=auto"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY / "tests")}
    for folder, status in (([], 1), (["hydra.run.dir=run"], 0)):
        arguments = [*command, str(REPOSITORY / "train.py"), *short, *folder]
        done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert (done.returncode == 0) == (status == 0), done.stderr
        assert ("2 ranks started by torchrun need one folder: hydra.run.dir=FOLDER" in done.stderr) == bool(status)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert '"state": "done"' in (tmp_path / "run" / "run.json").read_text()


@pytest.mark.slow
def test_two_nodes_with_an_agent_each_are_one_run(tmp_path: Path) -> None:
    """As on two machines, on loopback: each agent starts the rank of its node; the first rank alone writes."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    agent = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d"]
    agent += [f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-id=two", "--local-addr=127.0.0.1"]
    nodes = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.num_nodes=2"]
    short = [*SHORT_HIFIC, "model=hific", "recipe.batch_size=4", *nodes, "hydra.run.dir=run", "resume=auto"]
    watch = ["+callbacks.watch._target_=rank_callback.SaveRank", f"+callbacks.watch.folder={tmp_path}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY / "tests")}
    arguments = [*agent, str(REPOSITORY / "train.py"), *short, *watch]
    agents = [
        subprocess.Popen(arguments, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    for process in agents:
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output.decode()
    ranks = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    for name, value in ranks[0]["weights"].items():
        assert torch.equal(value, ranks[1]["weights"][name]), name
    assert not torch.equal(ranks[0]["batch"], ranks[1]["batch"])
    assert '"state": "done"' in (tmp_path / "run" / "run.json").read_text()
    assert len(list(tmp_path.glob("run*"))) == 1
    hific.load_codec(tmp_path / "run" / "last.ckpt")


def test_two_processes_fit_what_one_does(tmp_path: Path) -> None:
    run("model=hific", "rate=high", *SHORT_HIFIC, "hydra.run.dir=base", "test=false", cwd=tmp_path)
    few = ["context_model.num_photos=5", "context_model.fit.rounds=3"]
    few += ["postfilter.num_photos=5", "postfilter.rounds=3", "data.num_workers=0", "data.eval_crop=64"]
    # Neither the size nor the rate of the base, nor weights for its training.
    fit = ["model=hific_xgboost", "postfilter=xgboost", f"base_checkpoint={tmp_path / 'base' / 'last.ckpt'}", *few]
    run(*fit, "hydra.run.dir=one", "test=false", cwd=tmp_path)
    run(*fit, *CPU_DDP, "hydra.run.dir=two", cwd=tmp_path)
    one, two = (hific.load_codec(tmp_path / run / "last.ckpt") for run in ("one", "two"))
    assert one.setting == "xgboost, post-filter" and one.fingerprint == two.fingerprint
    assert one.training["rate"] == "high"


@pytest.mark.slow
def test_what_two_processes_cannot_fit_is_one_line(tmp_path: Path) -> None:
    few = ["context_model=linear", "context_model.num_photos=1", "recipe.batch_size=4", "test=false"]
    output = run(*SHORT, *few, *CPU_DDP, "hydra.run.dir=run", cwd=tmp_path, status=1)
    assert output.count("context_model is fitted to two training photos or more, not 1") == 1
    assert "Traceback" not in output
    assert hific.load_codec(tmp_path / "run" / "last.ckpt").training["rate"] == "low"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_that_codes_and_resumes(number: int, tmp_path: Path) -> None:
    """Sent to the loader's workers too, as terminals and schedulers do."""
    long = [*SHORT, "hydra.run.dir=run", "recipe.steps=100000", "callbacks.last.every_n_steps=20", "data.num_workers=1"]
    long += ["recipe.val_check_interval=100000"]
    process = start(*long, cwd=tmp_path)
    checkpoint = tmp_path / "run" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, number)
    output, _ = process.communicate(timeout=120)
    assert "saving last.ckpt" in output and process.returncode == 130
    steps = torch.load(checkpoint, weights_only=True)["global_step"]
    assert 20 <= steps < 100000
    codec = hific.load_codec(checkpoint)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert codec.decompress(codec.compress(image)).size == (64, 64)
    metrics = (tmp_path / "run" / "metrics.csv").read_text()
    assert "train/loss" in metrics and "val/" not in metrics  # it stopped without a validation first
    more = ["hydra.run.dir=run", f"recipe.steps={steps + 1}", f"ckpt_path={checkpoint}", "test=false"]
    run(*SHORT, *more, cwd=tmp_path)
    assert torch.load(checkpoint, weights_only=True)["global_step"] == steps + 1
    assert (tmp_path / "run" / f"metrics_until_{steps}.csv").read_text() == metrics


def test_a_wrong_option_is_one_line(tmp_path: Path) -> None:
    """As a person sees it; tests/test_train_options.py has them all."""
    output = run("rate=3", cwd=tmp_path, status=1)
    assert output.strip() == "error: rate=3 is none of high, low, medium"


def test_two_actions_of_hydra_are_one_too_many(tmp_path: Path) -> None:
    output = run("-m", "model=sae,gc", "--cfg", "hydra", cwd=tmp_path, status=1)
    assert output.strip() == "error: -m and --cfg: one of --run, -m, --cfg, --info, --shell-completion at a time"


def test_one_batch_of_everything(tmp_path: Path) -> None:
    run(*SHORT, "trainer.fast_dev_run=true", "hydra.run.dir=run", cwd=tmp_path)
    assert not list((tmp_path / "run").glob("*.ckpt"))


def test_wandb_groups_a_sweep_offline(tmp_path: Path) -> None:
    """One process trains both points, and each is a run of its own."""
    pytest.importorskip("wandb")
    run("-m", *SHORT, "seed=1,2", "hydra.sweep.dir=ours", "logger=wandb", "test=false", cwd=tmp_path)
    for seed in (1, 2):
        (written,) = (tmp_path / "ours" / f"seed={seed}" / "wandb").glob("offline-run-*/run-*.wandb")
        records = list(records_of_wandb(written))
        ran = [(one.run.run_group, one.run.display_name) for one in records if one.HasField("run")]
        assert ran == [("ours", f"seed={seed}")]
        options = {option.key: option.value_json for one in records for option in one.config.update}
        assert options["seed"] == str(seed)


def records_of_wandb(file: Path) -> Iterator[Any]:
    """W&B's protocol buffers in its LevelDB log: behind a head of 7 bytes, blocks of 32 KiB with parts of records, each
    behind its checksum, length and kind (1 and 4 end a record)."""
    from wandb.proto.wandb_internal_pb2 import Record

    written, place, parts = file.read_bytes(), 7, b""
    while place + 7 <= len(written):
        if 2**15 - place % 2**15 < 7:  # too little for a part
            place += 2**15 - place % 2**15
            continue
        length, kind = int.from_bytes(written[place + 4 : place + 6], "little"), written[place + 6]
        parts += written[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            yield Record.FromString(parts)
            parts = b""


PAPERS = [("compressnet_paper", model) for model in ("sae", "swwae", "sae_spn", "gc")]
PAPERS += [("hific_paper", model) for model in ("hific", "hific_xgboost", "hific_knn", "hific recipe.stage1_steps=0")]


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "model"), PAPERS)
def test_the_papers_presets_take_a_batch_in_12_gib(experiment: str, model: str, tmp_path: Path) -> None:
    """Networks and crops of the papers, one crop a rank as on eight GPUs; the photos are those at hand, and without the
    pretrained weights of perceptual terms."""
    here = ["data=bundled", "trainer=cpu", "data.num_workers=0", "recipe.batch_size=1", "data.eval_crop=256"]
    arguments = [f"experiment={experiment}", f"model={model}", *here, "recipe.perceptual=none"]
    arguments = [*" ".join(arguments).split(), "++trainer.fast_dev_run=1", "hydra.run.dir=run"]
    measure = "import resource, runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__'); "
    measure += "print('PEAK_GIB', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)"
    command = [sys.executable, "-c", measure, str(REPOSITORY / "train.py"), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split("PEAK_GIB")[-1]) < 12
    assert '"state": "done"' in (tmp_path / "run" / "run.json").read_text()
