"""What a GPU does, in one command: the rate of HiFiC's stage 1 at paper size beside that of a bfloat16 matrix product,
each switch of speed=, and files that are compressed on the GPU and decompressed on the CPU.

    PYTHONPATH=. python benchmarks/gpu.py --csv gpu.csv

Random photos in memory, so that no disk is waited for. `flops`: operations of forward and backward passes that torch
counts; `share`: of the matrix product's rate that they are done at. Without a GPU it says so and ends.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import hific
from benchmarks.rows import write_rows

CONF = Path(__file__).resolve().parents[1] / "conf"
WAYS: dict[str, tuple[torch.dtype, list[str]]] = {
    "float32 (TF32)": (torch.float32, []),
    "bfloat16": (torch.bfloat16, []),
    "bfloat16, contiguous": (torch.bfloat16, ["speed.channels_last=false"]),
    "bfloat16, fused": (torch.bfloat16, ["speed.fused=true"]),
    "bfloat16, recompute": (torch.bfloat16, ["speed.checkpoint_synthesis=true"]),
    "bfloat16, compile": (torch.bfloat16, ["speed.compile=true", "speed.fused=true"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", default="paper")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--photo", type=int, nargs=2, default=(768, 512), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no GPU here: benchmarks/gpu.py measures one (--device cpu --size tiny shows that it runs)")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    rows = [row for batch_size in options.batch_sizes for row in stage1_rows(options, batch_size)]
    rows += files_across(options)
    if options.csv:
        write_rows(rows, options.csv)


def stage1_rows(options: argparse.Namespace, batch_size: int) -> list[dict[str, Any]]:
    rows = []
    for way, (dtype, overrides) in WAYS.items():
        rate = matrix_rate(dtype, options.device)
        seconds, flops, peak = stage1(options, batch_size, dtype, overrides)
        row = {"what": way, "device": name_of(options.device), "batch_size": batch_size, "seconds": round(seconds, 5)}
        row |= {"images_per_s": round(batch_size / seconds, 2), "tflops": round(flops / seconds / 1e12, 3)}
        row |= {"matrix_tflops": round(rate / 1e12, 3), "share": round(flops / seconds / rate, 3)}
        rows.append(row | {"peak_gib": round(peak / 2**30, 2)})
        print(rows[-1], flush=True)
    return rows


def stage1(
    options: argparse.Namespace, batch_size: int, dtype: torch.dtype, overrides: list[str]
) -> tuple[float, int, int]:
    """Seconds a step of rate and squared error with Adam, its operations, and the peak of memory in bytes."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        off = ["model=hific", f"size={options.size}", "recipe.perceptual=none", "output_dir=unused", *overrides]
        config = compose("train", off, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    torch.manual_seed(0)
    module = instantiate(config.model).to(options.device)
    model, speed = module.model.train(), module.speed
    optimizer = module.optimization.make(module.parameter_groups(), **speed.of_optimizers)
    image = speed.laid_out(torch.rand(batch_size, 3, options.crop, options.crop, device=options.device))

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(torch.device(options.device).type, dtype, enabled=dtype != torch.float32):
            output = model(image)
        loss: Tensor = (output.reconstruction - image).square().mean() + output.estimated_bpp_noisy
        loss.backward()
        optimizer.step()

    for _ in range(3):
        step()
    if options.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = seconds_of(step, options.steps, options.device)
    peak = torch.cuda.max_memory_allocated() if options.device == "cuda" else 0
    if speed.compile:  # what is compiled is not counted
        return seconds, stage1(options, batch_size, dtype, [])[1], peak
    with FlopCounterMode(display=False) as counter:
        step()
    return seconds, counter.get_total_flops(), peak


def files_across(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Made on the GPU, read on the CPU: the symbols must be the same; the time of either."""
    width, height = options.photo
    y, x = np.mgrid[:height, :width] / 24
    waves = np.stack([np.sin(x + k) * np.cos(y * (1 + k / 3)) for k in range(3)], axis=-1)
    noise = np.random.default_rng(0).normal(0, 12, (height, width, 3))
    image = np.clip(128 + 90 * waves + noise, 0, 255).astype(np.uint8)
    codecs = {device: hific.load_codec("hific-xgboost-low", device=device) for device in (options.device, "cpu")}
    data = codecs[options.device].compress(image)
    levels = np.abs(
        np.asarray(codecs["cpu"].decompress(data), int) - np.asarray(codecs[options.device].decompress(data))
    )
    apart = f"at most {levels.max()} levels of 255 apart"
    print(f"made on {options.device}, read on cpu: {len(data)} bytes, {apart}")
    rows = []
    for device, codec in codecs.items():
        for what, work in (
            ("compress", lambda c=codec: c.compress(image)),
            ("decompress", lambda c=codec: c.decompress(data)),
        ):
            seconds = seconds_of(work, 3, options.device)
            row = {"what": what, "device": name_of(device), "batch_size": 1, "seconds": round(seconds, 5)}
            row |= {"images_per_s": round(1 / seconds, 2)}
            rows.append(row | dict.fromkeys(("tflops", "matrix_tflops", "share", "peak_gib"), ""))
            print(rows[-1], flush=True)
    return rows


def name_of(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else device


def matrix_rate(dtype: torch.dtype, device: str) -> float:
    """Operations a second of a square matrix product."""
    side = 8192 if device == "cuda" else 1024
    a, b = (torch.randn(side, side, dtype=dtype, device=device) for _ in range(2))
    return 2 * side**3 / seconds_of(lambda: torch.mm(a, b), 10, device)


def seconds_of(work: Callable[[], object], repeats: int, device: str) -> float:
    """Mean of several after one."""
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


if __name__ == "__main__":
    main()
