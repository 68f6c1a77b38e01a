"""What votes say: shares of preference of two systems, and one Bradley-Terry score each of all.

    wins [participants, systems, systems]: how often a participant preferred the first system to the second

Intervals are of 95 %, by bootstrap over participants: what one person votes is not independent, so that people
are drawn with replacement, each with all of their votes. The photos are taken as given.

Bradley, Terry (1952), Rank analysis of incomplete block designs; fitted by choix, which takes the sum of the drawn
participants' wins as it is (Maystre, Grossglauser 2015, Fast and accurate inference of Plackett-Luce models).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import choix
import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from hific.evaluation.equal_bytes import CONFIDENCE, SEED

RESAMPLES = 2000
# Of each two systems that were compared half a vote more each way: with it a system that always won has a score at all
# (Haldane 1956, Anscombe 1956, of log odds).
PRIOR_VOTES = 0.5
TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True)
class Estimate:
    """`low`, `high`: None where a single participant leaves no interval."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Share:
    """Of the `votes` on two systems, from so many participants, those for the first: 0 to 1."""

    estimate: Estimate
    votes: int
    participants: int

    @property
    def unanimous(self) -> bool:
        return self.estimate.value in (0, 1)


@dataclass(frozen=True)
class Ballots:
    """`wins`: int64 [participants, systems, systems]. `resamples`: of the bootstrap."""

    wins: NDArray[np.int64]
    resamples: int = RESAMPLES

    @cached_property
    def drawn(self) -> NDArray[np.int64]:
        """int64 [resamples, participants]: how often each was drawn; the same for the same number of them."""
        people = len(self.wins)
        return np.random.default_rng(SEED).multinomial(people, np.full(people, 1 / people), size=self.resamples)

    def share(self, first: int, second: int) -> Share | None:
        """None without a vote."""
        won, lost = self.wins[:, first, second], self.wins[:, second, first]
        votes, people = int((won + lost).sum()), int(((won + lost) > 0).sum())
        if not votes:
            return None
        value = float(won.sum() / votes)
        return Share(Estimate(value, *self._share_interval(won, lost, people)), votes, people)

    def _share_interval(
        self, won: NDArray[np.int64], lost: NDArray[np.int64], people: int
    ) -> tuple[float | None, float | None]:
        if people < 2:
            return None, None
        # Where all agree the bootstrap has no width. Of people who each agree with probability p, all n do with p^n.
        bound = TAIL ** (1 / people)
        if not lost.any():
            return bound, 1.0
        if not won.any():
            return 0.0, 1 - bound
        ours, all_votes = self.drawn @ won, self.drawn @ (won + lost)
        low, high = np.quantile(ours[all_votes > 0] / all_votes[all_votes > 0], (TAIL, 1 - TAIL)).tolist()
        return low, high

    def scores(self) -> list[Estimate] | None:
        """Of each system, in log odds, with mean 0: one is preferred to another with the logistic function of the
        difference. None where some systems were never compared with others, not even by way of a third."""
        total = self.wins.sum(axis=0)
        compared = (total + total.T) > 0
        if connected_components(compared, directed=False)[0] > 1:
            return None
        prior = PRIOR_VOTES * compared
        values = fit_scores(total + prior)
        if len(self.wins) < 2:
            return [Estimate(float(value), None, None) for value in values]
        sums = np.tensordot(self.drawn, self.wins, axes=1)
        fitted = np.array([fit_scores(one + prior, values) for one in sums])
        low, high = np.quantile(fitted, (TAIL, 1 - TAIL), axis=0)
        return [Estimate(*map(float, one)) for one in zip(values, low, high, strict=True)]


def fit_scores(wins: NDArray[np.float64], start: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """The most likely scores, float64 [systems], mean 0. `wins`: float64 [systems, systems], connected both ways."""
    scores = choix.ilsr_pairwise_dense(wins, initial_params=start, max_iter=10_000)
    return np.asarray(scores - scores.mean())
