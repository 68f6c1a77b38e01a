"""Speed and size of the codings: bits per symbol, and how long fitting, encoding and decoding take.

    python benchmarks/coding_speed.py [--repeats 5]

Prints tables and asserts nothing. The latents are synthetic (`correlated_latents.py`): what a trained model's latents
save depends on the model. Fitted to 300 crops of 8 to 16 symbols a side, tested on images of 768x512 pixels, which
are 8x32x48 symbols. Encoding is timed without its self-check; decoding includes the check that the stream is canonical.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numpy as np
from correlated_latents import correlated_crops, correlated_latent, independent_latent
from numpy.typing import NDArray

from hific.codecs.compressnet_coding import Coding, CompressNetCoding
from hific.coding.frequency_table import normalize_counts
from hific.coding.range_coder import RangeDecoder, RangeEncoder

P = ParamSpec("P")
Result = TypeVar("Result")
Symbols = NDArray[np.int32]
Encoded = tuple[list[bytes], bytes]

CODINGS: tuple[Coding, ...] = ("packed", "static", "context")
SWITCH_SHAPES = [(60, 256, 384), (120, 128, 192), (240, 64, 96), (480, 32, 48)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="each time is the best of so many")
    repeats = parser.parse_args().repeats
    print("Latents: 300 training crops, 8 images of 8x32x48\n")
    print("| latents | coding | bits a symbol | encode ms an image | decode ms an image |\n|---|---|--:|--:|--:|")
    latents(repeats)
    print("\nFit\n\n| symbols | crops | s |\n|--:|---|--:|")
    fits()
    print(
        "\nCoder alone, 1,000,000 symbols\n\n| tables | symbols | call | encode ms | decode ms |\n|--:|--:|---|--:|--:|"
    )
    coder(repeats)
    print("\nSwitches of a 768x512 image\n\n| coding | symbols | bytes | encode s | decode s |\n|---|--:|--:|--:|--:|")
    switches(repeats)


def latents(repeats: int) -> None:
    kinds = {
        "correlated": (correlated_crops(300), [correlated_latent(seed) for seed in range(8)]),
        "independent": (
            [independent_latent(seed, 8, 12, 12) for seed in range(300)],
            [independent_latent(seed) for seed in range(900, 908)],
        ),
    }
    for kind, (training, test) in kinds.items():
        tables = CompressNetCoding.fit(training)
        images = [latent.astype(np.int32) for latent in test]
        for name in CODINGS:
            encoding, encoded = best(repeats, encode_all, tables, name, images)
            decoding, _ = best(repeats, decode_all, tables, name, images, encoded)
            num_bytes = sum(sum(map(len, parts)) + len(stream) for parts, stream in encoded)
            bits = 8 * num_bytes / sum(image.size for image in images)
            times = f"{1000 * encoding / len(images):.1f} | {1000 * decoding / len(images):.1f}"
            print(f"| {kind} | {name} | {bits:.3f} | {times} |", flush=True)


def encode_all(tables: CompressNetCoding, name: Coding, images: list[Symbols]) -> list[Encoded]:
    return [tables.encode(name, image, self_check=False) for image in images]


def decode_all(tables: CompressNetCoding, name: Coding, images: list[Symbols], encoded: list[Encoded]) -> None:
    for image, (parts, stream) in zip(images, encoded, strict=True):
        tables.decode(name, image.shape, None, parts, stream)


def fits() -> None:
    for size, number in ((8, 600), (8, 4000), (16, 1000), (32, 250)):
        crops = [independent_latent(seed, 8, size, size) for seed in range(number)]
        seconds, _ = best(1, CompressNetCoding.fit, crops)
        print(f"| {8 * size * size * number} | {size}x{size} | {seconds:.2f} |", flush=True)


def coder(repeats: int) -> None:
    rng = np.random.default_rng(0)
    for num_tables, num_symbols in ((60, 4), (64, 5), (64, 18), (64, 255)):
        tables = normalize_counts(rng.integers(1, 1000, (num_tables, num_symbols)))
        ids = rng.integers(0, num_tables, 1_000_000).astype(np.int32)
        symbols = rng.integers(0, num_symbols, len(ids)).astype(np.int32)
        for grouped in (True, False) if num_symbols < 100 else (True,):
            encoding, data = best(repeats, coded, symbols, ids, tables, grouped)
            decoding, _ = best(repeats, decoded, data, symbols, ids, tables, grouped)
            call = "code_grouped" if grouped else "code"
            print(
                f"| {num_tables} | {num_symbols} | {call} | {1000 * encoding:.0f} | {1000 * decoding:.0f} |", flush=True
            )


def coded(symbols: Symbols, ids: Symbols, tables: Symbols, grouped: bool) -> bytes:
    encoder = RangeEncoder()
    if grouped:
        encoder.code_grouped(symbols, ids, tables)
    else:
        encoder.code(symbols, tables[ids])
    return encoder.get_bytes()


def decoded(data: bytes, symbols: Symbols, ids: Symbols, tables: Symbols, grouped: bool) -> None:
    decoder = RangeDecoder(data)
    if grouped:
        decoder.code_grouped(symbols, ids, tables)
    else:
        decoder.code(symbols, tables[ids])
    decoder.finish()


def switches(repeats: int) -> None:
    rng = np.random.default_rng(0)
    maps = [rng.integers(0, 4, shape).astype(np.int8) for shape in SWITCH_SHAPES]
    counts = [np.stack([np.bincount(plane.ravel(), minlength=4) for plane in scale]) for scale in maps]
    tables = CompressNetCoding.fit([], counts, num_channels=8)
    symbols = correlated_latent(0).astype(np.int32)
    for name in CODINGS:
        encoding, (parts, stream) = best(repeats, encode_unchecked, tables, name, symbols, maps)
        decoding, _ = best(repeats, tables.decode, name, symbols.shape, SWITCH_SHAPES, parts, stream)
        num_bytes = sum(map(len, parts)) + len(stream)
        print(f"| {name} | {sum(m.size for m in maps)} | {num_bytes} | {encoding:.2f} | {decoding:.2f} |", flush=True)


def encode_unchecked(
    tables: CompressNetCoding, name: Coding, symbols: Symbols, maps: list[NDArray[np.int8]]
) -> Encoded:
    return tables.encode(name, symbols, maps, self_check=False)


def best(repeats: int, action: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> tuple[float, Result]:
    """Seconds of the quickest of some runs, and what the last one gave."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = action(*args, **kwargs)
        times.append(time.perf_counter() - start)
    return min(times), result


if __name__ == "__main__":
    main()
