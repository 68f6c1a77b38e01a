"""Laws of the integer tables: as short as the densities allow, for every value, from any prior."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hific.coding.frequency_table import TOTAL
from hific.coding.range_coder import RangeDecoder, RangeEncoder
from hific.coding.symbol_tables import SymbolTables
from hific.entropy.densities import FactorizedPrior
from hific.entropy.integer_hyper_synthesis import HYPER_LIMIT
from hific.entropy.tables import (
    MAX_HYPER_VALUES,
    NUM_SCALES,
    TAIL_MASS,
    frequencies,
    hyper_tables,
    latent_scales,
    latent_tables,
    scale_thresholds,
)

LATENT_TABLES = latent_tables()


def code_lengths(tables: SymbolTables, index: int, values: NDArray[np.int64]) -> NDArray[np.float64]:
    """Bits of each value: its entry's, or the escape's and 2 floor(log2(number + 1)) + 1 of Exp-Golomb."""
    table, offset, size = tables.table(index), int(tables.offsets[index]), int(tables.sizes[index])
    entry_bits = -np.log2(table / TOTAL)
    distance = np.maximum(np.where(values < offset, offset - 1 - values, values - offset - size), 0)
    golomb_bits = 2 * np.floor(np.log2(2 * distance + (values < offset) + 1)) + 1
    entry = values - offset
    inside = (entry >= 0) & (entry < size)
    return np.where(inside, entry_bits[np.clip(entry, 0, size - 1)], entry_bits[-1] + golomb_bits)


def entropy_and_length(masses: NDArray[np.float64], lengths: NDArray[np.float64]) -> tuple[float, float]:
    """Bits a value: the density's own, and the table's for values of that density."""
    present = masses > 0
    return -float((masses[present] * np.log2(masses[present])).sum()), float((masses * lengths).sum())


def gaussian_masses(scale: float, values: NDArray[np.int64]) -> NDArray[np.float64]:
    """A second source: math.erf, from edges on one side."""
    edges = [math.erfc((abs(value) - 0.5) / scale / math.sqrt(2)) / 2 for value in values.tolist()]
    beyond = [math.erfc((abs(value) + 0.5) / scale / math.sqrt(2)) / 2 for value in values.tolist()]
    return np.array(edges) - np.array(beyond)


@pytest.mark.parametrize("index", [0, 5, 10, 20, 31, 42, 53, 60, 63])
def test_latents_take_as_many_bits_as_their_gaussian_says(index: int) -> None:
    scale = float(latent_scales()[index])
    reach = math.ceil(9 * scale)
    values = np.arange(-reach, reach + 1)
    entropy, length = entropy_and_length(gaussian_masses(scale, values), code_lengths(LATENT_TABLES, index, values))
    # At .11 a value has 1e-4 bits, less than the 2**-16 that each entry has at least.
    assert entropy - 1e-9 <= length <= 1.005 * entropy + 1e-4


def test_latent_tables_are_symmetric_and_reach_as_far_as_the_escape_is_rare() -> None:
    assert len(LATENT_TABLES) == NUM_SCALES
    for index, scale in enumerate(latent_scales().tolist()):
        table, reach = LATENT_TABLES.table(index)[:-1], -int(LATENT_TABLES.offsets[index])
        assert len(table) == 2 * reach + 1
        # Ties in sharing out the last units go to the lower symbol.
        assert np.abs(table - table[::-1]).max() <= 1
        assert table[reach] >= table.max() - 1
        assert math.erfc((reach + 0.5) / scale / math.sqrt(2)) <= TAIL_MASS
    assert LATENT_TABLES.sizes.max() < 2500


def test_scales_are_log_spaced_and_thresholds_lie_between() -> None:
    scales, thresholds = latent_scales(), scale_thresholds()
    assert (scales[0], scales[-1]) == pytest.approx((0.11, 256.0), rel=1e-15)
    np.testing.assert_allclose(scales[1:] / scales[:-1], (256 / 0.11) ** (1 / 63))
    np.testing.assert_allclose(thresholds**2, scales[1:] * scales[:-1])
    assert thresholds.shape == (NUM_SCALES - 1,)


def make_prior(initial_scale: float, shift: float = 0.0) -> FactorizedPrior:
    torch.manual_seed(0)
    prior = FactorizedPrior(3, initial_scale=initial_scale)
    with torch.no_grad():
        # The last layer's bias moves the median.
        prior.biases[-1] += shift
        for factor in prior.factors:
            factor += torch.randn_like(factor)
    return prior


@pytest.mark.parametrize("initial_scale", [0.5, 2, 10, 40])
@pytest.mark.parametrize("shift", [0.0, 6.0, -6.0])
def test_hyper_latents_take_as_many_bits_as_the_prior_says(initial_scale: float, shift: float) -> None:
    prior = make_prior(initial_scale, shift)
    tables = hyper_tables(prior)
    values = np.arange(-6000, 6001)
    with torch.no_grad():
        masses = prior.probabilities(torch.from_numpy(values).double().expand(3, -1)).numpy()
    for channel in range(3):
        assert masses[channel].sum() == pytest.approx(1)
        entropy, length = entropy_and_length(masses[channel], code_lengths(tables, channel, values))
        assert entropy - 1e-9 <= length <= 1.005 * entropy + 1e-3
        assert tables.table(channel)[-1] <= 2
        offset, size = int(tables.offsets[channel]), int(tables.sizes[channel])
        outside = masses[channel][(values < offset) | (values >= offset + size)].sum()
        assert outside <= TAIL_MASS


@pytest.mark.parametrize(("initial_scale", "shift"), [(1e5, 0.0), (1e-6, 0.0), (10, 1e4), (10, -1e4), (1e9, 0.0)])
def test_any_prior_codes_any_value(initial_scale: float, shift: float) -> None:
    tables = hyper_tables(make_prior(initial_scale, shift))
    assert tables.sizes.max() <= MAX_HYPER_VALUES
    values = np.array([0, 1, -1, HYPER_LIMIT, -HYPER_LIMIT, -(2**31), 2**31 - 1] * 3, np.int32)
    ids = np.repeat(np.arange(3, dtype=np.int32), 7)
    encoder = RangeEncoder()
    tables.code(encoder, values, ids)
    decoder = RangeDecoder(encoder.get_bytes())
    np.testing.assert_array_equal(tables.code(decoder, np.zeros_like(values), ids), values)
    decoder.finish()


def test_a_prior_too_wide_for_a_table_gets_its_middle() -> None:
    prior = make_prior(1000)
    tables = hyper_tables(prior)
    np.testing.assert_array_equal(tables.sizes, MAX_HYPER_VALUES)
    values = np.arange(-30_000, 30_001)
    with torch.no_grad():
        middles = torch.from_numpy(tables.offsets).double()[:, None] + MAX_HYPER_VALUES // 2
        assert (prior.cumulative_logits(middles).abs() < 0.01).all()
        masses = prior.probabilities(torch.from_numpy(values).double().expand(3, -1)).numpy()[0]
    entropy, length = entropy_and_length(masses, code_lengths(tables, 0, values))
    assert length < 1.6 * entropy


def test_the_making_does_not_depend_on_torch_s_defaults_or_change_the_prior() -> None:
    prior = make_prior(10)
    expected = hyper_tables(prior).state(), latent_tables().state()
    before = {name: value.clone() for name, value in prior.state_dict().items()}
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"), torch.autocast("cpu"):
            made = hyper_tables(prior).state(), latent_tables().state()
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(expected, made, strict=True):
        for name, array in one.items():
            np.testing.assert_array_equal(other[name], array)
    assert all(torch.equal(before[name], value) for name, value in prior.state_dict().items())


def test_a_prior_that_is_not_finite_is_refused() -> None:
    prior = make_prior(10)
    with torch.no_grad():
        prior.matrices[1][0, 0, 0] = math.nan
    with pytest.raises(ValueError, match="diverged"):
        hyper_tables(prior)


def test_frequencies_are_positive_and_exact_in_sum() -> None:
    for masses in ([1.0], [0.0], [0.5, 0.5], [1e-9, 0.3, 0.6], [0.0] * 2000, [1 / 3000] * 3000, [0.9] * 2):
        table = frequencies(np.array(masses))
        assert table.sum() == TOTAL
        assert table.min() >= 1
        assert len(table) == len(masses) + 1
    np.testing.assert_array_equal(frequencies(np.array([0.25, 0.5])), [TOTAL // 4, TOTAL // 2, TOTAL // 4])
    # Unlikely entries are not padded: what has 2 of 2**16 gets 2, and the likely one pays for the escape.
    table = frequencies(np.array([2 / TOTAL] * 1000 + [1 - 2000 / TOTAL]))
    assert table.tolist() == [2] * 1000 + [TOTAL - 2001, 1]
