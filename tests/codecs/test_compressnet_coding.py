"""Laws of CompressNet's three codings."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.correlated_latents import correlated_crops, correlated_latent
from hific.codecs import compressnet_coding
from hific.codecs.compressnet_coding import Coding, CompressNetCoding, SelfCheckError
from hific.coding.container import Header, pack, unpack
from hific.coding.packed import packed_size
from hific.errors import BitstreamError, CorruptedError

GOLDEN = Path(__file__).parents[1] / "golden"
CODINGS: tuple[Coding, ...] = ("packed", "static", "context")
Latent = NDArray[np.int32]
Maps = list[NDArray[np.int8]]

SWITCH_COUNTS = [np.array([[9, 1, 1, 1], [1, 1, 9, 5], [0, 0, 0, 0]]), np.array([[100, 0, 0, 1], [4, 3, 2, 1]])]
FITTED = CompressNetCoding.fit(correlated_crops(30, num_channels=3), SWITCH_COUNTS)


def random_message(seed: int, height: int, width: int) -> tuple[Latent, Maps]:
    """A latent of three channels and two scales of switches, of any values."""
    rng = np.random.default_rng(seed)
    maps = [rng.integers(0, 4, (len(counts), height << i, width << i)) for i, counts in enumerate(SWITCH_COUNTS)]
    return rng.integers(0, 5, (3, height, width)).astype(np.int32), [plane.astype(np.int8) for plane in maps]


def shapes_of(maps: Sequence[NDArray[np.int8]]) -> list[tuple[int, int, int]]:
    return [plane.shape for plane in maps]


@pytest.mark.parametrize("coding", CODINGS)
@given(st.integers(0, 2**32), st.integers(0, 7), st.integers(0, 7), st.booleans())
@settings(max_examples=25)
def test_decoding_returns_what_was_encoded(
    coding: Coding, seed: int, height: int, width: int, with_switches: bool
) -> None:
    symbols, maps = random_message(seed, height, width)
    switches = maps if with_switches else None
    raw_parts, stream = FITTED.encode(coding, symbols, switches, self_check=False)
    shapes = shapes_of(maps) if with_switches else None
    decoded, decoded_switches = FITTED.decode(coding, symbols.shape, shapes, raw_parts, stream)
    np.testing.assert_array_equal(decoded, symbols)
    assert decoded.dtype == np.int32
    if not with_switches:
        assert decoded_switches is None
        return
    assert decoded_switches is not None
    for before, after in zip(maps, decoded_switches, strict=True):
        np.testing.assert_array_equal(after, before)
        assert after.dtype == np.int8


def test_packed_is_the_nominal_rate() -> None:
    symbols, maps = random_message(0, 6, 7)
    raw_parts, stream = FITTED.encode("packed", symbols, maps)
    assert [len(part) for part in raw_parts] == [packed_size(3 * 6 * 7), -(-3 * 6 * 7 // 4), -(-2 * 12 * 14 // 4)]
    assert stream == b""


def test_static_beats_packed_and_context_beats_static_on_structured_latents() -> None:
    coding = CompressNetCoding.fit(correlated_crops(100, num_channels=4))
    symbols = correlated_latent(0, num_channels=4).astype(np.int32)
    sizes = []
    for name in CODINGS:
        raw_parts, stream = coding.encode(name, symbols)
        sizes.append(sum(map(len, raw_parts)) + len(stream))
    packed, static, context = sizes
    assert context < 0.9 * static
    assert static < packed


def test_one_flush_for_latent_and_switches() -> None:
    """Both parts together take no more than their ideal lengths and a byte; two flushes would take two."""
    symbols, maps = random_message(1, 7, 9)
    together = len(FITTED.encode("static", symbols, maps)[1])
    tables = [FITTED.static_tables, *FITTED.switch_tables]
    num_bits = 0.0
    for values, table in zip([symbols, *maps], tables, strict=True):
        rows = table[np.arange(len(values))[:, None], values.reshape(len(values), -1)]
        num_bits -= np.log2(rows / 2**16).sum()
    assert together <= num_bits / 8 + 1.1


@pytest.mark.parametrize("levels", [5, 3])
def test_no_history_gives_tables_that_code(levels: int) -> None:
    coding = CompressNetCoding.fit([], [np.zeros((2, 4), np.int64)], levels, num_channels=3)
    symbols = np.random.default_rng(0).integers(0, levels, (3, 5, 4)).astype(np.int32)
    switches = [np.random.default_rng(1).integers(0, 4, (2, 10, 8)).astype(np.int8)]
    for name in CODINGS:
        raw_parts, stream = coding.encode(name, symbols, switches)
        np.testing.assert_array_equal(coding.decode(name, symbols.shape, [(2, 10, 8)], raw_parts, stream)[0], symbols)
    with pytest.raises(ValueError, match="num_channels"):
        CompressNetCoding.fit([])


def test_state_round_trip() -> None:
    state = FITTED.state()
    assert all(array.dtype == np.int32 and array.size for array in state.values())
    restored = CompressNetCoding.from_state(state)
    symbols, maps = random_message(2, 5, 6)
    for name in CODINGS:
        assert restored.encode(name, symbols, maps) == FITTED.encode(name, symbols, maps)


def test_a_state_that_no_fit_gives_is_refused() -> None:
    state = FITTED.state()
    for name in ("static_tables", "switch_tables.1"):
        with pytest.raises(ValueError, match="coding tables"):
            CompressNetCoding.from_state({**state, name: state[name] * 2})
    with pytest.raises(ValueError, match="coding tables"):
        CompressNetCoding.from_state({**state, "static_tables": state["static_tables"][:2]})
    with pytest.raises(KeyError):
        CompressNetCoding.from_state({name: state[name] for name in state if name != "static_tables"})


def test_input_that_does_not_fit_the_model_is_refused() -> None:
    symbols, maps = random_message(3, 4, 4)
    for name in CODINGS:
        for wrong_symbols in (symbols[:2], symbols + 3, symbols - 3, symbols[0]):
            with pytest.raises(ValueError, match="latent"):
                FITTED.encode(name, wrong_symbols, maps)
        for wrong_maps in (maps[:1], [maps[0], maps[1] + 4], [maps[1], maps[0]]):
            with pytest.raises(ValueError, match="switches"):
                FITTED.encode(name, symbols, wrong_maps)
    with pytest.raises(ValueError, match="training latent"):
        CompressNetCoding.fit([symbols, symbols[:2]])


@pytest.mark.parametrize("coding", CODINGS)
@given(st.lists(st.binary(max_size=60), max_size=3), st.binary(max_size=60))
def test_any_bytes_decode_to_what_encodes_to_them_or_raise(
    coding: Coding, raw_parts: list[bytes], stream: bytes
) -> None:
    shapes = [(3, 3, 4), (2, 6, 8)]
    for given_parts, given_stream in ((raw_parts, stream), ([], stream), (raw_parts, b"")):
        try:
            symbols, maps = FITTED.decode(coding, (3, 3, 4), shapes, given_parts, given_stream)
        except BitstreamError:
            continue
        assert FITTED.encode(coding, symbols, maps) == (given_parts, given_stream)


@pytest.mark.parametrize("coding", CODINGS)
def test_bytes_of_another_coding_or_shape_are_noticed(coding: Coding) -> None:
    symbols, maps = random_message(4, 6, 6)
    raw_parts, stream = FITTED.encode(coding, symbols, maps)
    wrong_scales = [shapes_of(maps), None]
    for shape, switch_shapes in zip([(3, 6, 12), (3, 6, 6)], wrong_scales, strict=True):
        with pytest.raises(BitstreamError):
            FITTED.decode(coding, shape, switch_shapes, raw_parts, stream)
    with pytest.raises(CorruptedError, match="do not go with"):
        FITTED.decode("static" if coding == "packed" else "packed", (3, 6, 6), shapes_of(maps), raw_parts, stream)


def test_the_self_check_notices_a_decoder_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    symbols, _ = random_message(5, 6, 6)

    def differing(data: bytes, num_symbols: int) -> Latent:
        return np.zeros(num_symbols, np.int32)

    monkeypatch.setattr(compressnet_coding, "unpack_base5", differing)
    with pytest.raises(SelfCheckError):
        FITTED.encode("packed", symbols)
    FITTED.encode("packed", symbols, self_check=False)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_thousand_corruptions_of_a_file_give_a_thousand_errors(coding: Coding) -> None:
    symbols, maps = random_message(6, 6, 6)
    header = Header(b"\x01\x02\x03\x04", 96, 96, "compressnet", coding)
    data = pack(header, *FITTED.encode(coding, symbols, maps))
    rng = random.Random(0)
    num_errors = 0
    for _ in range(1000):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        kind = rng.randrange(3)
        end = rng.randrange(len(data))
        changed = (bytes(damaged), data[:end], data + rng.randbytes(1 + end % 9))[kind]
        with pytest.raises(BitstreamError):
            _, raw_parts, stream = unpack(changed, max_pixels=1 << 20)
            FITTED.decode(coding, symbols.shape, shapes_of(maps), raw_parts, stream)
        num_errors += 1
    assert num_errors == 1000


@pytest.mark.parametrize("coding", CODINGS)
def test_golden_files(coding: Coding) -> None:
    """Files of format version 1 decode for ever, and are still written byte for byte."""
    state = dict(np.load(GOLDEN / "compressnet_coding.npz"))
    symbols, switches = state.pop("symbols"), state.pop("switches")
    tables = CompressNetCoding.from_state(state)
    data = (GOLDEN / f"compressnet_{coding}.hfc").read_bytes()
    header, raw_parts, stream = unpack(data, max_pixels=112 * 144)
    assert header == Header(b"\xc0\xff\xee\x00", 112, 144, "compressnet", coding)
    decoded, maps = tables.decode(coding, symbols.shape, [switches.shape], raw_parts, stream)
    np.testing.assert_array_equal(decoded, symbols)
    assert maps is not None
    np.testing.assert_array_equal(maps[0], switches)
    assert pack(header, *tables.encode(coding, symbols, [switches])) == data
