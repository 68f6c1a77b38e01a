"""Shares and scores against what is known: closed forms, symmetries, and a simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hific.study.preferences import PRIOR_VOTES, Ballots, Estimate, fit_scores

TRUTH = np.array([0.9, 0.3, -0.2, -1.0])


def simulate(seed: int, people: int = 200, trials: int = 30, spread: float = 0.0, resamples: int = 2000) -> Ballots:
    """Votes of a Bradley-Terry truth; `spread`: the standard deviation by which each person's own scores differ."""
    rng = np.random.default_rng(seed)
    systems = len(TRUTH)
    wins = np.zeros((people, systems, systems), np.int64)
    pairs = [(i, j) for i in range(systems) for j in range(i)]
    for person in range(people):
        own = TRUTH + spread * rng.normal(size=systems)
        for i, j in (pairs[place % len(pairs)] for place in range(trials)):
            won = rng.random() < 1 / (1 + math.exp(own[j] - own[i]))
            wins[person, i if won else j, j if won else i] += 1
    return Ballots(wins, resamples)


def holds(one: Estimate, truth: float) -> bool:
    assert one.low is not None and one.high is not None
    return one.low <= truth <= one.high


def test_two_systems_have_a_closed_form() -> None:
    """Half the log odds, as the mean is 0."""
    won, lost = 37, 13
    scores = Ballots(np.array([[[0, won], [lost, 0]]])).scores()
    assert scores is not None
    expected = math.log((won + PRIOR_VOTES) / (lost + PRIOR_VOTES)) / 2
    assert [one.value for one in scores] == pytest.approx([expected, -expected], abs=1e-6)
    assert scores[0].low is None  # a single participant


def test_the_fit_is_the_most_likely_one() -> None:
    """The gradient of the likelihood is 0 where expected wins are the observed ones."""
    wins = simulate(1, people=40).wins.sum(axis=0) + 0.5
    np.fill_diagonal(wins, 0)
    scores = fit_scores(wins)
    expected = (wins + wins.T) / (1 + np.exp(scores[None, :] - scores[:, None]))
    np.fill_diagonal(expected, 0)
    assert np.allclose(expected.sum(axis=1), wins.sum(axis=1), rtol=1e-5)


@given(st.integers(2, 5), st.integers(1, 6), st.integers(0, 2**32 - 1), st.sampled_from([1, 5, 300]))
@settings(max_examples=8, deadline=None)
def test_laws_of_shares_and_scores(systems: int, people: int, seed: int, most: int) -> None:
    wins = np.random.default_rng(seed).integers(0, most + 1, (people, systems, systems))
    wins[:, np.arange(systems), np.arange(systems)] = 0
    ballots = Ballots(wins, 60)
    for i in range(systems):
        for j in range(i):
            ours, theirs = ballots.share(i, j), ballots.share(j, i)
            if ours is None or theirs is None:
                assert ours is theirs is None and not wins[:, i, j].any() and not wins[:, j, i].any()
                continue
            assert ours.estimate.value + theirs.estimate.value == pytest.approx(1)
            assert ours.votes == theirs.votes == wins[:, i, j].sum() + wins[:, j, i].sum()
            if ours.estimate.low is not None and ours.estimate.high is not None:
                assert 0 <= ours.estimate.low <= ours.estimate.value <= ours.estimate.high <= 1
                assert theirs.estimate.high == pytest.approx(1 - ours.estimate.low)
            else:
                assert ours.participants == 1
    scores = ballots.scores()
    if scores is not None:
        assert sum(one.value for one in scores) == pytest.approx(0, abs=1e-9)
        turned = Ballots(wins[:, ::-1, ::-1], 2).scores()
        assert turned is not None
        assert [one.value for one in turned[::-1]] == pytest.approx([one.value for one in scores], abs=1e-4)


def test_where_all_agree_the_interval_says_how_many_there_were() -> None:
    """Five participants of five: a chance of .48 each gives that in 1 of 40 studies."""
    share = Ballots(np.tile(np.array([[0, 3], [0, 0]]), (5, 1, 1))).share(0, 1)
    assert share is not None and share.estimate.value == 1 and share.estimate.high == 1
    assert share.estimate.low == pytest.approx(0.478, abs=0.001)
    assert share.estimate.low**5 == pytest.approx(0.025)


def test_systems_without_comparison_have_no_scores() -> None:
    wins = np.zeros((3, 4, 4), np.int64)
    wins[:, 0, 1] = wins[:, 2, 3] = 2
    assert Ballots(wins, 2).scores() is None
    wins[0, 1, 2] = 1
    assert Ballots(wins, 2).scores() is not None


def test_a_known_truth_lies_in_the_intervals() -> None:
    """200 participants: each score within its interval, of this seed; how often of many is tested below."""
    scores = simulate(3).scores()
    assert scores is not None and all(map(holds, scores, TRUTH))
    assert np.allclose([one.value for one in scores], TRUTH, atol=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 0.8])
def test_intervals_hold_the_truth_at_the_stated_rate(spread: float) -> None:
    """95 % of shares and scores, over 120 studies of 200 participants; also where a person's votes are alike, which
    intervals over single votes would miss. The truth of such scores and shares is that of very many participants."""
    scores_truth, shares_truth = TRUTH, 1 / (1 + np.exp(TRUTH[None, :] - TRUTH[:, None]))
    if spread:
        many = simulate(10**6, people=40_000, spread=spread)
        total = many.wins.sum(axis=0).astype(float)
        scores_truth = fit_scores(total)
        shares_truth = total / np.maximum(total + total.T, 1)
    in_scores, in_shares = [], []
    for seed in range(120):
        ballots = simulate(seed, spread=spread, resamples=400)
        scores, share = ballots.scores(), ballots.share(0, 3)
        assert scores is not None and share is not None
        in_scores += list(map(holds, scores, scores_truth))
        in_shares.append(holds(share.estimate, float(shares_truth[0, 3])))
    # three standard deviations of 120 coins; the four scores of a study hang together
    assert abs(np.mean(in_scores) - 0.95) < 0.045
    assert abs(np.mean(in_shares) - 0.95) < 0.06
