"""Laws of every latent coder: what comes back, at which rate, what a decoder needs to know, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from context_cases import KINDS, any_latent, fitted, laplace_tables, latent_of
from damaged_streams import WatchedDecoder, damaged_streams
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hific.coding.range_coder import Ints, RangeDecoder, RangeEncoder
from hific.context.context_model import CONTEXT_MODELS
from hific.errors import BitstreamError
from hific.fitting.context_model import TrainingLatent
from hific.latent_coders.base import LatentCoder
from hific.latent_coders.memoryless import MOST_LEVELS, FixedLengthCoder, TablesCoder

FIRST, LEVELS = -2, 5
LABELS = ("fixed_length", "tables", *KINDS)
EVERY = pytest.mark.parametrize("label", LABELS)
ANY_INT32 = pytest.mark.parametrize("label", LABELS[1:])
seeds, lengths = st.integers(0, 2**32), st.integers(1, 9)


@cache
def coder_of(label: str, order: str = "phases") -> LatentCoder:
    if label == "fixed_length":
        return FixedLengthCoder(FIRST, LEVELS)
    return TablesCoder(laplace_tables()) if label == "tables" else fitted(label, order)


def latent_for(label: str, seed: int, height: int, width: int) -> TrainingLatent:
    """Any that the coder codes: of all magnitudes, or of the levels."""
    symbols, table_ids = any_latent(seed, height, width)
    return TrainingLatent(symbols % LEVELS + FIRST if label == "fixed_length" else symbols, table_ids)


def encode(coder: LatentCoder, latent: TrainingLatent) -> bytes:
    encoder = RangeEncoder()
    np.testing.assert_array_equal(coder.code(encoder, latent.symbols, latent.table_ids), latent.symbols)
    return encoder.get_bytes()


def decode(
    coder: LatentCoder, stream: bytes, table_ids: Ints, make_decoder: Callable[[bytes], RangeDecoder] = RangeDecoder
) -> Ints:
    decoder = make_decoder(stream)
    decoded = coder.code(decoder, np.zeros(table_ids.shape, np.int32), table_ids)
    decoder.finish()
    return decoded


@EVERY
def test_names(label: str) -> None:
    coder = coder_of(label)
    assert coder.label == label
    assert coder.name == ("context_coded" if label in CONTEXT_MODELS else label)


@EVERY
@given(seeds, lengths, lengths, st.sampled_from(["phases", "channels"]))
@settings(max_examples=15, deadline=None)
def test_decoding_returns_what_was_encoded(label: str, seed: int, height: int, width: int, order: str) -> None:
    """Also far beyond tables and bins, and where a table is sure of 0."""
    coder, latent = coder_of(label, order), latent_for(label, seed, height, width)
    decoded = decode(coder, encode(coder, latent), latent.table_ids)
    np.testing.assert_array_equal(decoded, latent.symbols)
    assert decoded.dtype == np.int32 and decoded.shape == latent.symbols.shape


@ANY_INT32
@pytest.mark.parametrize("value", [-(2**31), 2**31 - 1, 2**20, -(2**20)])
def test_any_int32_codes(label: str, value: int) -> None:
    latent = any_latent(1, 3, 5)
    latent.symbols[:, 1, 1::2] = value
    coder = coder_of(label)
    np.testing.assert_array_equal(decode(coder, encode(coder, latent), latent.table_ids), latent.symbols)


@EVERY
@given(seeds, lengths, lengths)
@settings(max_examples=10, deadline=None)
def test_any_bytes_decode_to_what_encodes_to_them_or_raise(label: str, seed: int, height: int, width: int) -> None:
    coder, latent = coder_of(label), latent_for(label, seed, height, width)
    stream = encode(coder, latent)
    for damaged in damaged_streams(stream, seed):
        try:
            decoded = decode(coder, damaged, latent.table_ids, WatchedDecoder)
        except BitstreamError:
            continue
        assert encode(coder, TrainingLatent(decoded, latent.table_ids)) == damaged
        assert damaged == stream or (decoded != latent.symbols).any()


class Listener:
    """An encoder's stand-in that notes what each call codes, and what a decoder is told to read it by."""

    def __init__(self) -> None:
        self.calls: list[tuple[Ints, tuple[Ints, ...]]] = []

    def code(self, symbols: Ints, *told: Ints) -> Ints:
        self.calls.append((symbols.copy(), (np.array(len(symbols)), *told)))
        return symbols

    code_grouped = code_runs = code_bits = code


