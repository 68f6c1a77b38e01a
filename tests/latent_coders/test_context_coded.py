"""Laws of neighbor models: what comes back, what knows of what, what it costs, what a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from context_cases import (
    CHANNELS,
    KINDS,
    SCALES,
    RecordingCoder,
    any_latent,
    fitted,
    laplace_tables,
    latent_of,
    predictor_fit,
    same_state,
)
from hific.codecs.compressnet_coding import CompressNetCoding, centered_tables, channel_ids
from hific.context.fit_predictors import AdaptiveFit, XGBoostFit
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.correlated_latents import correlated_latent, independent_latent
from hific.coding.range_coder import Ints, RangeDecoder, RangeEncoder
from hific.context.symbol_bins import MAX_BIN_WIDTH
from hific.errors import BitstreamError
from hific.fitting.context_model import ContextFit, TrainingLatent
from hific.latent_coders.context_coded import ContextCoded, expected_magnitudes, skip_mask

TABLES = laplace_tables()


def encode(model: ContextCoded, latent: TrainingLatent) -> bytes:
    encoder = RangeEncoder()
    np.testing.assert_array_equal(model.code(encoder, latent.symbols, latent.table_ids, TABLES), latent.symbols)
    return encoder.get_bytes()


def decode(model: ContextCoded, stream: bytes, table_ids: Ints) -> Ints:
    decoder = RangeDecoder(stream)
    decoded = model.code(decoder, np.zeros(table_ids.shape, np.int32), table_ids, TABLES)
    decoder.finish()
    return decoded


def bits(model: ContextCoded, latent: TrainingLatent) -> float:
    coder = RecordingCoder()
    model.code(coder, latent.symbols, latent.table_ids, TABLES)
    return coder.num_bits


def table_bits(latent: TrainingLatent) -> float:
    coder = RecordingCoder()
    TABLES.code(coder, latent.symbols.ravel(), latent.table_ids.ravel())
    return coder.num_bits


@pytest.mark.parametrize("order", ["phases", "channels"])
@pytest.mark.parametrize("kind", KINDS)
@given(st.integers(0, 2**32), st.integers(1, 11), st.integers(1, 11))
@settings(max_examples=15, deadline=None)
def test_decoding_returns_what_was_encoded(kind: str, order: str, seed: int, height: int, width: int) -> None:
    """Also far beyond the bins."""
    latent = any_latent(seed, height, width)
    model = fitted(kind, order)
    decoded = decode(model, encode(model, latent), latent.table_ids)
    np.testing.assert_array_equal(decoded, latent.symbols)
    assert decoded.dtype == np.int32


@pytest.mark.parametrize("kind", KINDS)
def test_likely_latents_come_back_and_no_two_codings_share_what_they_learn(kind: str) -> None:
    model, latent = fitted(kind), latent_of(50, 13, 21)
    stream = encode(model, latent)
    assert encode(model, latent) == stream  # nothing is left of the first time
    np.testing.assert_array_equal(decode(model, stream, latent.table_ids), latent.symbols)


@pytest.mark.parametrize("value", [-(2**31), 2**31 - 1, 2**20, -(2**20)])
def test_any_int32_codes(value: int) -> None:
    latent = any_latent(1, 3, 5)
    latent.symbols[:, 1, 1::2] = value
    model = fitted("table")
    np.testing.assert_array_equal(decode(model, encode(model, latent), latent.table_ids), latent.symbols)


@pytest.mark.parametrize("kind", KINDS)
@given(st.binary(max_size=120), st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_any_bytes_decode_to_what_encodes_to_them_or_raise(kind: str, stream: bytes, height: int, width: int) -> None:
    model, table_ids = fitted(kind), any_latent(0, height, width).table_ids
    try:
        decoded = decode(model, stream, table_ids)
    except BitstreamError:
        return
    assert encode(model, TrainingLatent(decoded, table_ids)) == stream


@pytest.mark.parametrize("kind", KINDS)
def test_other_streams_never_give_the_same_symbols(kind: str) -> None:
    model, latent = fitted(kind), latent_of(51, 6, 7)
    stream = encode(model, latent)
    for damaged in (stream[:-1], stream[: len(stream) // 2], b"", stream + b"\0", stream + b"\1", stream[::-1]):
        try:
            decoded = decode(model, damaged, latent.table_ids)
        except BitstreamError:
            continue
        assert (decoded != latent.symbols).any()


@pytest.mark.parametrize("location", [True, False])
@pytest.mark.parametrize("order", ["phases", "channels"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_symbol_changes_no_frequency_of_its_pass_or_an_earlier_one(kind: str, order: str, location: bool) -> None:
    model = fitted(kind, order, location=location)
    latent = latent_of(9, 11, 13)
    latent.table_ids[...] = np.maximum(latent.table_ids, 1)  # all open, so that each pass has some
    before = RecordingCoder()
    model.code(before, latent.symbols, latent.table_ids, TABLES)
    passes = model.options.passes
    assert len(before.passes) == len(passes)
    changes_later = 0
    for coding_pass in passes:
        changed = latent.symbols.copy()
        changed[coding_pass.place] = np.where(changed[coding_pass.place] > 0, -3, 3)
        after = RecordingCoder()
        model.code(after, changed, latent.table_ids, TABLES)
        same = [np.array_equal(*pair) for pair in zip(after.passes, before.passes, strict=True)]
        assert all(same[: coding_pass.index + 1])
        changes_later += not all(same)
    assert changes_later == len(passes) - 1


def test_what_no_table_is_sure_of_is_coded_by_the_predictor_and_nothing_else() -> None:
    latent = latent_of(3)
    sure = skip_mask(TABLES)
    assert sure.tolist() == [True, False, False, False]
    coder = RecordingCoder()
    model = fitted("table")
    model.code(coder, latent.symbols, latent.table_ids, TABLES)
    assert sum(map(len, coder.passes)) == int((~sure[latent.table_ids]).sum())
    assert {rows.shape[1] for rows in coder.passes} == {2 * model.largest + 2}


def test_expected_magnitudes() -> None:
    for index, expected in enumerate(expected_magnitudes(TABLES).tolist()):
        frequencies, offset = TABLES.table(index), int(TABLES.offsets[index])
        mean = sum(int(count) * abs(offset + place) for place, count in enumerate(frequencies)) / 2**16
        assert 0 <= 64 * mean - expected < 1


@pytest.mark.parametrize("kind", KINDS)
def test_correlated_latents_take_fewer_bits_than_tables_take(kind: str) -> None:
    test = [latent_of(seed) for seed in range(60, 64)]
    spent = sum(bits(fitted(kind), latent) for latent in test) / sum(map(table_bits, test))
    assert spent < {"xgboost": 0.93, "knn": 0.95, "table": 0.99}[kind]


@pytest.mark.parametrize("kind", ["xgboost", "knn"])
def test_on_independent_latents_little_is_lost(kind: str) -> None:
    test = [latent_of(seed, correlated=False) for seed in range(60, 64)]
    spent = sum(bits(fitted(kind, correlated=False), latent) for latent in test)
    assert spent < 1.01 * sum(map(table_bits, test))


def test_what_is_known_of_wide_symbols_is_worth_as_much_as_of_narrow_ones() -> None:
    """Escaped, they take more bits than their tables alone would."""
    tables = laplace_tables((0.1, 30.0))
    latents = [latent_of(seed) for seed in range(13)]
    wide = [
        TrainingLatent(np.rint(12.0 * symbols / SCALES[ids]).astype(np.int32), (ids > 0).astype(np.int32))
        for symbols, ids in latents
    ]
    alone = RecordingCoder()
    for symbols, ids in wide[10:]:
        tables.code(alone, symbols.ravel(), ids.ravel())
    spent = {}
    for max_bin_width in (1, MAX_BIN_WIDTH):
        fit = ContextFit(predictor_fit("xgboost"), num_groups=2, side=3, max_bin_width=max_bin_width)
        model, coder = fit(wide[:10], tables, CHANNELS), RecordingCoder()
        assert (model.largest, model.max_bin_width) == (8, max_bin_width)
        for symbols, ids in wide[10:]:
            np.testing.assert_array_equal(model.code(coder, symbols, ids, tables), symbols)
        spent[max_bin_width] = coder.num_bits / alone.num_bits
    assert spent[MAX_BIN_WIDTH] < 0.9 < 1 < spent[1]


def test_bins_are_of_one_symbol_where_few_symbols_are_beyond_the_classes() -> None:
    """Whatever their tables expect."""
    latents = [TrainingLatent(np.sign(symbols), np.full_like(ids, 3)) for symbols, ids in map(latent_of, range(3))]
    model = ContextFit(AdaptiveFit(), num_groups=2)(latents, TABLES, CHANNELS)
    assert (model.largest, model.max_bin_width) == (1, 1)


@pytest.mark.parametrize(("make", "most"), [(correlated_latent, 0.8), (independent_latent, 1.01)])
def test_few_channels_of_five_levels(make: object, most: float) -> None:
    """As CompressNet's, against a table per channel."""

    def latents(seeds: range) -> Iterator[NDArray[np.int8]]:
        for seed in seeds:
            yield make(seed, 4, 16, 24)  # type: ignore[operator]

    coding = CompressNetCoding.fit(list(latents(range(20))))
    tables = centered_tables(coding.static_tables)
    training = [TrainingLatent(one.astype(np.int16) - 2, channel_ids(one.shape)) for one in latents(range(20))]
    model = ContextFit(XGBoostFit(rounds=20, max_depth=3, num_threads=1), max_windows=20_000)(training, tables, 4)
    spent, alone = RecordingCoder(), RecordingCoder()
    for latent in latents(range(100, 103)):
        symbols = latent.astype(np.int32) - 2
        model.code(spent, symbols, channel_ids(symbols.shape), tables)
        tables.code(alone, symbols.ravel(), channel_ids(symbols.shape).ravel())
    assert spent.num_bits < most * alone.num_bits


