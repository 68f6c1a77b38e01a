"""Seconds of HiFiC's compress and decompress on a 768x512 image, part by part, and the coder's share.

    python benchmarks/hific_codec.py [--checkpoint model.ckpt] [--coding neighbor] [--threads 2] [--cpu-time]

Without a checkpoint: random weights of size=paper, scaled so that the latents cost some bits. Floors of the networks:
benchmarks/hific_networks.py.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import skimage.data
import torch
from hific.codecs.hyperprior_codec import HyperpriorCodec
from hific.codecs.hyperprior_coding import HyperpriorCoding
from PIL import Image

from hific.codecs.load import load_codec
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.ops.keep_memory import keep_freed_memory


def random_codec() -> HyperpriorCodec:
    torch.manual_seed(0)
    model = HyperpriorAutoencoder(
        widths=(60, 120, 240, 480, 960), latent_channels=220, hyper_channels=320, residual_blocks=9
    ).eval()
    with torch.no_grad():
        latent = model.analyze(torch.rand(1, 3, 256, 256))
        model.analysis.head.weight *= 0.2 / latent.std()
        model.scale_synthesis.head.bias.fill_(0.2)
        hyper_latent = model.hyper_analysis(latent).round()
        model.mean_synthesis.widen_activation_range(hyper_latent)
        model.scale_synthesis.widen_activation_range(hyper_latent)
    return HyperpriorCodec(model, HyperpriorCoding.from_model(model), bytes(4))


class Stopwatch:
    """Wraps methods, and adds up how long they take."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.seconds: dict[str, float] = {}

    def watch(self, owner: object, method: str, part: str) -> None:
        plain = getattr(owner, method)

        def timed(*arguments: object, **options: object) -> object:
            start = self.clock()
            try:
                return plain(*arguments, **options)
            finally:
                self.seconds[part] = self.seconds.get(part, 0.0) + self.clock() - start

        object.__setattr__(owner, method, timed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint")
    parser.add_argument("--coding", help="of the checkpoint's; by default its last")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cpu-time", action="store_true", help="time of the process instead of time on the wall")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    keep_freed_memory()
    codec = load_codec(options.checkpoint, coding=options.coding) if options.checkpoint else random_codec()
    assert isinstance(codec, HyperpriorCodec)
    pixels = np.asarray(Image.fromarray(skimage.data.astronaut()).resize((768, 512)))
    data = codec.compress(pixels)
    watch = Stopwatch(clock)
    watch.watch(codec, "_analyze", "analysis E")
    watch.watch(codec, "_hyper_symbols", "hyper-analysis")
    watch.watch(codec.coding_tables, "predict", "integer hyper-syntheses")
    watch.watch(codec, "_synthesize", "synthesis G")
    parts_of_codec = list(PARTS)
    if codec.coding == "neighbor" and codec.coding_tables.neighbor is not None:
        watch.watch(codec.coding_tables.neighbor.summary, "expected", "linear summary")
        watch.watch(codec.coding_tables.neighbor.predictor, "frequencies", "predictor")
        parts_of_codec += ["linear summary", "predictor"]
    if codec.refine and codec.refinement is not None:
        watch.watch(codec.refinement, "corrections", "refinement")
        parts_of_codec.append("refinement")
    print(f"{len(data)} bytes, {8 * len(data) / pixels[..., 0].size:.3f} bpp, {options.threads} threads\n")
    print("| | " + " | ".join(parts_of_codec) + " | coder and features | their share | whole |")
    print("|---" * (len(parts_of_codec) + 4) + "|")
    for name, work in (("compress", lambda: codec.compress(pixels)), ("decompress", lambda: codec.decompress(data))):
        runs = []
        for _ in range(options.repeats):
            watch.seconds.clear()
            start = clock()
            work()
            runs.append((clock() - start, dict(watch.seconds)))
        whole, parts = min(runs, key=lambda run: run[0])
        coder = whole - sum(parts.values())
        cells = [f"{parts.get(part, 0.0):.3f}" for part in parts_of_codec]
        print(f"| {name} | {' | '.join(cells)} | {coder:.3f} | {coder / whole:.1%} | {whole:.3f} |")


PARTS = ("analysis E", "hyper-analysis", "integer hyper-syntheses", "synthesis G")

if __name__ == "__main__":
    main()
