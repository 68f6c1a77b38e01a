"""What a training crop costs, from a folder, from shards, and by the libraries that could have read them; and which of
these give every photo once to two ranks and go on in the middle of an epoch.

    PYTHONPATH=. python benchmarks/shards.py --root FOLDER --csv benchmarks/results/loading.csv
    PYTHONPATH=. python benchmarks/shards.py --decoding --csv benchmarks/results/decoding.csv

CPU time of one process, which other jobs disturb little. LitData and WebDataset (pip install litdata webdataset) are
measured where they are installed. All read the same files by the same decoder and crop them alike.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.rows import write_rows
from hific.data.datasets import PhotoReader, PositionBatchSampler, TrainingCrops, augmentation_generator
from hific.data.make_shards import ShardOptions, make_shards
from hific.data.published import BundledPhotos
from hific.data.shards import Shards
from hific.data.source import ImageFolder, ImageSource
from hific.data.transforms import RandomCrop
from hific.io.read_image import read_image

CROP = RandomCrop(256, 0.5, 0.75)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="a folder of photos; the bundled ones without")
    parser.add_argument("--crops", type=int, default=200, help="on the clock")
    parser.add_argument("--decoding", action="store_true", help="formats, on the bundled photos")
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    rows = decoding() if options.decoding else loading(options)
    for row in rows:
        print(row, flush=True)
    if options.csv:
        write_rows(rows, options.csv)


def decoding() -> list[dict[str, Any]]:
    """CPU milliseconds a megapixel of read_image on the bundled photos, by format; and a crop of 256 out of pixels."""
    photos = [read_image(path).array for split in ("train", "val", "test") for path in BundledPhotos().files(split)]  # type: ignore[arg-type]
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "PNG": ("PNG", {}),
        "JPEG, quality 95": ("JPEG", {"quality": 95}),
        "WebP, lossless": ("WEBP", {"lossless": True}),
        "WebP, quality 95": ("WEBP", {"quality": 95}),
    }
    rows = []
    megapixels = sum(photo.shape[0] * photo.shape[1] for photo in photos) / 1e6
    for name, (kind, options) in kinds.items():
        files = []
        for photo in photos:
            buffer = io.BytesIO()
            Image.fromarray(photo).save(buffer, kind, **options)
            files.append(buffer.getvalue())
        seconds = cpu_seconds(lambda files=files: [read_image(io.BytesIO(file)) for file in files], 2)
        bpp = 8 * sum(map(len, files)) / megapixels / 1e6
        rows.append({"what": name, "cpu_ms_per_megapixel": round(1e3 * seconds / megapixels, 1), "bpp": round(bpp, 2)})
        if kind == "JPEG":  # half of the resolution, which is the nearest that a draft has to scales of .5 to .75
            seconds = cpu_seconds(lambda files=files: [draft(file) for file in files], 2)
            cost = round(1e3 * seconds / megapixels, 1)
            rows.append({"what": "JPEG, draft of half", "cpu_ms_per_megapixel": cost, "bpp": round(bpp, 2)})
    return rows


def draft(file: bytes) -> Any:
    image = Image.open(io.BytesIO(file))
    image.draft("RGB", (image.width // 2, image.height // 2))
    return np.asarray(image)


def cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    """Least of several runs."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def loading(options: argparse.Namespace) -> list[dict[str, Any]]:
    source: ImageSource = ImageFolder(options.root) if options.root else BundledPhotos()
    with tempfile.TemporaryDirectory() as folder:
        made = {store: f"{folder}/{store}" for store in ("files", "pixels")}
        for store, place in made.items():
            make_shards(source, place, ShardOptions(64, store))  # type: ignore[arg-type]
        rows = [
            _row("folder", crops_of(source.files("train")), options.crops),
            _row("shards, files", crops_of(Shards(made["files"]).files("train")), options.crops),
            _row("shards, pixels", crops_of(Shards(made["pixels"]).files("train")), options.crops),
        ]
        for row in rows:
            row |= {"left_out": 0, "doubled": 0, "goes_on": 1}  # tests/data
        if find_spec("webdataset"):
            rows.append(_row("WebDataset", webdataset_crops(made["files"]), options.crops) | of_webdataset())
        if find_spec("litdata"):
            rows.append(_row("LitData", litdata_crops(source, folder), options.crops) | of_litdata(folder))
    return rows


def _row(what: str, crops: Iterable[Any], count: int) -> dict[str, Any]:
    crops = iter(crops)
    sum(1 for _ in islice(crops, 10))
    start, wall = time.process_time(), time.perf_counter()
    found = sum(1 for _ in islice(crops, count))
    row = {"what": what, "cpu_ms_per_crop": round(1e3 * (time.process_time() - start) / found, 2)}
    row |= {"wall_ms_per_crop": round(1e3 * (time.perf_counter() - wall) / found, 2), "crops": found}
    print(row, flush=True)
    return row