@pytest.mark.parametrize("order", ["phases", "channels"])
@pytest.mark.parametrize("kind", KINDS)
def test_state_round_trip(kind: str, order: str) -> None:
    model, latent = fitted(kind, order), latent_of(5, 9, 10)
    state = model.state()
    assert all(array.dtype.name in ("uint8", "int16", "int32") for array in state.values())
    restored = ContextCoded.from_state(state)
    assert (restored.options, restored.kind) == (model.options, kind)
    assert (restored.largest, restored.max_bin_width) == (model.largest, model.max_bin_width) == (8, MAX_BIN_WIDTH)
    assert same_state(restored.state(), state)
    assert encode(restored, latent) == encode(model, latent)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_that_no_fit_gives_is_refused(kind: str) -> None:
    state = fitted(kind).state()
    numbers = state["numbers"]
    wrong: dict[str, list[NDArray[np.generic]]] = {
        "numbers": [numbers[:-2], numbers.astype(np.float64), np.zeros_like(numbers)],
        "prediction.values": [state["prediction.values"][1:], state["prediction.values"].astype(np.int32)],
        "prediction.magnitude_residuals": [
            state["prediction.magnitude_residuals"][:0],
            state["prediction.magnitude_residuals"].reshape(1, -1),
        ],
    }
    for place in range(len(numbers)):
        for value in (-1, 1000):
            damaged = numbers.copy()
            damaged[place] = value
            # Location is a yes or a no.
            if (place, value) != (5, 1000):
                wrong["numbers"].append(damaged)
    for name, arrays in wrong.items():
        for array in arrays:
            with pytest.raises((ValueError, KeyError)):
                ContextCoded.from_state({**state, name: array})
    for name in state:
        with pytest.raises((ValueError, KeyError)):
            ContextCoded.from_state({other: array for other, array in state.items() if other != name})


