"""Seconds a training step of each CompressNet system, against the floor of its operations.

    python benchmarks/training_step.py --size small --batch-size 8 --crop 128 --precision bf16

The floor is the operations of forward and backward over the measured rate of a large matrix product in the same
precision. Optimizer and data are not in it; benchmarks/data_loading.py has the data.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from torch.utils.flop_counter import FlopCounterMode

from hific.losses.auxiliary import switch_prediction_loss

CONF = Path(__file__).resolve().parents[1] / "conf"


def best_of(repeats: int, work: Callable[[], None]) -> float:
    """Least seconds of `repeats` runs after one warm-up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def matrix_rate(dtype: torch.dtype, side: int = 2048) -> float:
    """Operations a second of a square matrix product."""
    a, b = torch.randn(side, side, dtype=dtype), torch.randn(side, side, dtype=dtype)
    out = torch.empty(side, side, dtype=dtype)

    def multiply() -> None:
        torch.mm(a, b, out=out)

    return 2 * side**3 / best_of(5, multiply)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="small")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
    rate = matrix_rate(dtype)
    print(f"{torch.get_num_threads()} threads, {options.precision}: {rate / 1e9:.0f} GFLOP/s in a matrix product")
    print("| model | parameters | GFLOP a step | floor s | step s | ratio |\n|---|--:|--:|--:|--:|--:|")
    for name in ("sae", "swwae", "sae_spn", "gc"):
        step, parameters = training_step(name, options.size, options.batch_size, options.crop, dtype)
        with FlopCounterMode(display=False) as counter:
            step()
        seconds, floor = best_of(options.repeats, step), counter.get_total_flops() / rate
        gflop = counter.get_total_flops() / 1e9
        print(f"| {name} | {parameters:,} | {gflop:.1f} | {floor:.3f} | {seconds:.3f} | {seconds / floor:.2f} |")


def training_step(
    name: str, size: str, batch_size: int, crop: int, dtype: torch.dtype
) -> tuple[Callable[[], None], int]:
    """Forward and backward of the model and its adversary, without pretrained weights; and the model's parameters."""
    overrides = [f"model={name}", f"size={size}", "recipe.perceptual=none", "output_dir=outputs"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    module = instantiate(config.model)
    image = torch.rand(batch_size, 3, crop, crop).mul(2).sub(1).contiguous(memory_format=torch.channels_last)

    def step() -> None:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            output = module.model(image)
            loss = (output.reconstruction - image).square().mean()
            if output.synthesis.switch_prediction is not None:
                switches, tied = output.analysis.switches[0], output.analysis.tied[0]
                loss = loss + switch_prediction_loss(output.synthesis.switch_prediction, switches, tied)
            adversarial, _ = module.adversary.discriminator_terms(image, output.reconstruction)
            terms = module.adversary.generator_terms(image, output.reconstruction)
        adversarial.backward()
        (loss + sum(terms.values())).backward()
        module.zero_grad(set_to_none=True)

    return step, sum(parameter.numel() for parameter in module.model.parameters())


if __name__ == "__main__":
    main()