def calls_of(coder: LatentCoder, symbols: Ints, table_ids: NDArray[np.integer]) -> list[tuple[Ints, tuple[Ints, ...]]]:
    listener = Listener()
    coder.code(listener, symbols, table_ids)  # type: ignore[arg-type]
    return listener.calls


@EVERY
def test_what_a_decoder_is_told_follows_from_what_it_has_read(label: str) -> None:
    coder, latent = coder_of(label), latent_of(1, 4, 5)
    symbols = np.clip(latent.symbols, FIRST, FIRST + LEVELS - 1)
    before = calls_of(coder, symbols, latent.table_ids)
    for place in np.ndindex(symbols.shape):
        changed = symbols.copy()
        changed[place] = FIRST if changed[place] > 0 else FIRST + LEVELS - 1
        after = calls_of(coder, changed, latent.table_ids)
        pairs = list(zip(before, after, strict=False))
        first = [np.array_equal(one[0], other[0]) for one, other in pairs].index(False)
        for one, other in pairs[: first + 1]:
            assert all(map(np.array_equal, one[1], other[1])), f"a call foresees the symbol at {place}"


@pytest.mark.parametrize("levels", [2, 3, 4, 5, 255, MOST_LEVELS])
def test_fixed_length_is_the_nominal_rate(levels: int) -> None:
    shape = (8, 40, 64)
    symbols = np.random.default_rng(0).integers(0, levels, shape).astype(np.int32)
    stream = encode(FixedLengthCoder(0, levels), TrainingLatent(symbols, np.zeros_like(symbols)))
    nominal = symbols.size * np.log2(levels)
    assert abs(8 * len(stream) - nominal) <= 1e-3 * nominal
    # Also where one level is all there is.
    for only in (0, levels - 1):
        one = np.full(shape, only, np.int32)
        num_bits = 8 * len(encode(FixedLengthCoder(0, levels), TrainingLatent(one, np.zeros_like(one))))
        assert num_bits == pytest.approx(nominal, rel=2e-3 if levels > 5 else 1e-3)


@pytest.mark.parametrize("symbol", [FIRST - 1, FIRST + LEVELS, -(2**31), 2**31 - 1])
def test_fixed_length_codes_its_levels_only(symbol: int) -> None:
    symbols = np.zeros((1, 2, 3), np.int32)
    symbols[0, 1, 2] = symbol
    with pytest.raises(ValueError, match="symbols lie in"):
        FixedLengthCoder(FIRST, LEVELS).code(RangeEncoder(), symbols, np.zeros_like(symbols))


@given(st.binary(max_size=60))
def test_whatever_fixed_length_decodes_is_one_of_its_levels(stream: bytes) -> None:
    blank = np.zeros((2, 3, 4), np.int32)
    try:
        decoded = FixedLengthCoder(7, LEVELS).code(RangeDecoder(stream), blank, blank)
    except BitstreamError:
        return
    assert decoded.min() >= 7 and decoded.max() < 7 + LEVELS


def test_levels_that_cannot_be_are_refused() -> None:
    for first, levels in ((0, 1), (0, MOST_LEVELS + 1), (2**31 - 3, 5), (-(2**31) - 1, 5)):
        with pytest.raises(ValueError, match="levels from"):
            FixedLengthCoder(first, levels)


def test_tables_take_a_table_id_for_each_symbol() -> None:
    latent = any_latent(0, 4, 5)
    with pytest.raises(ValueError, match="table ids"):
        TablesCoder(laplace_tables()).code(RangeEncoder(), latent.symbols, latent.table_ids[:, :2])
    with pytest.raises(ValueError, match="table ids lie in"):
        TablesCoder(laplace_tables()).code(RangeEncoder(), latent.symbols, latent.table_ids + 4)
