"""What the campaign's trainings share: ranks of one thread each, their loop, an average of all weights, their files.

Two processes of one thread each, which average their gradients, are worth 1.9 cores; two threads of one process 1.5.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import time
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import piq
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from experiments.campaign.crops import write_scaled_photos
from hific.ops.ranks import average_gradients

WARM_UP = 300  # batches
CLIP = 1.0  # of the gradients' norm


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--run", type=Path, required=True)
    add("--roots", nargs="+", required=True)
    add("--weights-dir", required=True)
    add("--ranks", type=int, default=2)
    add("--ema", type=float, default=0.999)
    add("--cool-down", type=int, default=0, help="last of --batches, over which the learning rate falls to 0")
    add("--hours", type=float, default=1e9)
    add("--batches", type=int, default=10**9, help="in all")
    add("--save-minutes", type=float, default=5)
    add("--measure-minutes", type=float, default=30, help="0: never")
    add("--seed", type=int, default=0)


class Training(Protocol):
    """One rank's. `seconds`: of its process, so far."""

    batches: int
    seconds: float

    def step(self) -> dict[str, float]:
        """One batch; what of it goes into curve.csv, as means of a hundred."""
        ...

    def save(self) -> None: ...

    def measure(self) -> None: ...


class Average:
    """Of all weights, exponential; of the first batches plain."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.weights = decay, {name: p.detach().clone() for name, p in network.named_parameters()}

    @torch.no_grad()
    def update(self, network: nn.Module, batches: int) -> None:
        share = 1 - min(self.decay, (1 + batches) / (10 + batches))
        torch._foreach_lerp_(list(self.weights.values()), [p.detach() for p in network.parameters()], share)

    @torch.no_grad()
    def exchange(self, network: nn.Module) -> None:
        """Puts the average in, and keeps what was there; a second time undoes it."""
        for name, parameter in network.named_parameters():
            mine = self.weights[name].clone()
            self.weights[name].copy_(parameter)
            parameter.copy_(mine)


def moments_by_name(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What the optimizer keeps of each parameter of the network that it has seen."""
    return {name: optimizer.state[p] for name, p in network.named_parameters() if p in optimizer.state}


def learning_rate_share(options: argparse.Namespace, batches: int, first: int = 0) -> float:
    """Of `--lr` at a batch: rising over an optimizer's first ones, falling to 0 over the last of `--batches`."""
    warm_up = min(1.0, (batches - first + 1) / WARM_UP)
    return warm_up * min(1.0, (options.batches - batches) / max(1, options.cool_down))


def take_step(loss: Tensor, network: nn.Module, optimizer: torch.optim.Optimizer) -> float:
    """By the loss's gradients, averaged over the ranks and clipped; none where they are not finite. Their norm before
    that."""
    loss.backward()
    average_gradients(network.parameters())
    norm = nn.utils.clip_grad_norm_(network.parameters(), CLIP)
    if bool(torch.isfinite(norm)):
        optimizer.step()
    optimizer.zero_grad()
    return float(norm)


def structure_lost(reconstruction: Tensor, image: Tensor) -> Tensor:
    """1 - MS-SSIM of images in [-1, 1], at least 161 pixels a side."""
    x_hat, x = ((one.float() + 1) / 2 for one in (reconstruction, image))
    return 1 - piq.multi_scale_ssim(x_hat.clamp(0, 1), x, data_range=1.0)


def append(path: Path, row: Mapping[str, object]) -> None:
    """To a CSV file, which begins with the names of the columns; where they are others, beside it."""
    if path.exists():
        with open(path, newline="") as file:
            columns = next(csv.reader(file), [])
        if columns != list(row):
            path.replace(_free(path))
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def _free(path: Path) -> Path:
    """curve_1.csv for curve.csv, or with the next number that is free."""
    return next(one for n in count(1) if not (one := path.with_stem(f"{path.stem}_{n}")).exists())


def save_whole(state: Mapping[str, Any], path: Path) -> None:
    torch.save(dict(state), path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def run(start: Callable[[argparse.Namespace, int], Training], options: argparse.Namespace) -> None:
    """On all ranks, until its end or SIGTERM or SIGINT to one of them, which saves."""
    options.run.mkdir(parents=True, exist_ok=True)
    crops = options.run.parent / "crops"
    if not (crops / "index.npy").exists():
        write_scaled_photos(options.roots, crops)
    if options.ranks == 1:
        run_rank(0, start, options)
    else:
        spawn(run_rank, (start, options), nprocs=options.ranks)


def run_rank(rank: int, start: Callable[[argparse.Namespace, int], Training], options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    stopped: list[int] = []
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda number, _: stopped.append(number))
    if options.ranks > 1:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", "29517")
        dist.init_process_group("gloo", rank=rank, world_size=options.ranks)
    training = start(options, rank)
    began = saved = measured = time.monotonic()
    told: list[dict[str, float]] = []
    while True:
        started = time.process_time()
        told.append(training.step())
        training.seconds += time.process_time() - started
        now = time.monotonic()
        if training.batches % 100 == 0 and rank == 0:
            state = {"batches": training.batches, "cpu_seconds": round(training.seconds * options.ranks)}
            # Fewer than a hundred where it went on from a save in between.
            names = dict.fromkeys(name for one in told for name in one)
            means = {name: round(sum(one.get(name, 0.0) for one in told) / len(told), 4) for name in names}
            append(options.run / "curve.csv", {**state, **means})
        if training.batches % 100 == 0:
            told = []
        over = training.batches >= options.batches or now - began > 3600 * options.hours
        done = _any(bool(stopped) or over, options.ranks)
        if rank == 0 and (done or now - saved > 60 * options.save_minutes):
            training.save()
            saved = now
        if rank == 0 and options.measure_minutes and (done or now - measured > 60 * options.measure_minutes):
            training.measure()
            measured = now
        if done:
            return


def _any(flag: bool, ranks: int) -> bool:
    """Whether it is so on any rank, so that all stop at the same batch."""
    if ranks == 1:
        return flag
    shared = torch.tensor([float(flag)])
    dist.all_reduce(shared)
    return bool(shared > 0)
