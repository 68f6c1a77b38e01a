"""Laws of a model's integer side, of either prior, by every latent coder: what comes back, what a decoder needs to
know, what is refused, what it costs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from context_cases import KINDS, latent_of
from damaged_streams import WatchedDecoder, damaged_streams
from hypothesis import given, settings
from hypothesis import strategies as st
from latent_codings import (
    HYPER_CHANNELS,
    PRIORS,
    blank_like,
    channel_coding,
    channel_message,
    code_symbols,
    coding_of,
    decode,
    encode,
    encode_symbols,
    hyper_coding,
    hyper_message,
    message,
)
from numpy.typing import NDArray

from benchmarks.correlated_latents import correlated_crops, correlated_latent
from hific.codecs.latent_coding import CodedLatent, LatentCoding, UncodedLatent, holds
from hific.codecs.priors import SYMBOL_LIMIT, ChannelPrior, HyperPrior
from hific.coding.checked_encoder import CheckedEncoder
from hific.coding.container import Header, pack, unpack
from hific.coding.range_coder import RangeCoder, RangeDecoder, RangeEncoder
from hific.coding.symbol_tables import SymbolTables
from hific.context.symbol_bins import skip_mask
from hific.entropy.integer_hyper_synthesis import HYPER_LIMIT
from hific.errors import BitstreamError, CorruptedError
from hific.fitting.coding import fit_channel_tables

Ints = NDArray[np.int32]
Calls = list[tuple[Ints, tuple[Any, ...]]]
MAKE_PRIOR: dict[str, Any] = {"hyper": HyperPrior.from_state, "channel": ChannelPrior.from_state}

# (prior, latent coder, kind of its context model)
CASES = [
    ("hyper", "tables", ""),
    ("channel", "fixed_length", ""),
    ("channel", "tables", ""),
    *((prior, "context_coded", kind) for prior in PRIORS for kind in KINDS),
]
by_case = pytest.mark.parametrize(("prior", "coder", "kind"), CASES, ids=["-".join(filter(None, one)) for one in CASES])
seeds, lengths = st.integers(0, 2**32), st.integers(1, 10)


def same(one: CodedLatent, other: CodedLatent) -> bool:
    pairs = [*zip(one[:3], other[:3], strict=True), *zip(one[3], other[3], strict=True)]
    return all(np.array_equal(*pair) and pair[0].dtype == pair[1].dtype for pair in pairs)


@by_case
@given(seeds, lengths, lengths)
@settings(max_examples=8, deadline=None, derandomize=True)
def test_decoding_returns_what_was_encoded(
    prior: str, coder: str, kind: str, seed: int, height: int, width: int
) -> None:
    """Also far beyond tables and bins, where a table was sure of 0, and whatever the coder."""
    coding, source = coding_of(prior, kind), message(prior, seed, height, width)
    decoded = decode(coding, coder, source, encode(coding, coder, source))
    np.testing.assert_array_equal(decoded.hyper_symbols, source.hyper_symbols)
    prediction = coding.prior.predict(source.hyper_symbols, height, width)
    np.testing.assert_array_equal(decoded.means, prediction.means)
    np.testing.assert_array_equal(decoded.symbols, np.rint(source.latent - decoded.means))
    np.testing.assert_array_equal(decoded.latent_hat, (decoded.symbols + decoded.means).astype(np.float32))
    for before, after in zip(source.side_information, decoded.side_information, strict=True):
        np.testing.assert_array_equal(before, after)
        assert after.dtype == np.int8
    assert holds(decoded, source)
    assert [array.dtype.name for array in decoded[:3]] == ["int32", "int32", "float32"]
    assert decoded.latent_hat.dtype == np.float32
    assert same(decoded, decode(coding, "tables", source, encode(coding, "tables", source)))


def test_coders_have_an_order_and_a_label() -> None:
    """The last makes the smallest files; a context model is called by its kind."""
    assert list(hyper_coding().coders) == ["tables"]
    assert list(channel_coding().coders) == ["fixed_length", "tables"]
    for kind in KINDS:
        for prior in PRIORS:
            coders = coding_of(prior, kind).coders
            assert list(coders)[-1] == "context_coded" and coders["context_coded"].label == kind
            assert all(coder.name == name for name, coder in coders.items())


def test_the_nominal_rate_is_of_all_levels_alike() -> None:
    source = replace(channel_message(0, 30, 40), side_information=())
    coding = replace(channel_coding(), side_tables=())
    assert len(encode(coding, "fixed_length", source)) == pytest.approx(source.latent.size * np.log2(5) / 8, abs=1.1)


def test_each_coder_beats_the_one_before_on_structured_latents() -> None:
    coding = replace(channel_coding("xgboost"), side_tables=())
    source = UncodedLatent(correlated_latent(500, 3).astype(np.float32) - 2, np.zeros((0, 0, 0), np.int32))
    fixed_length, tables, context_coded = (len(encode(coding, coder, source)) for coder in coding.coders)
    assert context_coded < 0.9 * tables and tables < fixed_length


@by_case
def test_one_flush_for_all_parts(prior: str, coder: str, kind: str) -> None:
    """All take no more than what a perfect coder takes, and a byte; two flushes would take two."""
    coding, source = coding_of(prior, kind), message(prior, 3, 9, 8)
    counting = CountingCoder()
    coding.code(counting, coding.coders[coder], source)
    assert counting.num_calls > 1
    assert -0.5 <= len(encode(coding, coder, source)) - counting.num_bits / 8 <= 1.1


class CountingCoder:
    """An encoder's stand-in: how many bits a perfect coder would take."""

    def __init__(self) -> None:
        self.num_bits, self.num_calls = 0.0, 0

    def code(self, symbols: Ints, frequencies: Ints) -> Ints:
        return self._count(symbols, np.take_along_axis(frequencies, symbols[:, None], axis=1))

    def code_grouped(self, symbols: Ints, table_ids: Ints, tables: Ints) -> Ints:
        return self._count(symbols, tables[table_ids, symbols])

    def code_runs(self, symbols: Ints, run_lengths: Ints, frequencies: Ints, table_sizes: Ints) -> Ints:
        starts = np.repeat(np.cumsum(table_sizes) - table_sizes, run_lengths)
        return self._count(symbols, frequencies[starts + symbols])

    def code_bits(self, bits: Ints) -> Ints:
        return self._count(bits, np.full(len(bits), 1 << 15))

    def _count(self, symbols: Ints, frequencies: NDArray[np.integer]) -> Ints:
        self.num_bits -= float(np.log2(frequencies / 2**16).sum())
        self.num_calls += len(symbols) > 0
        return symbols


