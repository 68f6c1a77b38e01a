"""Signals, and what is fitted to how many photos in which order."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from hific.context.linear import LinearFit
from hific.fitting.coding import Fitting, _in_turn
from hific.fitting.context_model import ContextFit
from hific.fitting.postfilter import PostFilterFit
from hific.training.callbacks import GracefulStop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_interrupts(number: signal.Signals) -> None:
    nobody: Any = None
    before = signal.getsignal(number)
    stop = GracefulStop()
    stop.on_fit_start(nobody, nobody)
    stop.on_train_start(nobody, nobody)
    try:
        os.kill(os.getpid(), number)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
            time.sleep(0.1)
    finally:
        stop.teardown(nobody, nobody, "fit")
    assert signal.getsignal(number) == before


def test_what_is_fitted_asks_for_the_most_photos_of_any() -> None:
    context, postfilter = ContextFit(LinearFit(), num_photos=5), PostFilterFit(num_photos=6)
    asked = [Fitting(), Fitting(context), Fitting(None, postfilter), Fitting(context, postfilter)]
    assert [one.num_photos for one in asked] == [0, 5, 6, 6]
    assert [one.info for one in asked][3] == {"context_model": "linear", "postfilter": "xgboost"}


def test_photos_of_all_ranks_come_in_the_order_of_one() -> None:
    by_rank = [[0, 3, 6], [1, 4], [2, 5]]
    assert _in_turn(by_rank) == list(range(7))
