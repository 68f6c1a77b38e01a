"""A few bytes that claim a huge image are refused for little time and memory, whatever else they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hific.coding.frequency_table import TOTAL, normalize_counts
from hific.coding.range_coder import RangeDecoder, RangeEncoder, check_length
from hific.errors import TruncatedError

ROOT = Path(__file__).parents[2]
# What is left to the decoder once the model is loaded: 400 MB of addresses, 3 s of processor.
DECODE = """
import resource, sys
from pathlib import Path
import hific
from hific.coding.container import Header, pack
from hific.errors import TooLargeError, TruncatedError

codec = hific.load_codec("hific-low")
for length in (0, 2, 100, 10_000):
    for stream in (bytes(length), b"\\xa5" * length):
        data = pack(Header(codec.fingerprint, 16384, 16384, "hific", "tables"), stream)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20), resource.RLIM_INFINITY))
        seconds = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 3, resource.RLIM_INFINITY))
        try:
            codec.decompress(data)
        except (TruncatedError, TooLargeError) as error:
            print(len(data), type(error).__name__)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads its own size from /proc")
def test_a_huge_claim_in_a_few_bytes_takes_little_time_and_memory() -> None:
    done = subprocess.run([sys.executable, "-c", DECODE], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 8 and lines[0].startswith("19 ") and all(line.endswith("Error") for line in lines)


def test_a_decoder_stops_soon_after_the_end_of_its_stream() -> None:
    likely = np.array([TOTAL - 1, 1], np.int32)
    # Ten million symbols of 1/45000 bit each are 28 bytes.
    blank = np.broadcast_to(np.int32(0), 10**7)
    with pytest.raises(TruncatedError):
        RangeDecoder(b"\0\0\0").code_runs(blank, np.array([10**7]), likely, np.array([2]))
    for code in ("code", "code_bits", "code_grouped"):
        arguments = {"code": [np.broadcast_to(likely, (10**7, 2))], "code_bits": []}
        grouped = [np.broadcast_to(np.int32(0), 10**7), likely[None]]
        with pytest.raises(TruncatedError):
            getattr(RangeDecoder(b"\0"), code)(blank, *arguments.get(code, grouped))


@pytest.mark.parametrize("seed", range(60))
def test_no_stream_is_shorter_than_its_likeliest_symbols(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, width = int(rng.integers(1, 3000)), int(rng.integers(2, 30))
    rows = normalize_counts(rng.integers(0, 1 + 10 ** int(rng.integers(0, 12)), (count, width)))
    if seed % 3 == 0:
        rows[:] = [TOTAL - width + 1, *[1] * (width - 1)]
    encoder = RangeEncoder()
    encoder.code(rows.argmax(axis=1).astype(np.int32), rows)
    num_bytes = len(encoder.get_bytes())
    assert encoder.num_settled_bytes <= num_bytes
    least_bits = float(-np.log2(rows.max(axis=1) / TOTAL).sum())
    check_length(num_bytes, least_bits)
    with pytest.raises(TruncatedError, match="or more"):
        check_length(num_bytes, 2 * least_bits + 300)
