"""Laws of the context model `adaptive`."""

from __future__ import annotations

import numpy as np
from windows_of_models import FREQUENCIES, HELD_OUT, TRAINING, WINDOW

from hific.coding.frequency_table import TOTAL, normalize_counts
from hific.context.adaptive import PRIOR_SYMBOLS, AdaptiveFit, AdaptiveModel


def test_tables_learn_while_coding_and_forget() -> None:
    model = AdaptiveFit()(TRAINING, HELD_OUT, FREQUENCIES, WINDOW)
    quiet = np.zeros((1, 7 + WINDOW), np.int16)
    quiet[0, 0] = 2
    lively = quiet.copy()
    lively[0, -WINDOW:] = 1
    before = model.frequencies(quiet)
    np.testing.assert_allclose(before[0], FREQUENCIES[2], atol=1 + len(before[0]))
    seen = np.repeat(quiet, 100, axis=0)
    model.observe(seen, np.full(100, 4, np.int32))
    after = model.frequencies(quiet)
    expected = normalize_counts(FREQUENCIES[2].astype(np.int64) * PRIOR_SYMBOLS + 100 * TOTAL * (np.arange(6) == 4))
    np.testing.assert_array_equal(after[0], expected)
    assert after[0, 4] > 0.7 * TOTAL > before[0, 4]
    np.testing.assert_array_equal(model.frequencies(lively)[0], model.copy().frequencies(lively)[0])
    np.testing.assert_array_equal(model.copy().frequencies(quiet), before)
    np.testing.assert_array_equal(AdaptiveModel.from_state(model.state()).frequencies(quiet), before)
