"""Laws of the coding `neighbor` of both families: what comes back, what a decoder needs to know, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neighbor_cases import CHANNELS, KINDS, any_latent, laplace_tables, latent_of
from neighbor_codings import HYPER_CHANNELS, SWITCH_COUNTS, compressnet_coding, hific_coding
from numpy.typing import NDArray

from benchmarks.correlated_latents import correlated_latent
from hific.codecs.compressnet_coding import CompressNetCoding, centered_tables, channel_ids
from hific.codecs.hyperprior_coding import SYMBOL_LIMIT, HyperpriorCoding, clip_hyper_symbols
from hific.coding.container import Header, pack, unpack
from hific.coding.range_coder import RangeDecoder, RangeEncoder
from hific.context.neighbor_model import NeighborModel, sure_tables
from hific.context.symbol_classes import WIDEST
from hific.errors import BitstreamError, CorruptedError

GOLDEN = Path(__file__).parents[1] / "golden"
Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Maps = list[NDArray[np.int8]]
Calls = list[tuple[Ints, tuple[Any, ...]]]

seeds, lengths = st.integers(0, 2**32), st.integers(1, 10)


def hific_message(seed: int, height: int, width: int) -> tuple[Ints, Floats]:
    """Hyper-symbols and symbols of all magnitudes, many about the last classes; the symbols as a latent."""
    rng = np.random.default_rng(seed)
    shape = (HYPER_CHANNELS, -(-height // 4), -(-width // 4))
    hyper_symbols = clip_hyper_symbols(rng.laplace(0, 4, shape) * rng.choice([1, 1, 1, 1000], shape))
    means = hific_coding("table").predict(hyper_symbols, height, width).means
    symbols = any_latent(seed, height, width, 1 << 23).symbols
    symbols = np.where(rng.random(symbols.shape) < 0.2, rng.integers(-11, 12, symbols.shape), symbols)
    return hyper_symbols, means + symbols.astype(np.float32)


def compressnet_message(seed: int, height: int, width: int) -> tuple[Ints, Maps]:
    """Symbols as photos have them, and any switches."""
    rng = np.random.default_rng(seed)
    maps = [rng.integers(0, 4, (len(counts), height << i, width << i)) for i, counts in enumerate(SWITCH_COUNTS)]
    symbols = correlated_latent(seed % 1000, len(compressnet_coding("table").static_tables), height, width)
    return symbols.astype(np.int32), [plane.astype(np.int8) for plane in maps]


def code_hific(coding: HyperpriorCoding, coder: Any, hyper_symbols: Ints, symbols: Ints) -> tuple[Ints, Ints]:
    """Either way, with predictions of what is coded."""
    size = symbols.shape[1:]
    coded = coding._code(coder, "neighbor", hyper_symbols, symbols, lambda decoded: coding.predict(decoded, *size))
    return coded.hyper_symbols, coded.symbols


@pytest.mark.parametrize("kind", KINDS)
@given(seeds, lengths, lengths)
@settings(max_examples=12, deadline=None, derandomize=True)
def test_hific_symbols_come_back_the_same_in_either_coding(kind: str, seed: int, height: int, width: int) -> None:
    """Also far beyond the classes, and where a table was sure of 0."""
    coding = hific_coding(kind)
    hyper_symbols, latent = hific_message(seed, height, width)
    streams = {name: coding.encode(hyper_symbols, latent, name)[0] for name in coding.codings}
    assert set(streams) == {"hyperprior", "neighbor"}
    one, other = (coding.decode(stream, height, width, name) for name, stream in streams.items())
    np.testing.assert_array_equal(other.hyper_symbols, hyper_symbols)
    np.testing.assert_array_equal(other.symbols, np.rint(latent - other.means))
    for before, after in zip(one, other, strict=True):
        np.testing.assert_array_equal(before, after)
        assert before.dtype == after.dtype


@pytest.mark.parametrize("kind", KINDS)
@given(seeds, st.integers(0, 9), st.integers(0, 9), st.booleans())
@settings(max_examples=10, deadline=None, derandomize=True)
def test_compressnet_symbols_and_switches_come_back(
    kind: str, seed: int, height: int, width: int, with_switches: bool
) -> None:
    """Likely symbols and others; without any, too."""
    coding = compressnet_coding(kind)
    symbols, maps = compressnet_message(seed, height, width)
    any_symbols = np.random.default_rng(seed).integers(0, 5, symbols.shape).astype(np.int32)
    switches = maps if with_switches else None
    shapes = [plane.shape for plane in maps] if with_switches else None
    for message in (symbols, any_symbols):
        raw_parts, stream = coding.encode("neighbor", message, switches, self_check=False)
        decoded, decoded_maps = coding.decode("neighbor", message.shape, shapes, raw_parts, stream)
        np.testing.assert_array_equal(decoded, message)
        assert raw_parts == [] and decoded.dtype == np.int32
        for before, after in zip(switches or (), decoded_maps or (), strict=True):
            np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_largest_symbols_code_and_larger_ones_are_refused(kind: str) -> None:
    coding = hific_coding(kind)
    hyper_symbols, symbols = np.zeros((HYPER_CHANNELS, 1, 2), np.int32), latent_of(0, 4, 5).symbols
    for value in (SYMBOL_LIMIT, -SYMBOL_LIMIT, SYMBOL_LIMIT + 1, -SYMBOL_LIMIT - 1, -(2**31), 2**31 - 1):
        encoder = RangeEncoder()
        symbols[1, 2, 3] = value
        code_hific(coding, encoder, hyper_symbols, symbols)
        if abs(value) <= SYMBOL_LIMIT:
            np.testing.assert_array_equal(coding.decode(encoder.get_bytes(), 4, 5, "neighbor").symbols, symbols)
            continue
        with pytest.raises(CorruptedError, match="no encoder writes"):
            coding.decode(encoder.get_bytes(), 4, 5, "neighbor")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [-3, 3, 2**31 - 1, -(2**31)])
def test_a_sixth_level_is_refused(kind: str, value: int) -> None:
    """By the encoder, and where a stream holds it; `value` counts from the middle level."""
    coding = compressnet_coding(kind)
    centered = compressnet_message(0, 4, 5)[0] - 2
    centered[1, 2, 3] = value
    with pytest.raises(ValueError, match="latent"):
        coding.encode("neighbor", centered.astype(np.int64) + 2)
    encoder = RangeEncoder()
    assert coding.neighbor is not None
    coding.neighbor.code(encoder, centered, channel_ids(centered.shape), centered_tables(coding.static_tables))
    with pytest.raises(CorruptedError, match="no encoder writes"):
        coding.decode("neighbor", centered.shape, None, [], encoder.get_bytes())


class WatchedDecoder(RangeDecoder):
    """Reads as often as tables, passes and the longest escapes of each can ask for: 66 times 25; no more."""

    reads = 0

    def _decode(self, model: object, parameters: object) -> Ints:
        self.reads += 1
        assert self.reads <= 66 * 25, "a stream makes the decoder go on and on"
        return super()._decode(model, parameters)


def damaged_streams(stream: bytes, seed: int) -> list[bytes]:
    """A bit flipped, the end cut, bytes added, all replaced."""
    rng = np.random.default_rng(seed)
    at = int(rng.integers(len(stream)))
    flipped = bytes([stream[at] ^ 1 << int(rng.integers(8))])
    extra = rng.bytes(1 + seed % 9)
    return [stream[:at] + flipped + stream[at + 1 :], stream[:at], stream + extra, extra, b"\xff" * len(stream)]


@pytest.mark.parametrize("kind", KINDS)
@given(seeds, lengths, lengths)
@settings(max_examples=8, deadline=None, derandomize=True)
def test_any_hific_stream_decodes_to_what_encodes_to_it_or_raises(
    kind: str, seed: int, height: int, width: int
) -> None:
    coding = hific_coding(kind)
    stream, _ = coding.encode(*hific_message(seed, height, width), "neighbor", self_check=False)

    def decode_and_encode(data: bytes) -> bytes:
        decoded = coding.decode(data, height, width, "neighbor")
        encoder = RangeEncoder()
        code_hific(coding, encoder, decoded.hyper_symbols, decoded.symbols)
        return encoder.get_bytes()

    _check_streams(decode_and_encode, "hific.codecs.hyperprior_coding", [stream, *damaged_streams(stream, seed)])


@pytest.mark.parametrize("kind", KINDS)
@given(seeds, lengths, lengths)
@settings(max_examples=8, deadline=None, derandomize=True)
def test_any_compressnet_stream_decodes_to_what_encodes_to_it_or_raises(
    kind: str, seed: int, height: int, width: int
) -> None:
    coding = compressnet_coding(kind)
    symbols, maps = compressnet_message(seed, height, width)
    _, stream = coding.encode("neighbor", symbols, maps, self_check=False)
    shapes = [plane.shape for plane in maps]

    def decode_and_encode(data: bytes) -> bytes:
        decoded = coding.decode("neighbor", symbols.shape, shapes, [], data)
        return coding.encode("neighbor", *decoded, self_check=False)[1]

    _check_streams(decode_and_encode, "hific.codecs.compressnet_coding", [stream, *damaged_streams(stream, seed)])
    with pytest.raises(CorruptedError, match="do not go with"):
        coding.decode("neighbor", symbols.shape, shapes, [b""], stream)


def _check_streams(decode_and_encode: Callable[[bytes], bytes], module: str, streams: list[bytes]) -> None:
    """The first is whole."""
    assert decode_and_encode(streams[0]) == streams[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{module}.RangeDecoder", WatchedDecoder)
        for stream in streams:
            try:
                again = decode_and_encode(stream)
            except BitstreamError:
                continue
            assert again == stream


class Listener:
    """An encoder's stand-in that notes what each call codes, and what a decoder is told to read it by."""

    def __init__(self) -> None:
        self.calls: Calls = []

    def code(self, symbols: Ints, *told: Ints) -> Ints:
        self.calls.append((symbols.copy(), (len(symbols), *told)))
        return symbols

    code_grouped = code_runs = code_bits = code


