"""From votes to tables: who is counted, what is counted, and that a known truth comes out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas
import pytest
from PIL import Image
from studies import new_manifest

from hific.cli import main
from hific.errors import OptionError
from hific.evaluation.folder import ORIGINAL
from hific.study.manifest import MANIFEST, Manifest, read_manifest
from hific.study.preferences import fit_scores
from hific.study.results import write_results
from hific.study.sessions import Trial
from hific.study.tally import tally
from hific.study.votes import Answer, Screen, Side, VoteStore

# Of the systems of studies.new_manifest: hific, avif, webp, jpeg.
TRUTH = (0.8, 0.5, -0.3, -1.0)
SCREEN = Screen(1440, 900, 1280, 800, 2.0, False)


def prefer(trial: Trial, manifest: Manifest, rng: np.random.Generator) -> Side:
    """A careful Bradley-Terry participant: never wrong in a catch trial."""
    if trial.pair is None:
        return "a" if trial.a.system == ORIGINAL else "b"
    first, second = (TRUTH[manifest.systems.index(one.system)] for one in (trial.a, trial.b))
    return "a" if rng.random() < 1 / (1 + math.exp(second - first)) else "b"


class Simulated:
    """A study without pictures, and its votes."""

    def __init__(self, folder: Path, **sizes: int) -> None:
        self.folder, self.manifest = folder, new_manifest(**sizes)
        folder.mkdir(exist_ok=True)
        (folder / MANIFEST).write_text(self.manifest.model_dump_json())
        self.store = VoteStore(folder, *read_manifest(folder))
        self.rng = np.random.default_rng(0)

    def careful(self, votes: int | None = None) -> None:
        session = self.store.begin(SCREEN)
        for number, trial in enumerate(session.trials[:votes]):
            self.vote(session.code, number, prefer(trial, self.manifest, self.rng))

    def careless(self, *, wrong: int) -> None:
        """Always A; of catch trials so many are answered wrong."""
        session = self.store.begin(SCREEN)
        for number, trial in enumerate(session.trials):
            side: Side = "a"
            if trial.pair is None:
                right: Side = "a" if trial.a.system == ORIGINAL else "b"
                side = right if wrong <= 0 else "b" if right == "a" else "a"
                wrong -= 1
            self.vote(session.code, number, side)

    def vote(self, code: str, number: int, side: Side) -> None:
        self.store.vote(code, number, Answer(side, 1500 + number, number % 3, "three", 2.0))


@pytest.fixture
def simulated(tmp_path: Path) -> Simulated:
    """Twelve careful participants of 8 trials each, one unfinished, and five who are not counted."""
    study = Simulated(tmp_path / "study", crops=4, systems=3, trials=8, catches=2)
    for _ in range(11):
        study.careful()
    study.careful(votes=7)
    study.careless(wrong=1)
    study.careless(wrong=2)
    study.careless(wrong=2)
    study.careful(votes=0)
    study.careful(votes=1)
    return study


def test_who_is_counted(simulated: Simulated) -> None:
    found = tally(simulated.manifest, simulated.store)
    reasons = [voter.excluded for voter in found.voters]
    assert reasons == [""] * 12 + ["wrong in 1 of 2 catch trials", *["wrong in 2 of 2 catch trials"] * 2] + [
        "no votes",
        "no catch trial reached",
    ]
    lenient = tally(simulated.manifest, simulated.store, catch_errors=1)
    assert [voter.excluded for voter in lenient.voters[12:14]] == ["", "wrong in 2 of 2 catch trials"]
    assert {vote.participant for vote in found.counted} == set(range(1, 13))
    assert not any(vote.is_catch for vote in found.counted)


def test_wins_are_the_votes(simulated: Simulated) -> None:
    found = tally(simulated.manifest, simulated.store)
    ballots = found.ballots()
    assert ballots.wins.shape == (12, 3, 3) and ballots.wins.sum() == len(found.counted)
    place = {name: number for number, name in enumerate(simulated.manifest.systems)}
    again = np.zeros((3, 3), int)
    for vote in simulated.store.votes():
        if vote.participant <= 12 and vote.pair is not None:
            systems = {"a": vote.system_a, "b": vote.system_b}
            chosen = systems.pop(vote.side)
            again[place[chosen], place[next(iter(systems.values()))]] += 1
    assert np.array_equal(ballots.wins.sum(axis=0), again)
    by_photo = [found.ballots(photo).wins.sum() for photo in ("photo0", "photo1")]
    assert sum(by_photo) == ballots.wins.sum() and min(by_photo) > 0


def test_what_is_written(simulated: Simulated, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "results", str(simulated.folder)]) == 0
    target = simulated.folder / "results"
    told = capsys.readouterr().out.split()
    assert {str(path) for path in target.iterdir()} == set(told)
    rows = pandas.read_parquet(target / "votes.parquet")
    votes = simulated.store.votes()
    assert len(rows) == len(votes) == len(pandas.read_csv(target / "votes.csv"))
    assert rows[["participant", "trial", "side", "chosen"]].values.tolist() == [
        [vote.participant, vote.trial, vote.side, vote.chosen] for vote in votes
    ]
    pairs = rows[~rows.is_catch]
    assert set(pairs.bytes_a) | set(pairs.bytes_b) == {1000, 990} and rows[rows.is_catch].bytes_a.isna().all()
    assert (rows.excluded != "").sum() == len(rows[rows.participant > 12])
    codes = [one.code for one in simulated.store.participants()]
    for path in target.iterdir():
        assert not any(code.encode() in path.read_bytes() for code in codes), path
    report = (target / "report.md").read_text()
    reasons = (
        "no catch trial reached (1), no votes (1), wrong in 1 of 2 catch trials (1), wrong in 2 of 2 catch trials (2)"
    )
    assert f"17 participants agreed to take part; 5 are excluded: {reasons} (no wrong answer is" in report
    assert "1 of them unfinished" in report and "(100 %)" in report
    for heading in ("Preferences", "Scores", "By image", "By participant", "Provenance"):
        assert f"## {heading}" in report
    assert r"\begin{tabular}" in (target / "preferences.tex").read_text()
    with Image.open(target / "preferences.png") as figure:
        assert figure.width > 1000
    before = {path: path.read_bytes() for path in target.iterdir()}
    write_results(simulated.folder)
    assert before == {path: path.read_bytes() for path in target.iterdir()}  # the same votes, the same files


def test_without_votes_that_count_there_is_a_line(tmp_path: Path) -> None:
    study = Simulated(tmp_path / "study", crops=4, systems=2, trials=4, catches=2)
    with pytest.raises(OptionError, match="nobody was there yet"):
        write_results(study.folder)
    study.careless(wrong=2)
    with pytest.raises(OptionError, match=r"no votes that count: wrong in 2 of 2 catch trials \(1\)"):
        write_results(study.folder)
    study.careful()
    (tmp_path / "file").write_text("")
    assert main(["study", "results", str(study.folder), "-o", str(tmp_path / "file" / "results")]) == 2
    write_results(study.folder, tmp_path / "of one")
    assert "[" not in (tmp_path / "of one" / "scores.md").read_text().partition("interval |")[2].partition("\n\n")[0]


def test_scores_have_no_interval_where_all_agree(tmp_path: Path) -> None:
    """A bootstrap over people who all say the same has no width: none is shown, in place of one of certainty."""
    study = Simulated(tmp_path / "study", crops=4, systems=2, trials=4, catches=2)
    for _ in range(3):
        session = study.store.begin(SCREEN)
        for number, trial in enumerate(session.trials):
            first = trial.a.system in (ORIGINAL, study.manifest.systems[0])
            study.vote(session.code, number, "a" if first else "b")
    write_results(study.folder)
    scores, shares = ((study.folder / "results" / f"{name}.md").read_text() for name in ("scores", "preferences"))
    assert scores.count("|  |") == 2 and "[" not in scores and "100.0 % | [29.2, 100.0]" in shares


def check_truth(study: Simulated, people: int) -> None:
    """Scores within their intervals, shares near theirs; careless participants, who would pull them to .5, are out."""
    for number in range(people):
        study.careful()
        if number % 5 == 0:
            study.careless(wrong=2)
    found = tally(study.manifest, study.store)
    assert sum(not voter.excluded for voter in found.voters) == people
    scores = found.ballots().scores()
    assert scores is not None
    for one, truth in zip(scores, np.array(TRUTH) - np.mean(TRUTH), strict=True):
        assert one.low is not None and one.high is not None and one.low <= truth <= one.high
    everyone = tally(study.manifest, study.store, catch_errors=9).ballots().wins.sum(axis=0) + 0.5
    assert np.ptp(fit_scores(everyone)) < np.ptp([one.value for one in scores])


def test_a_known_truth_is_found(tmp_path: Path) -> None:
    check_truth(Simulated(tmp_path / "study", trials=12, catches=2), 25)


@pytest.mark.slow
def test_a_known_truth_is_found_from_200_participants(tmp_path: Path) -> None:
    """Through sessions and database; how often intervals hold it is in test_preferences."""
    check_truth(Simulated(tmp_path / "study"), 200)
