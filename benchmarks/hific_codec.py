"""Seconds of HiFiC's compress and decompress on a 768x512 image, part by part, and the coder's share.

    python benchmarks/hific_codec.py [--checkpoint model.ckpt] [--coder context_coded] [--threads 2] [--cpu-time]

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
from PIL import Image

from hific.codecs.families import load_family
from hific.codecs.family import Identity
from hific.codecs.hific import latent_coding
from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.load import load_codec
from hific.codecs.memory import keep_freed_memory
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder


def random_codec() -> LearnedCodec:
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
    return LearnedCodec(load_family("hific"), model, latent_coding(model), Identity("random", bytes(4)))


class Stopwatch:
    """Wraps methods of classes, and adds up how long they take, without those of others that they call."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.seconds: dict[str, float] = {}
        self._of_others = 0.0

    def watch(self, owner: type, method: str, part: str) -> None:
        plain = getattr(owner, method)

        def timed(*arguments: object, **options: object) -> object:
            before, self._of_others = self._of_others, 0.0
            start = self.clock()
            try:
                return plain(*arguments, **options)
            finally:
                spent = self.clock() - start
                self.seconds[part] = self.seconds.get(part, 0.0) + spent - self._of_others
                self._of_others = before + spent

        setattr(owner, method, timed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint")
    parser.add_argument("--coder", help="of the checkpoint's; by default its last")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cpu-time", action="store_true", help="time of the process instead of time on the wall")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    keep_freed_memory()
    codec = load_codec(options.checkpoint, coder=options.coder) if options.checkpoint else random_codec()
    pixels = np.asarray(Image.fromarray(skimage.data.astronaut()).resize((768, 512)))
    data = codec.compress(pixels)
    watch = Stopwatch(clock)
    parts_of_codec = list(dict.fromkeys(part for *_, part in parts_of(codec)))
    for owner, method, part in parts_of(codec):
        watch.watch(owner, method, part)
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


def parts_of(codec: LearnedCodec) -> list[tuple[type, str, str]]:
    """Class, method and what it is called, of what a file takes."""
    found: list[tuple[type, str, str]] = [
        (type(codec.transform), "analyze", "analysis E"),
        (type(codec.transform), "_hyper_symbols", "hyper-analysis"),
        (type(codec.coding.prior), "predict", "integer hyper-syntheses"),
        (type(codec.transform), "synthesize", "synthesis G"),
    ]
    context_coded, post_filter = codec.coding.context_coded, codec.coding.post_filter
    if codec.coder == "context_coded" and context_coded is not None:
        found.append((type(context_coded.linear_prediction), "of_chosen", "linear prediction"))
        found.append((type(context_coded.model), "frequencies", "context model"))
    if codec.post_filters and post_filter is not None:
        found.append((type(post_filter), "corrections", "post-filter"))
    return found


if __name__ == "__main__":
    main()
