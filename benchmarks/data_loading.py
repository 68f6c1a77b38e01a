"""How many training crops a second the loaders give, beside what a training step takes.

    python benchmarks/data_loading.py --root FOLDER --crop 128 --batch-size 16 --step-seconds 1.2

Prints a table and asserts nothing. Without --root the photos that come with the dependencies are loaded. The first
batches, in which workers start and the cache fills, are not counted: --warm-up of them. `wait` is what a step of the
given length spends waiting for its batch: all of the loading without workers, else what they cannot do meanwhile,
provided that they have processors of their own.
"""

from __future__ import annotations

import argparse
import os
import time
from itertools import islice

from hific.data.image_datamodule import ImageDataModule
from hific.data.published import BundledPhotos
from hific.data.source import ImageFolder, ImageSource


def main() -> None:
    arguments = parse_arguments()
    source: ImageSource = ImageFolder(arguments.root) if arguments.root else BundledPhotos()
    count = len(source.files("train"))
    print(f"{source.name}: {count} photos, crops of {arguments.crop} scaled {arguments.scale}, clahe {arguments.clahe}")
    print(f"batches of {arguments.batch_size}, cache {arguments.cache_mb} MiB, {os.cpu_count()} processors")
    print(f"\n| workers | images/s | ms a batch | wait at a step of {1000 * arguments.step_seconds:.0f} ms |")
    print("|--:|--:|--:|--:|")
    for workers in arguments.workers:
        seconds = seconds_per_batch(source, arguments, workers)
        wait = max(0.0, seconds - arguments.step_seconds) if workers else seconds
        rate = arguments.batch_size / seconds
        print(f"| {workers} | {rate:.1f} | {1000 * seconds:.1f} | {1000 * wait:.1f} ms |", flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", nargs="+", help="folders of photos")
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--scale", type=float, nargs=2, default=(0.5, 0.75), metavar=("MIN", "MAX"))
    parser.add_argument("--clahe", action="store_true")
    parser.add_argument("--cache-mb", type=int, default=128)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--warm-up", type=int, default=10, help="batches before the clock starts")
    parser.add_argument("--batches", type=int, default=40, help="batches on the clock")
    parser.add_argument("--step-seconds", type=float, default=0.5, help="what one training step takes")
    return parser.parse_args()


def seconds_per_batch(source: ImageSource, arguments: argparse.Namespace, workers: int) -> float:
    data = ImageDataModule(
        source,
        crop=arguments.crop,
        global_batch_size=arguments.batch_size,
        seed=0,
        epoch_batches=arguments.warm_up + arguments.batches,
        min_scale=arguments.scale[0],
        max_scale=arguments.scale[1],
        clahe=arguments.clahe,
        num_workers=workers,
        cache_mb=arguments.cache_mb,
    )
    data.setup("fit")
    batches = iter(data.train_dataloader())
    for _ in islice(batches, arguments.warm_up):
        pass
    start = time.perf_counter()
    loaded = sum(1 for _ in batches)
    return (time.perf_counter() - start) / loaded


if __name__ == "__main__":
    main()
