"""Votes of a study as rows: who is counted, and what each vote was about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from hific.study.manifest import Manifest
from hific.study.preferences import Ballots
from hific.study.sessions import plan_session
from hific.study.votes import Participant, Screen, Vote, VoteStore

NO_VOTES, NO_CATCH = "no votes", "no catch trial reached"


@dataclass(frozen=True)
class Voter:
    """One participant. `trials`: of the session, of which `votes` are answered; `excluded`: why, empty if counted."""

    participant: Participant
    screen: Screen | None
    votes: tuple[Vote, ...]
    trials: int
    excluded: str

    @property
    def caught(self) -> tuple[int, int]:
        """Wrong answers in catch trials, of how many."""
        catches = [vote for vote in self.votes if vote.is_catch]
        return sum(vote.is_wrong for vote in catches), len(catches)


@dataclass(frozen=True)
class Tally:
    """`catch_errors`: with more wrong answers in catch trials a participant is excluded."""

    manifest: Manifest
    voters: tuple[Voter, ...]
    catch_errors: int

    @cached_property
    def counted(self) -> list[Vote]:
        """On pairs, of those who are not excluded."""
        kept = [voter for voter in self.voters if not voter.excluded]
        return [vote for voter in kept for vote in voter.votes if not vote.is_catch]

    def ballots(self, photo: str | None = None) -> Ballots:
        """Of all counted votes, or of those on one photo, in the order of `manifest.systems`."""
        place = {name: number for number, name in enumerate(self.manifest.systems)}
        people = {one: number for number, one in enumerate(dict.fromkeys(vote.participant for vote in self.counted))}
        wins = np.zeros((len(people), len(place), len(place)), np.int64)
        for vote in self.counted:
            if photo is None or self.manifest.crops[vote.crop].photo == photo:
                chosen, other = place[vote.chosen], place[vote.other]
                wins[people[vote.participant], chosen, other] += 1
        return Ballots(wins[wins.any(axis=(1, 2))])

    def rows(self) -> pa.Table:
        """One a vote, also of those who are excluded; without codes, which open sessions."""
        found = [self._row(voter, vote) for voter in self.voters for vote in voter.votes]
        return pa.Table.from_pylist(found, schema=SCHEMA)

    def _row(self, voter: Voter, vote: Vote) -> dict[str, Any]:
        crop = self.manifest.crops[vote.crop]
        row = {**asdict(vote), "photo": crop.photo, "x": crop.x, "y": crop.y, "chosen": vote.chosen}
        if vote.pair is not None:
            pair = self.manifest.pairs[vote.pair]
            num_bytes = dict(zip(pair.systems, pair.num_bytes, strict=True))
            row |= {"bytes_a": num_bytes[vote.system_a], "bytes_b": num_bytes[vote.system_b]}
        return {**row, "is_catch": vote.is_catch, "excluded": voter.excluded}


SCHEMA = pa.schema(
    [
        *((name, pa.int64()) for name in ("participant", "trial")),
        ("photo", pa.string()),
        *((name, pa.int64()) for name in ("crop", "x", "y")),
        *((name, pa.string()) for name in ("system_a", "system_b", "side", "chosen")),
        *((name, pa.int64()) for name in ("bytes_a", "bytes_b")),
        ("is_catch", pa.bool_()),
        ("excluded", pa.string()),
        *((name, pa.int64()) for name in ("milliseconds", "looks")),
        ("layout", pa.string()),
        ("pixel_ratio", pa.float64()),
        ("time", pa.string()),
    ]
)


def tally(manifest: Manifest, store: VoteStore, catch_errors: int = 0) -> Tally:
    """Of all that the store has now."""
    screens, by_participant = store.screens(), _by_participant(store.votes())
    voters = []
    for one in store.participants():
        votes = by_participant.get(one.number, ())
        trials = plan_session(manifest, one.seed)
        catches = sum(trial.pair is None for trial in trials)
        excluded = _reason(votes, catch_errors, has_catches=catches > 0)
        voters.append(Voter(one, screens.get(one.number), tuple(votes), len(trials), excluded))
    return Tally(manifest, tuple(voters), catch_errors)


def _by_participant(votes: Sequence[Vote]) -> dict[int, list[Vote]]:
    found: dict[int, list[Vote]] = {}
    for vote in votes:
        found.setdefault(vote.participant, []).append(vote)
    return found


def _reason(votes: Sequence[Vote], catch_errors: int, *, has_catches: bool) -> str:
    """Why a participant is not counted, or nothing."""
    wrong, catches = sum(vote.is_wrong for vote in votes), sum(vote.is_catch for vote in votes)
    if not votes:
        return NO_VOTES
    if has_catches and not catches:
        return NO_CATCH
    return f"wrong in {wrong} of {catches} catch trials" if wrong > catch_errors else ""
