"""Seconds of HiFiC's transforms at 768x512 and of its training step, against their floors.

    python benchmarks/hific_networks.py --threads 2 --sizes small paper [--cpu-time]

Floor: operations over the measured rate of a 2048 matrix product, plus bytes over the measured bandwidth of a copy.
Bytes: each convolution reads its input and weights and writes its output, each normalization reads and writes once (its
ReLU with it); the backward pass moves and computes twice as much; Adam moves 28 bytes a parameter. --cpu-time counts
the process's own time: with one thread, the only number worth reading on a machine that does other work as well.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from hific.codecs.memory import keep_freed_memory
from hific.layers import winograd
from hific.layers.blocks import ChannelNorm, Normalization
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder

SIZES: dict[str, tuple[tuple[int, ...], int, int, int, Normalization]] = {
    "small": ((16, 32, 64, 128, 192), 96, 96, 4, "none"),
    "paper": ((60, 120, 240, 480, 960), 220, 320, 9, "channel"),
}
TRAINING = {"small": (8, 128), "paper": (2, 256)}  # batch, crop
COUNTED = (nn.Conv2d, nn.ConvTranspose2d, ChannelNorm)
ADAM_BYTES = 28  # reads parameter, gradient and two moments, writes all but the gradient


class Machine:
    """What it can do now, and how to time it."""

    def __init__(self, clock: Callable[[], float], repeats: int) -> None:
        self.clock, self.repeats = clock, repeats
        side, values = 2048, 32 << 20
        a, b, product = torch.randn(3, side, side).unbind()
        source, target = torch.randn(values), torch.empty(values)
        self.rate = 2 * side**3 / self.seconds(lambda: torch.mm(a, b, out=product))
        self.bandwidth = 8 * values / self.seconds(lambda: target.copy_(source))

    def seconds(self, work: Callable[[], object]) -> float:
        """Least of `repeats` runs after one warm-up."""
        work()
        times = []
        for _ in range(self.repeats):
            start = self.clock()
            work()
            times.append(self.clock() - start)
        return min(times)

    def row(self, size: str, name: str, work: Callable[[], object], operations: float, moved: float) -> None:
        floor, seconds = operations / self.rate + moved / self.bandwidth, self.seconds(work)
        counts = f"{operations / 1e9:.1f} | {moved / 1e6:.0f}"
        print(f"| {size} | {name} | {counts} | {floor:.3f} | {seconds:.3f} | {seconds / floor:.2f} |", flush=True)


def costs(work: Callable[[], object], networks: list[nn.Module]) -> tuple[int, int]:
    """Operations and bytes of one forward pass."""
    moved = 0

    def count(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal moved
        parameters = sum(parameter.numel() for parameter in module.parameters())
        moved += 4 * (inputs[0].numel() + output.numel() + parameters)

    modules = [module for network in networks for module in network.modules() if isinstance(module, COUNTED)]
    handles = [module.register_forward_hook(count) for module in modules]  # type: ignore[arg-type]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        work()
    for handle in handles:
        handle.remove()
    return counter.get_total_flops(), moved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=tuple(SIZES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--direct", action="store_true", help="without Winograd's form, to compare with")
    parser.add_argument("--cpu-time", action="store_true", help="time of the process instead of time on the wall")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.direct:
        winograd.FEWEST_CHANNELS = 1 << 30
    keep_freed_memory()  # as training and loading a codec do
    machine = Machine(time.process_time if options.cpu_time else time.perf_counter, options.repeats)
    print(f"{options.threads} threads: {machine.rate / 1e9:.0f} GFLOP/s, {machine.bandwidth / 1e9:.1f} GB/s\n")
    print("| size | pass | GFLOP | MB | floor s | s | ratio |\n|---|---|--:|--:|--:|--:|--:|")
    for size in options.sizes:
        widths, latent_channels, hyper_channels, blocks, normalization = SIZES[size]
        model = HyperpriorAutoencoder(
            widths=widths,
            latent_channels=latent_channels,
            hyper_channels=hyper_channels,
            residual_blocks=blocks,
            normalization=normalization,
        )
        inference(machine, size, model)
        training(machine, size, model)


def inference(machine: Machine, size: str, model: HyperpriorAutoencoder) -> None:
    model.eval()
    image, latent = torch.rand(1, 3, 512, 768), torch.randn(1, model.latent_channels, 32, 48)
    passes: list[tuple[str, nn.Module, Tensor]] = [
        ("analysis", model.analysis, image),
        ("hyper-analysis", model.hyper_analysis, latent),
        ("synthesis", model.synthesis, latent),
    ]
    with torch.no_grad():
        for name, network, features in passes:

            def work(network: nn.Module = network, features: Tensor = features) -> object:
                return network(features)

            machine.row(size, name, work, *costs(work, [network]))


def training(machine: Machine, size: str, model: HyperpriorAutoencoder) -> None:
    model.train()
    batch, crop = TRAINING[size]
    image = torch.rand(batch, 3, crop, crop)
    operations, moved = costs(lambda: model(image), [model])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)

    def step() -> None:
        optimizer.zero_grad()
        (model(image).reconstruction - image).square().mean().backward()

    def step_and_update() -> None:
        step()
        optimizer.step()

    name = f"training, {batch} of {crop}x{crop}"
    machine.row(size, name, step, 3 * operations, 3 * moved)
    updated = ADAM_BYTES * sum(parameter.numel() for parameter in model.parameters())
    machine.row(size, f"{name}, Adam", step_and_update, 3 * operations, 3 * moved + updated)


if __name__ == "__main__":
    main()
