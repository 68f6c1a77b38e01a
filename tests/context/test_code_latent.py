"""The traversal, with the real coder and any predictor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.correlated_latents import LEVELS, correlated_crops
from hific.coding.frequency_table import normalize_counts
from hific.coding.range_coder import RangeDecoder, RangeEncoder
from hific.context.coding_order import CodingPass
from hific.context.fit_linear_predictor import fit_linear_predictor
from hific.context.predictor import NeighborPredictor, code_latent
from hific.context.window import Features, Window, causal_window
from hific.errors import BitstreamError

FITTED = fit_linear_predictor(correlated_crops(30, num_channels=3), 3, LEVELS)


class HashPredictor:
    """Frequencies that depend on every feature, and on nothing else: any difference between two directions shows."""

    levels = LEVELS
    num_channels = 3

    def window(self, step: CodingPass) -> Window:
        return causal_window(step, self.num_channels, 2, 1)

    def frequencies(self, step: CodingPass, features: Features) -> NDArray[np.int32]:
        places = np.arange(1, features.shape[1] + 1)
        mixed = (features.astype(np.int64) * places**3).sum(axis=1) + step.index
        return normalize_counts((mixed[:, None] * (np.arange(LEVELS) + 3) % 97) ** 2)


@pytest.mark.parametrize("predictor", [FITTED, HashPredictor()], ids=["linear", "hash"])
@given(st.integers(0, 10), st.integers(0, 10), st.integers(0, 2**32))
@settings(max_examples=30)
def test_decoding_returns_what_was_encoded(predictor: NeighborPredictor, height: int, width: int, seed: int) -> None:
    latent = np.random.default_rng(seed).integers(0, LEVELS, (3, height, width)).astype(np.int32)
    encoder = RangeEncoder()
    np.testing.assert_array_equal(code_latent(encoder, latent, predictor), latent)
    decoder = RangeDecoder(encoder.get_bytes())
    decoded = code_latent(decoder, np.zeros_like(latent), predictor)
    decoder.finish()
    np.testing.assert_array_equal(decoded, latent)


@given(st.binary(max_size=100))
def test_any_bytes_decode_or_raise_a_bitstream_error(data: bytes) -> None:
    decoder = RangeDecoder(data)
    try:
        decoded = code_latent(decoder, np.zeros((3, 8, 6), np.int32), FITTED)
        decoder.finish()
    except BitstreamError:
        return
    encoder = RangeEncoder()
    code_latent(encoder, decoded, FITTED)
    assert encoder.get_bytes() == data


def test_a_latent_of_other_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="2 channels, the context model is for 3"):
        code_latent(RangeEncoder(), np.zeros((2, 4, 4), np.int32), FITTED)
