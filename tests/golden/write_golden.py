"""Writes the golden files of coder and latent codings anew: `PYTHONPATH=.:tests python tests/golden/write_golden.py`.

All of them only for a new version of the format; `write_golden.py KIND` those of a new kind of context model. A pair of
files each: `NAME.npz` has what a checkpoint keeps (its description as JSON) and what was coded, `NAME.hfc` the file.
All states are made of integers; what a context model was fitted with does not show.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from context_cases import CASES, KINDS, SCALES
from latent_codings import hyper_coding, integer_prior, with_context_of_levels

from benchmarks.correlated_latents import correlated_crops, correlated_latent
from hific.codecs.latent_coding import LatentCoding, UncodedLatent
from hific.coding.container import Header, pack
from hific.coding.frequency_table import normalize_counts
from hific.coding.range_coder import RangeEncoder
from hific.coding.symbol_tables import SymbolTables
from hific.fitting.coding import fit_channel_tables
from hific.postfilter.postfilter import Flags, code_flags

FOLDER = Path(__file__).parent
FINGERPRINT = b"\xc0\xff\xee\x00"


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


def write_compressnet() -> None:
    """By each coder."""
    rng = np.random.default_rng(0)
    crops = [crop.astype(np.int32) for crop in correlated_crops(30, num_channels=2)]
    coding = fit_channel_tables(crops, [rng.integers(0, 100, (2, 4))], num_channels=2)
    coding = with_context_of_levels(coding, replace(CASES["xgboost"].fit, rounds=3))
    symbols = correlated_latent(0, 2, 9, 7).astype(np.float32) - 2
    switches = rng.integers(0, 4, (2, 18, 14)).astype(np.int8)
    source = UncodedLatent(symbols, np.zeros((0, 0, 0), np.int32), (switches,))
    for coder in coding.coders:
        write(f"compressnet_{coder}", "compressnet", coding, coder, source)


def write_hific() -> None:
    """By tables of 1 to 601 values, in escapes of all magnitudes."""
    rng = np.random.default_rng(0)
    thresholds = np.array([-12, -6, -2, 1, 4, 9, 18], np.int64) << 22
    hyper_tables = _symbol_tables(rng, [-4, 2, -60], [9, 1, 121])
    latent_tables = _symbol_tables(rng, [0, -1, -1, -2, -4, -10, -20, -300], [1, 3, 3, 5, 9, 21, 41, 601])
    coding = LatentCoding(integer_prior(4, thresholds, hyper_tables, latent_tables))
    hyper_symbols = np.rint(rng.laplace(0, 4, (3, 2, 3))).astype(np.int32)
    hyper_symbols[0, 1, 2] = 90
    means = coding.prior.predict(hyper_symbols, 7, 9).means
    latent = (means + rng.normal(0, 4, means.shape)).astype(np.float32)
    latent[2, 3, :4] = [1e6, -1e6, 2000, -2000]
    write("hific_tables", "hific", coding, "tables", UncodedLatent(latent, hyper_symbols))


def write_hific_contexts(kinds: Sequence[str] = KINDS) -> None:
    """By each kind of context model. Some symbols are beyond the bins, one is where its table is sure of 0; flags of a
    post-filter's tiles end the stream."""
    rng = np.random.default_rng(0)
    hyper_symbols = np.rint(rng.laplace(0, 4, (3, 3, 4))).astype(np.int32)
    table_ids, means = hyper_coding().prior.predict(hyper_symbols, 9, 14)
    symbols = np.rint(rng.laplace(size=table_ids.shape) * SCALES[table_ids])
    symbols[1:3, 4, 5] = [70_000, -(2**20)]
    symbols.flat[np.flatnonzero(table_ids == 0)[10]] = -2
    source = UncodedLatent(symbols.astype(np.float32) + means, hyper_symbols)
    flags = rng.random((3, 4)) < 0.5
    for kind in kinds:
        write(f"hific_{kind}", "hific", hyper_coding(kind), "context_coded", source, flags)


def write(
    name: str, codec: str, coding: LatentCoding, coder: str, source: UncodedLatent, flags: Flags | None = None
) -> None:
    encoder = RangeEncoder()
    coded = coding.code(encoder, coding.coders[coder], source)
    if flags is not None:
        code_flags(encoder, flags)
    if coder != "context_coded":
        coding = replace(coding, context_coded=None)
    parts = {"latent": source.latent, "symbols": coded.symbols, "means": coded.means, "flags": flags}
    parts |= {"hyper_symbols": source.hyper_symbols, "switches": (*source.side_information, None)[0]}
    table_ids = coding.prior.predict(source.hyper_symbols, *source.latent.shape[1:]).table_ids
    kept = {part: array for part, array in parts.items() if array is not None}
    description = np.array(json.dumps(coding.description()))
    np.savez_compressed(FOLDER / f"{name}.npz", description=description, table_ids=table_ids, **kept, **coding.state())
    height, width = (16 * length for length in source.latent.shape[1:])
    header = Header(FINGERPRINT, width, height, codec, coder, post_filter=flags is not None)
    (FOLDER / f"{name}.hfc").write_bytes(pack(header, encoder.get_bytes()))


def _symbol_tables(rng: np.random.Generator, offsets: list[int], sizes: list[int]) -> SymbolTables:
    rows = [normalize_counts(rng.integers(0, 1000, size + 1) ** 3) for size in sizes]
    return SymbolTables(np.array(offsets, np.int32), np.array(sizes, np.int32), np.concatenate(rows))


if __name__ == "__main__":
    if sys.argv[1:]:
        write_hific_contexts(sys.argv[1:])
    else:
        write_range_coder()
        write_compressnet()
        write_hific()
        write_hific_contexts()
