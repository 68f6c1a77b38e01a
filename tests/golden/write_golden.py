"""Writes the golden files of coder and CompressNet coding anew: `PYTHONPATH=. python tests/golden/write_golden.py`.

Only for a new version of the format; the old files stay, under another name, and must go on decoding.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks.correlated_latents import correlated_crops, correlated_latent
from hific.codecs.compressnet_coding import CompressNetCoding
from hific.coding.container import CODINGS, Header, pack
from hific.coding.frequency_table import normalize_counts
from hific.coding.range_coder import RangeEncoder

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
    for coding in CODINGS:
        header = Header(HEADER.fingerprint, HEADER.width, HEADER.height, HEADER.codec, coding)
        (FOLDER / f"compressnet_{coding}.hfc").write_bytes(pack(header, *tables.encode(coding, symbols, [switches])))


if __name__ == "__main__":
    write_range_coder()
    write_compressnet_coding()