def effect(before: Calls, after: Calls) -> tuple[int, bool]:
    """The first call whose symbols differ, and whether later ones are told otherwise; none up to it may be."""
    pairs = list(zip(before, after, strict=False))
    first = [np.array_equal(one[0], other[0]) for one, other in pairs].index(False)
    same = [all(map(np.array_equal, one[1], other[1])) for one, other in pairs]
    assert all(same[: first + 1]), f"call {same.index(False)} of {len(before)} foresees call {first}"
    return first, not all(same) or len(before) != len(after)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_call_is_told_follows_from_earlier_symbols_of_hific(kind: str) -> None:
    """Hyper-symbols, which choose the tables; then symbols of sure tables; then pass by pass."""
    coding, rng = hific_coding(kind), np.random.default_rng(0)
    hyper_symbols = np.rint(rng.laplace(0, 4, (HYPER_CHANNELS, 3, 4))).astype(np.int32)
    symbols = latent_of(1, 11, 14).symbols
    sure = sure_tables(coding.latent_tables)[coding.predict(hyper_symbols, 11, 14).table_ids]

    def calls(hyper_symbols: Ints, symbols: Ints) -> Calls:
        listener = Listener()
        code_hific(coding, listener, hyper_symbols, symbols)
        return listener.calls

    before, effects = calls(hyper_symbols, symbols), []
    for place in np.ndindex(hyper_symbols.shape):
        changed = hyper_symbols.copy()
        changed[place] = -9 if changed[place] > 0 else 9
        effects.append(effect(before, calls(changed, symbols)))
    assert all(foretells for _, foretells in effects)
    first, foretells = effect(before, calls(hyper_symbols, np.where(sure, symbols - 3, symbols)))
    assert max(effects)[0] < first and foretells
    _check_passes(before, lambda changed: calls(hyper_symbols, changed), symbols, ~sure, 3, coding.neighbor, first)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_call_is_told_follows_from_earlier_symbols_of_compressnet(kind: str) -> None:
    """The latent pass by pass; then switches, which foretell nothing."""
    coding = compressnet_coding(kind)
    symbols, maps = compressnet_message(2, 9, 10)

    def calls(symbols: Ints, maps: Maps) -> Calls:
        listener = Listener()
        coding._code(listener, "neighbor", symbols, maps)
        return listener.calls

    before, everywhere = calls(symbols, maps), np.ones(symbols.shape, bool)
    last = _check_passes(
        before, lambda changed: calls(changed + 2, maps), symbols - 2, everywhere, 2, coding.neighbor, -1
    )
    for scale in range(len(maps)):
        changed = [3 - plane if index == scale else plane for index, plane in enumerate(maps)]
        first, foretells = effect(before, calls(symbols, changed))
        assert first > last and not foretells


