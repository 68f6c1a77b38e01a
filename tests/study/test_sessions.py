"""Which trials a participant sees: even, random by seed, catch trials spread."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from studies import new_manifest

from hific.evaluation.folder import ORIGINAL
from hific.study.manifest import DEGRADED
from hific.study.sessions import participant_seed, plan_session


@given(
    seed=st.integers(0, 2**48 - 1),
    crops=st.integers(1, 12),
    systems=st.integers(2, 4),
    trials=st.integers(1, 40),
    catches=st.integers(0, 8),
)
@settings(max_examples=40, deadline=None)
def test_laws_of_a_session(seed: int, crops: int, systems: int, trials: int, catches: int) -> None:
    manifest = new_manifest(crops=crops, systems=systems, trials=trials, catches=catches)
    session = plan_session(manifest, seed)
    assert session == plan_session(manifest, seed)
    pairs = [trial.pair for trial in session if trial.pair is not None]
    assert len(pairs) == len(set(pairs)) == min(trials, len(manifest.pairs))
    assert len(session) - len(pairs) == min(catches, crops)
    assert session[0].pair is not None  # nobody begins with a catch trial
    counts = Counter(manifest.pairs[pair].systems for pair in pairs)
    most, fewest = max(counts.values()), min(counts.values())
    assert most - (fewest if len(counts) == systems * (systems - 1) // 2 else 0) <= 1
    for trial in session:
        crop = manifest.crops[trial.crop]
        if trial.pair is None:
            assert {trial.a.system, trial.b.system} == {ORIGINAL, DEGRADED}
            continue
        pair = manifest.pairs[trial.pair]
        assert {trial.a.system, trial.b.system} == set(pair.systems) and trial.crop == pair.crop
        assert all(crop.shown[one.system] == one.picture for one in (trial.a, trial.b))


def test_participants_differ_and_sides_are_even() -> None:
    manifest = new_manifest()
    seeds = [participant_seed(manifest.seed, number) for number in range(1, 201)]
    sessions = [plan_session(manifest, seed) for seed in seeds]
    assert len(set(seeds)) == 200 and len({str(session) for session in sessions}) == 200
    trials = [trial for session in sessions for trial in session if trial.pair is not None]
    first_is_a = sum(trial.a.system == manifest.pairs[trial.pair or 0].systems[0] for trial in trials)
    assert abs(first_is_a / len(trials) - 0.5) < 3 * 0.5 / len(trials) ** 0.5
    shown = Counter(trial.pair for trial in trials)
    assert len(shown) == len(manifest.pairs) and max(shown.values()) < 2 * min(shown.values())


def test_catch_trials_are_spread() -> None:
    """With 30 pairs and 4 catch trials there is one in each quarter, at any place of it."""
    manifest = new_manifest(crops=30)
    places = Counter()
    for seed in range(300):
        session = plan_session(manifest, seed)
        found = [number for number, trial in enumerate(session) if trial.pair is None]
        assert all(number * 7.5 <= place <= 10 + number * 8.5 for number, place in enumerate(found))
        places.update(found)
    assert len(places) > 25
