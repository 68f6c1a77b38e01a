"""Speed and size of the latent coders: bits per symbol, and how long fitting, encoding and decoding take.

    python benchmarks/coding_speed.py [--repeats 5]

Prints tables and asserts nothing. The latents are synthetic (`correlated_latents.py`): what a trained model's latents
save depends on the model. Fitted to 300 crops of 8 to 16 symbols a side, tested on images of 768x512 pixels, which
are 8x32x48 symbols. Encoding is timed without a self-check; decoding includes the check that the stream is canonical.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ParamSpec, TypeVar

import numpy as np
from correlated_latents import correlated_crops, correlated_latent, independent_latent
from numpy.typing import NDArray

from hific.codecs.latent_coding import LatentCoding, UncodedLatent
from hific.codecs.priors import channel_ids
from hific.coding.frequency_table import normalize_counts
from hific.coding.range_coder import RangeDecoder, RangeEncoder
from hific.context.adaptive import AdaptiveFit
from hific.context.context_model import ContextModelFit
from hific.context.knn import KNNFit
from hific.context.linear import LinearFit
from hific.context.xgboost import XGBoostFit
from hific.fitting.coding import fit_channel_tables
from hific.fitting.context_model import ContextFit, TrainingLatent

P = ParamSpec("P")
Result = TypeVar("Result")
Symbols = NDArray[np.int32]

FITS: tuple[ContextModelFit, ...] = (LinearFit(), XGBoostFit(), KNNFit(), AdaptiveFit())
SWITCH_SHAPES = [(60, 256, 384), (120, 128, 192), (240, 64, 96), (480, 32, 48)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="each time is the best of so many")
    repeats = parser.parse_args().repeats
    print("Latents: 300 training crops, 8 images of 8x32x48\n")
    print("| latents | coder | bits a symbol | encode ms an image | decode ms an image |\n|---|---|--:|--:|--:|")
    latents(repeats)
    print("\nFit\n\n| symbols | crops | s |\n|--:|---|--:|")
    fits()
    print(
        "\nCoder alone, 1,000,000 symbols\n\n| tables | symbols | call | encode ms | decode ms |\n|--:|--:|---|--:|--:|"
    )
    coder(repeats)
    print("\nSwitches of a 768x512 image\n\n| coder | symbols | bytes | encode s | decode s |\n|---|--:|--:|--:|--:|")
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
        coding = fit_channel_tables(training, num_channels=8)
        sources = [source_of(latent) for latent in test]
        for label, (one, name) in coders_of(coding, training).items():
            encoding, encoded = best(repeats, encode_all, one, name, sources)
            decoding, _ = best(repeats, decode_all, one, name, sources, encoded)
            bits = 8 * sum(map(len, encoded)) / sum(source.latent.size for source in sources)
            times = f"{1000 * encoding / len(sources):.1f} | {1000 * decoding / len(sources):.1f}"
            print(f"| {kind} | {label} | {bits:.3f} | {times} |", flush=True)


def coders_of(coding: LatentCoding, training: Sequence[Symbols]) -> dict[str, tuple[LatentCoding, str]]:
    """By their labels: codings, and what they call their coder."""
    found = {name: (coding, name) for name in coding.coders}
    symbols = [TrainingLatent(latent.astype(np.int32) - 2, channel_ids(latent.shape)) for latent in training]
    for fit in FITS:
        context_coded = ContextFit(fit)(symbols, coding.prior.tables, coding.prior.latent_channels)
        found[fit.kind] = (replace(coding, context_coded=context_coded), "context_coded")
    return found


def source_of(latent: NDArray[np.integer], *maps: NDArray[np.int8]) -> UncodedLatent:
    return UncodedLatent(latent.astype(np.float32) - 2, np.zeros((0, 0, 0), np.int32), maps)


def encode_all(coding: LatentCoding, name: str, sources: list[UncodedLatent]) -> list[bytes]:
    streams = []
    for source in sources:
        encoder = RangeEncoder()
        coding.code(encoder, coding.coders[name], source)
        streams.append(encoder.get_bytes())
    return streams


def decode_all(coding: LatentCoding, name: str, sources: list[UncodedLatent], streams: list[bytes]) -> None:
    """Takes the shapes of `sources`."""
    for source, stream in zip(sources, streams, strict=True):
        decoder = RangeDecoder(stream)
        coding.code(decoder, coding.coders[name], source)
        decoder.finish()


def fits() -> None:
    for size, number in ((8, 600), (8, 4000), (16, 1000), (32, 250)):
        crops = [independent_latent(seed, 8, size, size) for seed in range(number)]
        seconds, _ = best(1, fit_channel_tables, crops, num_channels=8)
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
    coding = fit_channel_tables([], counts, num_channels=8)
    source = source_of(correlated_latent(0), *maps)
    for name in coding.coders:
        encoding, streams = best(repeats, encode_all, coding, name, [source])
        decoding, _ = best(repeats, decode_all, coding, name, [source], streams)
        num_bytes = len(streams[0])
        print(f"| {name} | {sum(m.size for m in maps)} | {num_bytes} | {encoding:.2f} | {decoding:.2f} |", flush=True)


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