def _check_passes(
    before: Calls,
    calls: Callable[[Ints], Calls],
    symbols: Ints,
    chosen: NDArray[np.bool_],
    far: int,
    model: NeighborModel | None,
    last: int,
) -> int:
    """Changes the `chosen` symbols of a pass, to `far` and less `far`; all passes come behind call `last`, in their
    order. Returns the call of the last.
    """
    assert model is not None
    firsts, foretold = [], []
    for step in model.options.steps:
        for others in (np.where(symbols > 0, -far, far), np.full_like(symbols, far), np.full_like(symbols, -far)):
            changed = symbols.copy()
            changed[step.place] = np.where(chosen, others, symbols)[step.place]
            first, foretells = effect(before, calls(changed))
            foretold.append(foretells)
            firsts.append(first)
    assert [last, *firsts[::3]] == sorted({last, *firsts})
    assert np.mean(foretold) > 0.7
    return firsts[-1]


def test_models_without_a_predictor_or_with_another_models_are_told() -> None:
    hific, compressnet = hific_coding("table"), compressnet_coding("table")
    hyper_symbols, latent = hific_message(0, 4, 5)
    symbols, _ = compressnet_message(0, 4, 5)
    stream, _ = hific.encode(hyper_symbols, latent, "neighbor")
    plain, plain_compressnet = replace(hific, neighbor=None), replace(compressnet, neighbor=None)
    assert plain.codings == ("hyperprior",) and plain_compressnet.codings == ("packed", "static", "context")
    with pytest.raises(CorruptedError, match="knows nothing"):
        plain.decode(stream, 4, 5, "neighbor")
    with pytest.raises(CorruptedError, match="knows nothing"):
        plain_compressnet.decode("neighbor", symbols.shape, None, [], compressnet.encode("neighbor", symbols)[1])
    with pytest.raises(ValueError, match="no neighbor predictor"):
        plain.encode(hyper_symbols, latent, "neighbor")
    with pytest.raises(ValueError, match="no neighbor predictor"):
        plain_compressnet.encode("neighbor", symbols)
    with pytest.raises(ValueError, match="other channels"):
        replace(hific, neighbor=compressnet.neighbor)
    with pytest.raises(ValueError, match="other channels"):
        replace(compressnet, neighbor=hific.neighbor)