@by_case
@given(seeds, lengths, lengths)
@settings(max_examples=6, deadline=None, derandomize=True)
def test_any_bytes_decode_to_what_encodes_to_them_or_raise(
    prior: str, coder: str, kind: str, seed: int, height: int, width: int
) -> None:
    coding, source = coding_of(prior, kind), message(prior, seed, height, width)
    stream = encode(coding, coder, source)
    assert encode_symbols(coding, coder, decode(coding, coder, source, stream)) == stream
    for damaged in damaged_streams(stream, seed):
        decoder = WatchedDecoder(damaged)
        try:
            decoded = coding.code(decoder, coding.coders[coder], blank_like(source))
            decoder.finish()
        except BitstreamError:
            continue
        assert encode_symbols(coding, coder, decoded) == damaged


@by_case
def test_damage_that_a_checksum_misses_never_gives_the_same_values(prior: str, coder: str, kind: str) -> None:
    coding, source = coding_of(prior, kind), message(prior, 6, 4, 5)
    stream = encode(coding, coder, source)
    whole = decode(coding, coder, source, stream)
    damaged = [stream[:end] for end in range(0, len(stream), 1 + len(stream) // 8)]
    for bit in range(0, 8 * len(stream), 1 + 8 * len(stream) // 20):
        flipped = bytearray(stream)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    for other in damaged:
        try:
            assert not same(decode(coding, coder, source, other), whole)
        except BitstreamError:
            continue


@by_case
def test_a_stream_for_another_size_is_noticed(prior: str, coder: str, kind: str) -> None:
    coding = coding_of(prior, kind)
    stream = encode(coding, coder, message(prior, 4, 8, 8))
    for height, width in ((4, 16), (8, 7), (12, 12), (1, 1)):
        if prior == "channel" and kind == "" and height * width == 64:
            continue  # As many symbols of each channel, and nothing beside: nothing could tell.
        with pytest.raises(BitstreamError):
            decode(coding, coder, message(prior, 4, height, width), stream)


@by_case
def test_corruptions_of_a_file_give_as_many_errors(prior: str, coder: str, kind: str) -> None:
    coding, source = coding_of(prior, kind), message(prior, 6, 6, 6)
    codec = "hific" if prior == "hyper" else "compressnet"
    data = pack(Header(b"\x01\x02\x03\x04", 96, 96, codec, coder), encode(coding, coder, source))
    rng = random.Random(0)
    for _ in range(500):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        end = rng.randrange(len(data))
        changed = rng.choice((bytes(damaged), data[:end], data + rng.randbytes(1 + end % 9)))
        with pytest.raises(BitstreamError):
            decode(coding, coder, source, unpack(changed, max_pixels=1 << 20).stream)


class Listener:
    """An encoder's stand-in that notes what each call codes, and what a decoder is told to read it by."""

    def __init__(self) -> None:
        self.calls: Calls = []

    def code(self, symbols: Ints, *told: Ints) -> Ints:
        self.calls.append((symbols.copy(), (len(symbols), *told)))
        return symbols

    code_grouped = code_runs = code_bits = code


def calls_of(coding: LatentCoding, coder: str, coded: CodedLatent) -> Calls:
    listener = Listener()
    code_symbols(coding, coder, listener, coded)
    return listener.calls


def effect(before: Calls, after: Calls) -> tuple[int, bool]:
    """The first call whose symbols differ, and whether later ones are told otherwise; none up to it may be."""
    pairs = list(zip(before, after, strict=False))
    first = [np.array_equal(one[0], other[0]) for one, other in pairs].index(False)
    told_alike = [all(map(np.array_equal, one[1], other[1])) for one, other in pairs]
    assert all(told_alike[: first + 1]), f"call {told_alike.index(False)} of {len(before)} foresees call {first}"
    return first, not all(told_alike) or len(before) != len(after)


def coded_message(prior: str, seed: int, height: int, width: int) -> CodedLatent:
    """Symbols that tables and bins have entries for."""
    source = message(prior, 2 * seed, height, width)
    if prior == "hyper":
        hyper_symbols = np.random.default_rng(seed).laplace(0, 4, source.hyper_symbols.shape)
        symbols = latent_of(seed, height, width).symbols
        return CodedLatent(np.rint(hyper_symbols).astype(np.int32), symbols, np.zeros(0, np.float32), ())
    symbols = source.latent.astype(np.int32)
    return CodedLatent(source.hyper_symbols, symbols, np.zeros(0, np.float32), source.side_information)


@by_case
def test_what_a_call_is_told_follows_from_earlier_symbols(prior: str, coder: str, kind: str) -> None:
    """Hyper-symbols, which choose the tables, come first; side information, which foretells nothing, last."""
    coding, coded = coding_of(prior, kind), coded_message(prior, 1, 9, 11)
    before = calls_of(coding, coder, coded)
    rng, effects = np.random.default_rng(0), []
    for _ in range(12):
        place = tuple(rng.integers(coded.symbols.shape))
        changed = coded.symbols.copy()
        changed[place] = -2 if changed[place] > 0 else 2
        effects.append(effect(before, calls_of(coding, coder, coded._replace(symbols=changed)))[0])
    for place in np.ndindex(coded.hyper_symbols.shape):
        changed = coded.hyper_symbols.copy()
        changed[place] = -9 if changed[place] > 0 else 9
        first, foretells = effect(before, calls_of(coding, coder, coded._replace(hyper_symbols=changed)))
        assert first < min(effects) and foretells
    for scale in range(len(coded.side_information)):
        planes = tuple(3 - one if index == scale else one for index, one in enumerate(coded.side_information))
        first, foretells = effect(before, calls_of(coding, coder, coded._replace(side_information=planes)))
        assert first > max(effects) and not foretells


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prior", PRIORS)
def test_symbols_of_sure_tables_come_first_then_pass_by_pass(prior: str, kind: str) -> None:
    """And each tells something of later passes: it is for this that the order is kept."""
    coding, coded = coding_of(prior, kind), coded_message(prior, 1, 8, 11)
    assert coding.context_coded is not None
    before = calls_of(coding, "context_coded", coded)
    sure = skip_mask(coding.prior.tables)[coding.prior.predict(coded.hyper_symbols, 8, 11).table_ids]
    last, far, foretold, firsts = -1, 3 if prior == "hyper" else 2, [], []
    if sure.any():
        changed = np.where(sure, coded.symbols - 3, coded.symbols)
        last, foretells = effect(before, calls_of(coding, "context_coded", coded._replace(symbols=changed)))
        assert foretells
    for coding_pass in coding.context_coded.options.passes:
        of_pass = np.zeros(coded.symbols.shape, bool)
        of_pass[coding_pass.place] = True
        for others in (np.where(coded.symbols > 0, -far, far), np.full_like(coded.symbols, far)):
            changed = np.where(of_pass & ~sure, others, coded.symbols)
            first, foretells = effect(before, calls_of(coding, "context_coded", coded._replace(symbols=changed)))
            foretold.append(foretells)
            firsts.append(first)
    assert [last, *firsts[::2]] == sorted({last, *firsts})
    assert np.mean(foretold) > 0.7


@by_case
def test_the_last_symbols_code_and_those_beyond_are_refused_both_ways(prior: str, coder: str, kind: str) -> None:
    """HiFiC's are exact in float32, CompressNet's are of five levels: there is no sixth."""
    coding, coded = coding_of(prior, kind), coded_message(prior, 0, 4, 5)
    source = UncodedLatent(coded.symbols.astype(np.float32), coded.hyper_symbols, coded.side_information)
    limit = SYMBOL_LIMIT if prior == "hyper" else 2
    means = coding.prior.predict(coded.hyper_symbols, 4, 5).means
    for value in (limit, -limit, 2 * limit, -limit - 2, limit + 2, -(2**31), 2**31 - 128):
        symbols, latent = coded.symbols.copy(), source.latent + means
        symbols[1, 2, 3] = latent[1, 2, 3] = value
        beyond = latent + np.float32(np.sign(value) * np.abs(means).max())
        code = partial(encode, coding, coder, replace(source, latent=beyond))
        if abs(value) <= limit:
            stream = encode_symbols(coding, coder, coded._replace(symbols=symbols))
            np.testing.assert_array_equal(decode(coding, coder, source, stream).symbols, symbols)
            continue
        with pytest.raises(ValueError, match="too large: the model has diverged"):
            code()
        if coder == "fixed_length":
            with pytest.raises(ValueError, match="symbols lie in"):  # It has no way to write it.
                encode_symbols(coding, coder, coded._replace(symbols=symbols))
            continue
        stream = encode_symbols(coding, coder, coded._replace(symbols=symbols))
        with pytest.raises(CorruptedError, match="no encoder writes"):
            decode(coding, coder, source, stream)


@by_case
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_a_latent_that_is_no_number_is_refused(prior: str, coder: str, kind: str, value: float) -> None:
    source = message(prior, 0, 5, 5)
    source.latent[1, 2, 3] = value
    with pytest.raises(ValueError, match="diverged"):
        encode(coding_of(prior, kind), coder, source)


def test_hyper_symbols_beyond_the_limit_are_refused_both_ways() -> None:
    coding, source = hyper_coding(), hyper_message(2, 4, 4)
    coded = decode(coding, "tables", source, encode(coding, "tables", source))
    for value in (HYPER_LIMIT + 1, -HYPER_LIMIT - 1, 2**31 - 1, -(2**31)):
        beyond = coded.hyper_symbols.copy()
        beyond[0, 0, 0] = value
        with pytest.raises(ValueError, match="clip_hyper_symbols"):
            encode(coding, "tables", replace(source, hyper_symbols=beyond))
        encoder = RangeEncoder()
        channels = np.arange(HYPER_CHANNELS, dtype=np.int32)
        assert isinstance(coding.prior, HyperPrior)
        coding.prior.hyper_tables.code(encoder, beyond.ravel(), np.repeat(channels, beyond[0].size))
        with pytest.raises(CorruptedError, match="hyper-symbol that no encoder writes"):
            decode(coding, "tables", source, encoder.get_bytes())


def test_switches_beyond_the_tables_are_refused_both_ways() -> None:
    coding, source = channel_coding(), channel_message(2, 4, 4)
    coded = decode(coding, "tables", source, encode(coding, "tables", source))
    for value in (4, -1, 127, -128):
        planes = tuple(plane.copy() for plane in source.side_information)
        planes[1][0, 1, 2] = value
        with pytest.raises(ValueError, match="side information"):
            encode(coding, "tables", replace(source, side_information=planes))
        encoder = RangeEncoder()
        coding.coders["tables"].code(encoder, coded.symbols, coding.prior.predict(coded.hyper_symbols, 4, 4).table_ids)
        for plane, tables in zip(planes, coding.side_tables, strict=True):
            channels = np.repeat(np.arange(len(plane), dtype=np.int32), plane[0].size)
            tables.code(encoder, plane.astype(np.int32).ravel(), channels)
        with pytest.raises(CorruptedError, match="side information that no encoder writes"):
            decode(coding, "tables", source, encoder.get_bytes())


@pytest.mark.parametrize("prior", PRIORS)
def test_input_that_does_not_fit_the_model_is_refused(prior: str) -> None:
    coding, source = coding_of(prior), message(prior, 0, 5, 5)
    latent, hyper_symbols, planes = source.latent, source.hyper_symbols, source.side_information
    wrong: list[dict[str, Any]] = [
        *(
            {"latent": one}
            for one in (latent[:2], latent[0], latent.astype(np.float64), latent[:, :0], np.concatenate([latent] * 2))
        ),
        *({"side_information": one} for one in (planes[:-1], (*planes, planes[0] if planes else latent), planes[::-1])),
    ]
    if prior == "channel":
        wrong += [{"hyper_symbols": np.zeros((1, 2, 2), np.int32)}]
    else:
        wrong += [{"hyper_symbols": hyper_symbols.astype(np.int64)}]
        wrong += [{"hyper_symbols": one} for one in (hyper_symbols[:2], hyper_symbols[:, :1], hyper_symbols[0])]
        wrong += [{"latent": latent[:, :4]}]
        wrong = [one for one in wrong if one != {"side_information": ()}]
    for changes in wrong:
        with pytest.raises(ValueError, match=r"latent|side information|hyper-symbols"):
            encode(coding, "tables", replace(source, **changes))


@pytest.mark.parametrize("levels", [5, 3])
def test_no_history_gives_tables_that_code(levels: int) -> None:
    coding = fit_channel_tables([], [np.zeros((2, 4), np.int64)], num_channels=3, num_levels=levels)
    rng = np.random.default_rng(0)
    symbols = rng.integers(0, levels, (3, 5, 4)).astype(np.float32) - levels // 2
    planes = (rng.integers(0, 4, (2, 10, 8)).astype(np.int8),)
    source = UncodedLatent(symbols, np.zeros((0, 0, 0), np.int32), planes)
    for coder in coding.coders:
        assert holds(decode(coding, coder, source, encode(coding, coder, source)), source)


def test_training_latents_of_other_channels_or_levels_are_refused() -> None:
    latent = correlated_crops(1, num_channels=3)[0].astype(np.int32)
    for wrong in (latent[:2], latent[0], latent + 3, latent - 3):
        with pytest.raises(ValueError, match=r"training latent|levels"):
            fit_channel_tables([latent, wrong], num_channels=3)


@pytest.mark.parametrize(("prior", "kind"), [(prior, kind) for prior in PRIORS for kind in ("", *KINDS)])
def test_state_round_trip(prior: str, kind: str) -> None:
    """As a checkpoint keeps it: plain values, and arrays of integers."""
    coding, source = coding_of(prior, kind), message(prior, 2, 9, 6)
    description, state = json.loads(json.dumps(coding.description())), coding.state()
    assert description == coding.description() and list(description) == ["context_coded"] * bool(kind)
    assert {array.dtype.name for array in state.values()} <= {"uint8", "int16", "int32", "int64"}
    copies = {name: array.copy() for name, array in state.items()}
    restored = LatentCoding.from_state(MAKE_PRIOR[prior], description, copies)
    assert list(restored.coders) == list(coding.coders) and restored.description() == description
    assert list(restored.state()) == list(state)
    assert all(np.array_equal(array, state[name]) for name, array in restored.state().items())
    for coder in coding.coders:
        assert encode(restored, coder, source) == encode(coding, coder, source)


def test_a_state_that_no_model_gives_is_refused() -> None:
    state = hyper_coding().state()
    thresholds = state["prior.thresholds"]
    wrong = {
        "prior.thresholds": [thresholds[:-1], thresholds[::-1], thresholds.astype(np.float64)],
        "prior.hyper_tables.frequencies": [state["prior.hyper_tables.frequencies"] * 2],
        "prior.latent_tables.sizes": [state["prior.latent_tables.sizes"][::-1]],
        "prior.mean_synthesis.up1.weights": [state["prior.mean_synthesis.up1.weights"][:2]],
        "prior.scale_synthesis.head.weights": [state["prior.scale_synthesis.head.weights"][:2]],
        "prior.scale_synthesis.head.biases": [state["prior.scale_synthesis.head.biases"] + 2**60],
    }
    for name, arrays in wrong.items():
        for array in arrays:
            with pytest.raises(ValueError, match=r"hyper-prior|synthesis|convolution|tables"):
                LatentCoding.from_state(HyperPrior.from_state, {}, {**state, name: array})
    tables = hyper_tables_of_two(hyper_coding())
    two = {f"prior.hyper_tables.{name}": array for name, array in tables.state().items()}
    with pytest.raises(ValueError, match="different models"):
        LatentCoding.from_state(HyperPrior.from_state, {}, {**state, **two})


def hyper_tables_of_two(coding: LatentCoding) -> SymbolTables:
    assert isinstance(coding.prior, HyperPrior)
    tables = coding.prior.hyper_tables
    size = int(tables.sizes[:2].sum()) + 2
    return SymbolTables(tables.offsets[:2], tables.sizes[:2], tables.frequencies[:size])


def test_tables_of_channels_that_no_fit_gives_are_refused() -> None:
    state = channel_coding().state()
    for name in ("prior.frequencies", "side_tables.1.frequencies"):
        with pytest.raises(ValueError, match="tables"):
            LatentCoding.from_state(ChannelPrior.from_state, {}, {**state, name: state[name] * 2})
    for name, change in (("offsets", 1), ("sizes", -1)):
        with pytest.raises(ValueError, match="tables"):
            name = f"prior.{name}"
            LatentCoding.from_state(ChannelPrior.from_state, {}, {**state, name: state[name] + np.int32(change)})


@pytest.mark.parametrize(("prior", "kind"), [(prior, kind) for prior in PRIORS for kind in ("", *KINDS)])
def test_a_state_that_lacks_something_or_has_more_is_refused(prior: str, kind: str) -> None:
    coding = coding_of(prior, kind)
    description, state = coding.description(), coding.state()

    def restore(description: dict[str, Any], state: dict[str, Any]) -> LatentCoding:
        return LatentCoding.from_state(MAKE_PRIOR[prior], description, state)

    for name in state:
        with pytest.raises((ValueError, KeyError)):
            restore(description, {other: array for other, array in state.items() if other != name})
    for name in ("other", "context_coded.other" if not kind else "side.other", "post_filter.weights"):
        with pytest.raises(ValueError, match="latent coding"):
            restore(description, {**state, name: np.zeros(1, np.int32)})
    with pytest.raises(ValueError, match="latent coding"):
        restore({**description, "other": {}}, state)
    for part in description:
        with pytest.raises((ValueError, KeyError)):
            restore({other: value for other, value in description.items() if other != part}, state)
        for name in description[part]:
            rest = {other: value for other, value in description[part].items() if other != name}
            with pytest.raises((ValueError, KeyError)):
                restore({**description, part: rest}, state)


def test_a_context_model_of_another_model_is_refused() -> None:
    hyper, channel = hyper_coding("adaptive"), channel_coding("adaptive")
    with pytest.raises(ValueError, match="other channels"):
        replace(hyper, context_coded=channel.context_coded)
    with pytest.raises(ValueError, match="other channels"):
        replace(channel, context_coded=hyper.context_coded)
    other = fit_channel_tables([], num_channels=3)
    with pytest.raises(ValueError, match="other tables"):
        replace(other, context_coded=channel.context_coded)


def test_the_self_check_notices_tables_that_return_other_values(monkeypatch: pytest.MonkeyPatch) -> None:
    original = SymbolTables.code
    hyper, channel = hyper_coding(), channel_coding()
    assert isinstance(hyper.prior, HyperPrior)
    cases = [
        (hyper, hyper_message(1, 8, 8), hyper.prior.hyper_tables),
        (hyper, hyper_message(1, 8, 8), hyper.prior.tables),
    ]
    cases += [(channel, channel_message(1, 8, 8), tables) for tables in channel.side_tables]
    for coding, source, broken in cases:

        def differing(
            self: SymbolTables, coder: RangeCoder, values: Ints, table_ids: Ints, broken: SymbolTables = broken
        ) -> Ints:
            coded = original(self, coder, values, table_ids)
            return coded if self is not broken else np.where(coded > 0, coded - 1, coded + 1).astype(np.int32)

        monkeypatch.setattr(SymbolTables, "code", differing)
        assert not holds(coding.code(CheckedEncoder(), coding.coders["tables"], source), source)
        monkeypatch.undo()
        assert holds(coding.code(CheckedEncoder(), coding.coders["tables"], source), source)


@by_case
def test_the_self_check_notices_a_decoder_that_differs(
    prior: str, coder: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    coding, source = coding_of(prior, kind), message(prior, 1, 8, 8)

    def checked() -> bool:
        encoder = CheckedEncoder()
        coding.code(encoder, coding.coders[coder], source)
        return encoder.decodes()

    assert checked()
    name = {"tables": "code_runs", "fixed_length": "code_grouped", "context_coded": "code"}[coder]
    original: Callable[..., Ints] = getattr(RangeDecoder, name)

    def differing(self: RangeDecoder, symbols: Ints, *told: Ints) -> Ints:
        coded = original(self, symbols, *told)
        coded[len(coded) // 2 :] += 1
        return coded

    monkeypatch.setattr(RangeDecoder, name, differing)
    assert not checked()