def test_another_kind_of_predictor_is_refused() -> None:
    states = {kind: fitted(kind).state() for kind in KINDS}
    for kind in ("xgboost", "knn"):
        for other in set(KINDS) - {kind}:
            with pytest.raises((ValueError, KeyError)):
                ContextCoded.from_state({**states[other], "numbers": states[kind]["numbers"]})


def test_the_fit_is_deterministic() -> None:
    one = fitted("xgboost")
    assert same_state(fitted.__wrapped__("xgboost").state(), one.state())
    assert not same_state(fitted("xgboost", seed=1).state(), one.state())  # other windows


@pytest.mark.parametrize("channels", [1, 2, 20])
def test_any_number_of_channels(channels: int) -> None:
    rng = np.random.default_rng(0)
    shape = (channels, 5, 6)
    latents = [
        TrainingLatent(rng.integers(-1, 2, shape).astype(np.int32), rng.integers(0, 4, shape).astype(np.int32))
        for _ in range(3)
    ]
    model = ContextFit(AdaptiveFit(), side=3)(latents, TABLES, channels)
    assert (model.options.num_groups, model.options.reach) == ((channels, 3) if channels <= 16 else (4, 1))
    np.testing.assert_array_equal(decode(model, encode(model, latents[0]), latents[0].table_ids), latents[0].symbols)


def test_latents_without_structure_or_open_symbols_can_be_fitted_and_coded() -> None:
    zeros = TrainingLatent(np.zeros((CHANNELS, 4, 5), np.int32), np.zeros((CHANNELS, 4, 5), np.int32))
    model = ContextFit(AdaptiveFit(), num_groups=2)([zeros, zeros], TABLES, CHANNELS)
    for latent in (zeros, any_latent(0, 4, 5)):
        np.testing.assert_array_equal(decode(model, encode(model, latent), latent.table_ids), latent.symbols)


def test_what_does_not_fit_is_refused() -> None:
    model, latent = fitted("table"), latent_of(0, 4, 4)
    with pytest.raises(ValueError, match="a latent"):
        model.code(RangeEncoder(), latent.symbols[:2], latent.table_ids[:2], TABLES)
    with pytest.raises(ValueError, match="a latent"):
        model.code(RangeEncoder(), latent.symbols, latent.table_ids[:, :2], TABLES)
    with pytest.raises(ValueError, match="two photos"):
        ContextFit(AdaptiveFit())([latent], TABLES, CHANNELS)
    for wrong in ({"windows_per_photo": 0}, {"max_windows": 0}, {"side": 4}, {"reach": 5}, {"order": "rows"}):
        with pytest.raises(ValueError, match=r"windows|side|order"):
            ContextFit(AdaptiveFit(), **wrong)  # type: ignore[arg-type]
