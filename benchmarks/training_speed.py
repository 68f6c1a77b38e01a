"""Seconds a batch and peak memory of a training through its real module, data and trainer: of each switch of speed=, of
bfloat16, and of two ranks with and without a search for unused weights.

    PYTHONPATH=. python benchmarks/training_speed.py --csv benchmarks/results/training.csv size=tiny model=hific
    PYTHONPATH=. python benchmarks/training_speed.py --only plain,two -- size=small model=sae_spn data.root=FOLDER

Batches of stage 1 or without an adversary unless overrides say otherwise. On a CPU seconds are of the processor, which
other jobs disturb less than the clock, and the memory is the process's; of two ranks both are the first one's.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning import Callback, LightningModule, Trainer

from benchmarks.rows import write_rows

ROOT = Path(__file__).resolve().parents[1]
RANKS = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
ROWS = {
    "plain": [],
    "bf16": ["trainer.precision=bf16-mixed"],
    "fused": ["speed.fused=true"],
    "contiguous": ["speed.channels_last=false"],
    "parts": ["speed.accumulate=2"],
    "recompute": ["speed.checkpoint_synthesis=true"],
    "compile": ["speed.compile=true"],
    "two": RANKS,
    "searched_two": [*RANKS, "trainer.strategy=ddp_find_unused_parameters_true"],
}
QUIET = ["~callbacks", "trainer.enable_progress_bar=false", "logger=none", "recipe.initialization=random"]


class Clock(Callback):
    """From the end of the batch `warm_up` to that of the last."""

    def __init__(self, warm_up: int) -> None:
        self.warm_up, self.marks = warm_up, []  # type: ignore[var-annotated]

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step >= self.warm_up:
            if module.device.type == "cuda":
                torch.cuda.synchronize()
            self.marks.append((time.process_time(), time.perf_counter()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(ROWS), help=f"of {','.join(ROWS)}")
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("overrides", nargs="*", help="of train.py")
    options = parser.parse_args()
    rows = []
    for name in options.only.split(","):
        rows.append(measured(name, options.overrides, options.batches, options.warm_up))
        print(rows[-1], flush=True)
    if options.csv:
        write_rows(rows, options.csv)


def measured(name: str, overrides: list[str], batches: int, warm_up: int) -> dict[str, Any]:
    """One row, in processes of their own: peaks of memory never fall."""
    context = multiprocessing.get_context("fork")
    ranks = 2 if RANKS[0] in ROWS[name] else 1
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    queue: Any = context.Queue()
    arguments = ([*overrides, *ROWS[name]], batches, warm_up, queue)
    processes = [
        context.Process(target=_train, args=(rank if ranks > 1 else None, port, *arguments)) for rank in range(ranks)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            sys.exit(f"{name}: a process ended with status {process.exitcode}")
    found: dict[str, Any] = min((queue.get() for _ in processes), key=lambda one: one["rank"])
    return {"what": name, "ranks": ranks, **{key: value for key, value in found.items() if key != "rank"}}


def _train(rank: int | None, port: int, overrides: list[str], batches: int, warm_up: int, queue: Any) -> None:
    if rank is not None:
        os.environ |= {"LOCAL_RANK": str(rank), "MASTER_PORT": str(port)}
    sys.path.insert(0, str(ROOT))
    sys.argv = ["train.py"]
    import train as train_file

    clock = Clock(warm_up)
    is_hific = any(one.startswith("model=hific") for one in overrides)
    steps = [f"recipe.stage1_steps={batches}", "recipe.stage2_steps=0"] if is_hific else [f"recipe.steps={batches}"]
    quiet = [one for one in QUIET if is_hific or "initialization" not in one]
    with tempfile.TemporaryDirectory() as folder, initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = compose(
            "train",
            [*steps, *quiet, "data.num_workers=0", f"output_dir={folder}", *overrides],
            return_hydra_config=True,
        )
        HydraConfig.instance().set_config(composed)
        module = train_file.make_module(composed)
        trainer = train_file.make_trainer(composed, module)
        trainer.callbacks.append(clock)
        trainer.limit_val_batches = 0
        trainer.fit(module, instantiate(composed.data))
    (cpu_start, start), (cpu_end, end) = clock.marks[0], clock.marks[-1]
    count = len(clock.marks) - 1
    on_gpu = module.device.type == "cuda"
    peak = torch.cuda.max_memory_allocated() if on_gpu else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    queue.put(
        {
            "rank": rank or 0,
            "cpu_s_per_batch": round((cpu_end - cpu_start) / count, 4),
            "wall_s_per_batch": round((end - start) / count, 4),
            "peak_gib": round(peak / 2**30, 3),
            "batches": count,
            "options": " ".join(overrides),
        }
    )


if __name__ == "__main__":
    main()
