"""Writes the golden files of coder and codings anew: `PYTHONPATH=.:tests python tests/golden/write_golden.py`.

Only for a new version of the format; the old files stay, under another name, and must go on decoding.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from neighbor_cases import CHANNELS, SCALES, laplace_tables, latent_of, predictor_fit
from neighbor_codings import hific_coding, integer_synthesis, neighbor_of_levels

from benchmarks.correlated_latents import correlated_crops, correlated_latent
from hific.codecs.compressnet_coding import CompressNetCoding
from hific.codecs.hyperprior_coding import HyperpriorCoding
from hific.coding.container import Header, pack
from hific.coding.frequency_table import normalize_counts
from hific.coding.range_coder import RangeEncoder
from hific.coding.symbol_tables import SymbolTables
from hific.context.fit_neighbors import NeighborFit

FOLDER = Path(__file__).parent
HEADER = Header(b"\xc0\xff\xee\x00", 112, 144, "compressnet", "packed")


def write_range_coder() -> None:
    counts = [[1, 2, 3, 4, 5], [1000, 0, 0, 0, 1], [0, 0, 0, 0, 0], [7, 700, 7, 70, 1]]
    places = np.arange(300)
    symbols = ((places * places * 7 + places // 3) % 5).astype(np.int32)
    table_ids = (places * 5 % 4).astype(np.int32)
    tables = normalize_counts(np.array(counts))
    single, grouped = RangeEncoder(), RangeEncoder()
    single.code(symbols, tables[table_ids])
    grouped.code_grouped(symbols, table_ids, tables)
    golden = {
        "counts": counts,
        "symbols": symbols.tolist(),
        "table_ids": table_ids.tolist(),
        "code": single.get_bytes().hex(),
        "code_grouped": grouped.get_bytes().hex(),
    }
    (FOLDER / "range_coder.json").write_text(json.dumps(golden) + "\n")


def write_compressnet_coding() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 100, (2, 4))
    tables = CompressNetCoding.fit(correlated_crops(30, num_channels=2), [counts])
    symbols = correlated_latent(0, 2, 9, 7).astype(np.int32)
    switches = rng.integers(0, 4, (2, 18, 14)).astype(np.int8)
    np.savez_compressed(FOLDER / "compressnet_coding.npz", symbols=symbols, switches=switches, **tables.state())
    for coding in tables.codings:
        header = Header(HEADER.fingerprint, HEADER.width, HEADER.height, HEADER.codec, coding)
        (FOLDER / f"compressnet_{coding}.hfc").write_bytes(pack(header, *tables.encode(coding, symbols, [switches])))


def write_hyperprior_coding() -> None:
    """From integers only: a float network's form could differ from machine to machine."""
    rng = np.random.default_rng(0)
    coding = HyperpriorCoding(
        integer_synthesis(rng, 4),
        integer_synthesis(rng, 4),
        np.array([-12, -6, -2, 1, 4, 9, 18], np.int64) << 22,
        _symbol_tables(rng, [-4, 2, -60], [9, 1, 121]),
        _symbol_tables(rng, [0, -1, -1, -2, -4, -10, -20, -300], [1, 3, 3, 5, 9, 21, 41, 601]),
    )
    hyper_symbols = np.rint(rng.laplace(0, 4, (3, 2, 3))).astype(np.int32)
    hyper_symbols[0, 1, 2] = 90
    height, width = 7, 9
    prediction = coding.predict(hyper_symbols, height, width)
    latent = (prediction.means + rng.normal(0, 4, prediction.means.shape)).astype(np.float32)
    latent[2, 3, :4] = [1e6, -1e6, 2000, -2000]
    stream, symbols = coding.encode(hyper_symbols, latent)
    arrays = {"hyper_symbols": hyper_symbols, "latent": latent, "symbols": symbols, **prediction._asdict()}
    np.savez_compressed(FOLDER / "hyperprior_coding.npz", **arrays, **coding.state())
    header = Header(HEADER.fingerprint, 16 * width, 16 * height, "hific", "hyperprior")
    (FOLDER / "hific_hyperprior.hfc").write_bytes(pack(header, [], stream))


def write_compressnet_neighbor() -> None:
    """The symbols and switches of the other codings, by the same tables and a predictor of a few trees."""
    state = dict(np.load(FOLDER / "compressnet_coding.npz"))
    symbols, switches = state.pop("symbols"), state.pop("switches")
    tables = CompressNetCoding.from_state(state)
    neighbor = neighbor_of_levels(tables, predictor_fit("xgboost", rounds=3))
    np.savez_compressed(FOLDER / "compressnet_neighbor.npz", **neighbor.state())
    header = Header(HEADER.fingerprint, HEADER.width, HEADER.height, HEADER.codec, "neighbor")
    encoded = replace(tables, neighbor=neighbor).encode("neighbor", symbols, [switches])
    (FOLDER / "compressnet_neighbor.hfc").write_bytes(pack(header, *encoded))


def write_hific_neighbor() -> None:
    """Some symbols are beyond the classes, one is where its table is sure of 0. hific_neighbor.hfc is from before wide
    tables had wider bins.
    """
    fit = NeighborFit(predictor_fit("xgboost", rounds=3), num_groups=2, reach=1, side=5, max_windows=4000)
    neighbor = fit([latent_of(seed) for seed in range(10)], laplace_tables(), CHANNELS)
    coding = replace(hific_coding("table"), neighbor=neighbor)
    rng = np.random.default_rng(0)
    height, width = 9, 14
    hyper_symbols = np.rint(rng.laplace(0, 4, (3, 3, 4))).astype(np.int32)
    means, table_ids = coding.predict(hyper_symbols, height, width)
    symbols = np.rint(rng.laplace(size=table_ids.shape) * SCALES[table_ids])
    symbols[1:3, 4, 5] = [70_000, -(2**20)]
    symbols.flat[np.flatnonzero(table_ids == 0)[10]] = -2
    latent = symbols.astype(np.float32) + means
    stream, symbols = coding.encode(hyper_symbols, latent, "neighbor")
    arrays = {"hyper_symbols": hyper_symbols, "latent": latent, "symbols": symbols}
    np.savez_compressed(FOLDER / "hific_neighbor_bins.npz", **arrays, **coding.state())
    header = Header(HEADER.fingerprint, 16 * width, 16 * height, "hific", "neighbor")
    (FOLDER / "hific_neighbor_bins.hfc").write_bytes(pack(header, [], stream))


def _symbol_tables(rng: np.random.Generator, offsets: list[int], sizes: list[int]) -> SymbolTables:
    rows = [normalize_counts(rng.integers(0, 1000, size + 1) ** 3) for size in sizes]
    return SymbolTables(np.array(offsets, np.int32), np.array(sizes, np.int32), np.concatenate(rows))


if __name__ == "__main__":
    write_range_coder()
    write_compressnet_coding()
    write_hyperprior_coding()
    write_compressnet_neighbor()
    write_hific_neighbor()