def crops_of(photos: Any) -> Iterator[Any]:
    dataset = TrainingCrops(PhotoReader(photos), CROP, seed=0)
    return (dataset[position] for positions in PositionBatchSampler(8, 10**6, lambda: 0) for position in positions)


def webdataset_crops(folder: str) -> Iterator[Any]:
    import webdataset

    urls = sorted(str(path) for path in Path(folder).glob("train-*.tar"))
    stream = webdataset.WebDataset(urls, shardshuffle=100, resampled=True, empty_check=False).shuffle(100)
    for number, sample in enumerate(stream):
        data = next(value for key, value in sample.items() if not key.startswith("__"))
        yield torch.from_numpy(cropped(data, number))


def cropped(data: bytes, number: int) -> Any:
    crop = CROP(read_image(io.BytesIO(data)).array, augmentation_generator(0, number))
    return np.ascontiguousarray(crop.transpose(2, 0, 1))


def _bytes_of(path: str) -> dict[str, bytes]:
    return {"photo": Path(path).read_bytes()}


def litdata_crops(source: ImageSource, folder: str) -> Iterator[Any]:
    import litdata

    inputs, place = [str(path) for path in source.files("train")], f"{folder}/litdata"
    litdata.optimize(_bytes_of, inputs, place, chunk_bytes="64MB", num_workers=1, verbose=False)
    data = litdata.StreamingDataset(place, shuffle=True, seed=0)
    number = 0
    while True:
        for sample in data:
            yield torch.from_numpy(cropped(sample["photo"], number))
            number += 1


NUMBERS = 13  # of samples, which two ranks cannot share equally


def _numbered(number: int) -> dict[str, int]:
    return {"number": number}


def of_webdataset() -> dict[str, int]:
    """It has no state to go on from."""
    with tempfile.TemporaryDirectory() as folder:
        import webdataset

        with webdataset.ShardWriter(f"{folder}/%06d.tar", maxcount=4, verbose=0) as writer:
            for number in range(NUMBERS):
                writer.write({"__key__": str(number), "txt": str(number)})
        return {**counted(on_two_ranks(_webdataset_rank, folder)), "goes_on": 0}


def _webdataset_rank(folder: str) -> list[int]:
    import webdataset

    urls = sorted(str(path) for path in Path(folder).glob("*.tar"))
    stream = webdataset.WebDataset(urls, nodesplitter=webdataset.split_by_node, shardshuffle=False, empty_check=False)
    loader = webdataset.WebLoader(stream.decode(), batch_size=None, num_workers=2)
    return [int(sample["txt"]) for sample in loader]


def of_litdata(folder: str) -> dict[str, int]:
    """goes_on: whether the rest of a pass is what it would have been, with the same workers."""
    import litdata

    place = f"{folder}/numbers"
    litdata.optimize(_numbered, list(range(NUMBERS)), place, chunk_size=4, num_workers=1, verbose=False)
    ranks = on_two_ranks(_litdata_rank, place)
    whole = _litdata_loader(place)
    due = [int(batch["number"]) for batch in whole]
    broken = _litdata_loader(place)
    seen = [int(batch["number"]) for batch in islice(broken, 2)]
    state, again = broken.state_dict(), _litdata_loader(place)
    again.load_state_dict(state)
    rest = [int(batch["number"]) for batch in again]
    return {**counted(ranks), "goes_on": int(seen + rest == due)}


def _litdata_loader(place: str) -> Any:
    import litdata

    return litdata.StreamingDataLoader(
        litdata.StreamingDataset(place, shuffle=True, seed=0), batch_size=1, num_workers=2
    )


def _litdata_rank(place: str) -> list[int]:
    return [int(batch["number"]) for batch in _litdata_loader(place)]


def counted(ranks: list[list[int]]) -> dict[str, int]:
    """Of a pass over NUMBERS samples on two ranks with two workers each."""
    counts = Counter(number for rank in ranks for number in rank)
    doubled = sum(count - 1 for count in counts.values())
    return {"left_out": NUMBERS - len(counts), "doubled": doubled}


def on_two_ranks(work: Callable[[str], list[int]], folder: str) -> list[list[int]]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    queue: Any = context.Queue()
    ranks = [context.Process(target=_rank, args=(rank, port, work, folder, queue)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    found = dict(queue.get(timeout=1800) for _ in ranks)
    for rank in ranks:
        rank.join()
    return [found[0], found[1]]


def _rank(rank: int, port: int, work: Callable[[str], list[int]], folder: str, queue: Any) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo")
    try:
        queue.put((rank, work(folder)))
        torch.distributed.barrier()
    finally:
        with suppress(RuntimeError):
            torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
