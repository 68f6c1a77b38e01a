"""Laws of the context coder: what knows of what, what it costs, what a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from context_cases import (
    CASES,
    CHANNELS,
    KINDS,
    LEARNED,
    SCALES,
    RecordingCoder,
    any_latent,
    fitted,
    laplace_tables,
    latent_of,
    level_latent,
    level_tables,
    model_fit,
    same_state,
)
from numpy.typing import NDArray

from benchmarks.correlated_latents import correlated_latent, independent_latent
from hific.coding.range_coder import Ints, RangeDecoder, RangeEncoder
from hific.context.adaptive import AdaptiveFit
from hific.context.symbol_bins import MAX_BIN_WIDTH, expected_magnitudes, skip_mask
from hific.context.xgboost import XGBoostFit
from hific.fitting.context_model import ContextFit, TrainingLatent
from hific.latent_coders.context_coded import ContextCoded

TABLES = laplace_tables()


def encode(coder: ContextCoded, latent: TrainingLatent) -> bytes:
    encoder = RangeEncoder()
    np.testing.assert_array_equal(coder.code(encoder, latent.symbols, latent.table_ids), latent.symbols)
    return encoder.get_bytes()


def decode(coder: ContextCoded, stream: bytes, table_ids: Ints) -> Ints:
    decoder = RangeDecoder(stream)
    decoded = coder.code(decoder, np.zeros(table_ids.shape, np.int32), table_ids)
    decoder.finish()
    return decoded


def bits(coder: ContextCoded, latent: TrainingLatent) -> float:
    recorder = RecordingCoder()
    coder.code(recorder, latent.symbols, latent.table_ids)  # type: ignore[arg-type]
    return recorder.num_bits


def table_bits(latent: TrainingLatent) -> float:
    coder = RecordingCoder()
    TABLES.code(coder, latent.symbols.ravel(), latent.table_ids.ravel())
    return coder.num_bits


@pytest.mark.parametrize("kind", KINDS)
def test_likely_latents_come_back_and_no_two_codings_share_what_they_learn(kind: str) -> None:
    coder, latent = fitted(kind), latent_of(50, 13, 21)
    stream = encode(coder, latent)
    assert encode(coder, latent) == stream  # nothing is left of the first time
    np.testing.assert_array_equal(decode(coder, stream, latent.table_ids), latent.symbols)


@pytest.mark.parametrize("location", [True, False])
@pytest.mark.parametrize("order", ["phases", "channels"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_symbol_changes_no_frequency_of_its_pass_or_an_earlier_one(kind: str, order: str, location: bool) -> None:
    coder = fitted(kind, order, location=location)
    latent = latent_of(9, 11, 13)
    latent.table_ids[...] = np.maximum(latent.table_ids, 1)  # all open, so that each pass has some
    before = RecordingCoder()
    coder.code(before, latent.symbols, latent.table_ids)
    passes = coder.options.passes
    assert len(before.passes) == len(passes)
    changes_later = 0
    for coding_pass in passes:
        changed = latent.symbols.copy()
        changed[coding_pass.place] = np.where(changed[coding_pass.place] > 0, -3, 3)
        after = RecordingCoder()
        coder.code(after, changed, latent.table_ids)
        same = [np.array_equal(*pair) for pair in zip(after.passes, before.passes, strict=True)]
        assert all(same[: coding_pass.index + 1])
        changes_later += not all(same)
    # That the law is not kept by features that say nothing. A coarse kind need not see every change.
    assert changes_later > len(passes) // 2


def test_what_no_table_is_sure_of_is_coded_by_the_context_model_and_nothing_else() -> None:
    latent = latent_of(3)
    sure = skip_mask(TABLES)
    assert sure.tolist() == [True, False, False, False]
    recorder = RecordingCoder()
    coder = fitted("adaptive")
    coder.code(recorder, latent.symbols, latent.table_ids)
    assert sum(map(len, recorder.passes)) == int((~sure[latent.table_ids]).sum())
    assert {rows.shape[1] for rows in recorder.passes} == {2 * coder.largest + 2}


def test_expected_magnitudes() -> None:
    for index, expected in enumerate(expected_magnitudes(TABLES).tolist()):
        frequencies, offset = TABLES.table(index), int(TABLES.offsets[index])
        mean = sum(int(count) * abs(offset + place) for place, count in enumerate(frequencies)) / 2**16
        assert 0 <= 64 * mean - expected < 1


@pytest.mark.parametrize("kind", KINDS)
def test_correlated_latents_take_fewer_bits_than_tables_take(kind: str) -> None:
    test = [latent_of(seed) for seed in range(60, 64)]
    spent = sum(bits(fitted(kind), latent) for latent in test) / sum(map(table_bits, test))
    assert spent < CASES[kind].most_bits


@pytest.mark.parametrize("kind", LEARNED)
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
        fit = ContextFit(model_fit("xgboost"), num_groups=2, side=3, max_bin_width=max_bin_width)
        fitted_coder, recorder = fit(wide[:10], tables, CHANNELS), RecordingCoder()
        assert (fitted_coder.largest, fitted_coder.max_bin_width) == (8, max_bin_width)
        for symbols, ids in wide[10:]:
            np.testing.assert_array_equal(fitted_coder.code(recorder, symbols, ids), symbols)
        spent[max_bin_width] = recorder.num_bits / alone.num_bits
    assert spent[MAX_BIN_WIDTH] < 0.9 < 1 < spent[1]


def test_bins_are_of_one_symbol_where_few_symbols_are_beyond_them() -> None:
    """Whatever their tables expect."""
    latents = [TrainingLatent(np.sign(symbols), np.full_like(ids, 3)) for symbols, ids in map(latent_of, range(3))]
    coder = ContextFit(AdaptiveFit(), num_groups=2)(latents, TABLES, CHANNELS)
    assert (coder.largest, coder.max_bin_width) == (1, 1)


@pytest.mark.parametrize("channels", [1, 2, 20])
def test_any_number_of_channels(channels: int) -> None:
    rng = np.random.default_rng(0)
    shape = (channels, 5, 6)
    latents = [
        TrainingLatent(rng.integers(-1, 2, shape).astype(np.int32), rng.integers(0, 4, shape).astype(np.int32))
        for _ in range(3)
    ]
    coder = ContextFit(AdaptiveFit(), side=3)(latents, TABLES, channels)
    assert (coder.options.num_groups, coder.options.reach) == ((channels, 3) if channels <= 16 else (4, 1))
    np.testing.assert_array_equal(decode(coder, encode(coder, latents[0]), latents[0].table_ids), latents[0].symbols)


def test_latents_without_structure_or_open_symbols_can_be_fitted_and_coded() -> None:
    zeros = TrainingLatent(np.zeros((CHANNELS, 4, 5), np.int32), np.zeros((CHANNELS, 4, 5), np.int32))
    coder = ContextFit(AdaptiveFit(), num_groups=2)([zeros, zeros], TABLES, CHANNELS)
    for latent in (zeros, any_latent(0, 4, 5)):
        np.testing.assert_array_equal(decode(coder, encode(coder, latent), latent.table_ids), latent.symbols)


@pytest.mark.parametrize("kind", ["knn", "xgboost"])
def test_what_cannot_be_fitted_to_nothing_says_so(kind: str) -> None:
    zeros = TrainingLatent(np.zeros((CHANNELS, 4, 5), np.int32), np.zeros((CHANNELS, 4, 5), np.int32))
    with pytest.raises(ValueError, match="nothing to learn"):
        ContextFit(model_fit(kind))([zeros, zeros], TABLES, CHANNELS)


def test_what_does_not_fit_is_refused() -> None:
    coder, latent = fitted("adaptive"), latent_of(0, 4, 4)
    with pytest.raises(ValueError, match="a latent"):
        coder.code(RangeEncoder(), latent.symbols[:2], latent.table_ids[:2])
    with pytest.raises(ValueError, match="a latent"):
        coder.code(RangeEncoder(), latent.symbols, latent.table_ids[:, :2])
    with pytest.raises(ValueError, match="two photos"):
        ContextFit(AdaptiveFit())([latent], TABLES, CHANNELS)
    for wrong in ({"windows_per_photo": 0}, {"max_windows": 0}, {"side": 4}, {"reach": 5}, {"order": "rows"}):
        with pytest.raises(ValueError, match=r"windows|side|reach|order"):
            ContextFit(AdaptiveFit(), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("make", "most"), [(correlated_latent, 0.8), (independent_latent, 1.01)])
def test_few_channels_of_five_levels(make: Callable[..., NDArray[np.int8]], most: float) -> None:
    """As CompressNet's, against a table per channel."""
    latents = [make(seed, 4, 16, 24) for seed in range(20)]
    tables = level_tables(latents)
    fit = ContextFit(XGBoostFit(rounds=20, max_depth=3, num_threads=1), max_windows=20_000)
    coder = fit([level_latent(one) for one in latents], tables, 4)
    spent, alone = 0.0, RecordingCoder()
    for seed in range(100, 103):
        latent = level_latent(make(seed, 4, 16, 24))
        spent += bits(coder, latent)
        tables.code(alone, latent.symbols.ravel(), latent.table_ids.ravel())  # type: ignore[arg-type]
    assert spent < most * alone.num_bits