@pytest.mark.parametrize(("name", "widest"), [("hific_neighbor", 1), ("hific_neighbor_bins", WIDEST)])
def test_the_golden_files_of_hific(name: str, widest: int) -> None:
    """A file of format version 1 decodes for ever, and is still written byte for byte, on every machine."""
    state = dict(np.load(GOLDEN / f"{name}.npz"))
    hyper_symbols, latent, symbols = (state.pop(name) for name in ("hyper_symbols", "latent", "symbols"))
    coding = HyperpriorCoding.from_state(state)
    assert coding.neighbor is not None and coding.neighbor.widest == widest
    data = (GOLDEN / f"{name}.hfc").read_bytes()
    header, raw_parts, stream = unpack(data, max_pixels=144 * 224)
    assert (header, raw_parts) == (Header(b"\xc0\xff\xee\x00", 224, 144, "hific", "neighbor"), ())
    decoded = coding.decode(stream, 9, 14, "neighbor")
    np.testing.assert_array_equal(decoded.hyper_symbols, hyper_symbols)
    np.testing.assert_array_equal(decoded.symbols, symbols)
    assert pack(header, [], coding.encode(hyper_symbols, latent, "neighbor")[0]) == data
    assert HyperpriorCoding.from_state(coding.state()).encode(hyper_symbols, latent, "neighbor")[0] == stream
    # What the file is to hold: escapes, and what its table gives one in thousands.
    sure = sure_tables(laplace_tables())[coding.predict(hyper_symbols, 9, 14).table_ids]
    assert symbols.shape == (CHANNELS, 9, 14) and symbols[sure].any() and np.abs(symbols[~sure]).max() > 10**5


def test_the_golden_file_of_compressnet() -> None:
    """As above; symbols, switches and tables are those of the other codings' files."""
    state = dict(np.load(GOLDEN / "compressnet_coding.npz"))
    symbols, switches = state.pop("symbols"), state.pop("switches")
    neighbor = np.load(GOLDEN / "compressnet_neighbor.npz")
    coding = CompressNetCoding.from_state({**state, **{f"neighbor.{name}": neighbor[name] for name in neighbor}})
    data = (GOLDEN / "compressnet_neighbor.hfc").read_bytes()
    header, raw_parts, stream = unpack(data, max_pixels=112 * 144)
    assert (header, raw_parts) == (Header(b"\xc0\xff\xee\x00", 112, 144, "compressnet", "neighbor"), ())
    decoded, maps = coding.decode("neighbor", symbols.shape, [switches.shape], raw_parts, stream)
    np.testing.assert_array_equal(decoded, symbols)
    assert maps is not None
    np.testing.assert_array_equal(maps[0], switches)
    assert pack(header, *coding.encode("neighbor", symbols, [switches])) == data
    assert CompressNetCoding.from_state(coding.state()).encode("neighbor", symbols, [switches])[1] == stream
