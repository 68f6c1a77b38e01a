"""Seconds and peak memory of a shipped model on a photo of 12 megapixels, each way in a process of its own.

    python benchmarks/large_photo.py [--model hific-xgboost-low] [--megapixels 12] [--threads 2] [--effort 0]

The photo is a mosaic of mirrored bundled ones: as much detail a pixel as a photo of .3 megapixels, which is more than
12 megapixels of a camera have, and makes the coder work harder.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import skimage.data
import torch

from hific import zoo
from hific.codecs.load import load_codec


def mosaic(megapixels: float) -> np.ndarray:
    """uint8 [H, W, 3] of 4:3."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    photo = skimage.data.astronaut()
    strip = np.concatenate([photo, photo[:, ::-1]], axis=1)
    tile = np.concatenate([strip, strip[::-1]])
    down, across = (-(-side // tile.shape[0]) for side in (height, height * 4 // 3))
    return np.ascontiguousarray(np.tile(tile, (down, across, 1))[:height, : height * 4 // 3])


def measure(model: str, effort: int, way: str, threads: int, given: Any, told: Connection) -> None:
    torch.set_num_threads(threads)
    codec = load_codec(model, effort=effort)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    made = getattr(codec, way)(given)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told.send((np.asarray(made) if way == "decompress" else made, seconds, before / 2**20, after / 2**20))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="hific-xgboost-low", choices=zoo.MODELS)
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--effort", type=int, default=0, help="steps of the encoder's search")
    options = parser.parse_args()
    given: Any = mosaic(options.megapixels)
    print(f"{options.model}, {given.shape[1]}x{given.shape[0]}, {options.threads} threads")
    spawned = multiprocessing.get_context("spawn")
    for way in ("compress", "decompress"):
        ours, theirs = spawned.Pipe()
        process = spawned.Process(
            target=measure, args=(options.model, options.effort, way, options.threads, given, theirs)
        )
        process.start()
        given, seconds, before, after = ours.recv()
        process.join()
        size = f", {len(given)} bytes" if isinstance(given, bytes) else ""
        print(f"{way:10} {seconds:6.2f} s, peak memory {after:.2f} GiB ({before:.2f} before){size}")


if __name__ == "__main__":
    main()