@pytest.mark.parametrize("order", ["phases", "channels"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_keeps_it_whole(kind: str, order: str) -> None:
    coder, latent = fitted(kind, order), latent_of(5, 9, 10)
    description, arrays = coder.description(), coder.arrays()
    assert (description["kind"], description["order"]) == (kind, order)
    assert {type(value) for value in description.values()} == {str, int, bool}
    assert all(np.issubdtype(array.dtype, np.integer) for array in arrays.values())
    restored = ContextCoded.from_parts(description, arrays, TABLES)
    assert (restored.options, restored.kind, restored.label) == (coder.options, kind, kind)
    assert (restored.largest, restored.max_bin_width) == (coder.largest, coder.max_bin_width) == (8, MAX_BIN_WIDTH)
    assert restored.description() == description and same_state(restored.arrays(), arrays)
    assert encode(restored, latent) == encode(coder, latent)


@pytest.mark.parametrize("kind", KINDS)
def test_parts_that_no_fit_gives_are_refused(kind: str) -> None:
    coder = fitted(kind)
    description, arrays = coder.description(), coder.arrays()
    wrong_descriptions: list[dict[str, Any]] = [{**description, name: None} for name in description]
    wrong_descriptions += [{**description, name: 1000} for name in description if name != "location"]
    wrong_descriptions += [{**description, name: -1} for name in description if name != "location"]
    wrong_descriptions += [{key: description[key] for key in description if key != name} for name in description]
    for wrong in (*wrong_descriptions, {**description, "order": "rows"}, {**description, "kind": "forest"}):
        with pytest.raises((ValueError, KeyError)):
            ContextCoded.from_parts(wrong, arrays, TABLES)
    weights = [f"linear_prediction.{name}" for name in ("values", "magnitude_residuals")]
    for name in weights:
        for array in (arrays[name][1:], arrays[name].astype(np.int32), arrays[name].reshape(1, -1)):
            with pytest.raises(ValueError, match="linear prediction"):
                ContextCoded.from_parts(description, {**arrays, name: array}, TABLES)
    for name in arrays:
        with pytest.raises((ValueError, KeyError)):
            ContextCoded.from_parts(description, {key: arrays[key] for key in arrays if key != name}, TABLES)


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_another_kind_are_refused(kind: str) -> None:
    for other in set(KINDS) - {kind, "adaptive"}:
        with pytest.raises((ValueError, KeyError)):
            ContextCoded.from_parts({**fitted(kind).description(), "kind": other}, fitted(kind).arrays(), TABLES)


def test_the_fit_is_deterministic() -> None:
    one = fitted("xgboost")
    assert same_state(fitted.__wrapped__("xgboost").arrays(), one.arrays())
    assert not same_state(fitted("xgboost", seed=1).arrays(), one.arrays())  # other windows
