"""What is acknowledged is kept, and once: over HTTP, from a real server, also one that is killed."""

from __future__ import annotations

import random
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from studies import SCREEN, serving, vote_body

from hific.errors import OptionError
from hific.study.manifest import read_manifest
from hific.study.votes import Answer, NoSuchCodeError, Screen, VoteRefusedError, VoteStore

PEOPLE = 50


def open_store(folder: Path) -> VoteStore:
    return VoteStore(folder, *read_manifest(folder))


def kept(folder: Path) -> dict[str, list[str]]:
    """Sides by code, in the order of the trials."""
    store = open_store(folder)
    try:
        codes = {one.number: one.code for one in store.participants()}
        found: dict[str, list[str]] = {code: [] for code in codes.values()}
        for vote in store.votes():
            assert vote.trial == len(found[codes[vote.participant]])
            found[codes[vote.participant]].append(vote.side)
        return found
    finally:
        store.close()


def take_part(address: str, seed: int) -> tuple[str, list[str]]:
    """A session in which every vote is sent twice, by two threads at once where the seed is even; code and sides."""
    rng = random.Random(seed)
    with httpx.Client(base_url=address, timeout=60) as client, ThreadPoolExecutor(2) as both:
        session = client.post("sessions", json=SCREEN).raise_for_status().json()
        sides = [rng.choice("ab") for _ in session["trials"]]
        for trial, side in enumerate(sides):
            sent = [vote_body(trial, side)] * 2
            post = lambda body: client.post(f"sessions/{session['code']}/votes", json=body)  # noqa: E731
            answers = list(both.map(post, sent) if seed % 2 == 0 else map(post, sent))
            assert [answer.json() for answer in answers] == [{"answered": trial + 1}] * 2
    return session["code"], sides


def test_fifty_at_once_lose_and_double_no_vote(study: Path) -> None:
    with serving(study) as server, ThreadPoolExecutor(PEOPLE) as people:
        sent = dict(people.map(lambda seed: take_part(server.address, seed), range(PEOPLE)))
    assert len(sent) == PEOPLE and kept(study) == sent
    assert len(next(iter(sent.values()))) == 8


@pytest.mark.parametrize("kills", [1, pytest.param(6, marks=pytest.mark.slow)])
def test_a_killed_server_loses_no_acknowledged_vote(study: Path, kills: int) -> None:
    """Killed in the middle of 8 sessions; participants send again what was not acknowledged, and go on."""
    acknowledged: dict[str, list[str]] = {}
    running = {"address": ""}

    def persist(seed: int) -> None:
        rng = random.Random(seed)
        code = ""
        answered, total = 0, 99
        side = rng.choice("ab")
        while answered < total:
            try:
                with httpx.Client(base_url=running["address"], timeout=10) as client:
                    if not code:
                        session = client.post("sessions", json=SCREEN).json()
                        code, total = session["code"], len(session["trials"])
                        acknowledged[code] = []
                    else:
                        resumed = client.post(f"sessions/{code}", json=SCREEN).json()
                        # all that was acknowledged is there; what was on its way may be
                        assert answered <= resumed["answered"] <= answered + 1
                    while answered < total:
                        body = client.post(f"sessions/{code}/votes", json=vote_body(answered, side))
                        assert body.status_code == 200, body.text
                        acknowledged[code].append(side)
                        answered, side = answered + 1, rng.choice("ab")
                        time.sleep(0.02)
            except httpx.TransportError:
                time.sleep(0.05)

    with ThreadPoolExecutor(8) as people:
        for number in range(kills + 1):
            with serving(study) as server:
                running["address"] = server.address
                if number == 0:
                    sessions = [people.submit(persist, seed) for seed in range(8)]
                if number < kills:
                    before = sum(map(len, acknowledged.values()))
                    while sum(map(len, list(acknowledged.values()))) < before + 8:
                        time.sleep(0.005)
                    server.kill()
                    on_disk = kept(study)
                    for code, sides in list(acknowledged.items()):
                        assert on_disk[code][: len(sides)] == sides
                else:
                    for session in sessions:
                        session.result(timeout=60)
    found = kept(study)
    assert {code: found[code] for code in acknowledged} == acknowledged
    assert all(len(sides) == 8 for sides in acknowledged.values())


SCREEN_FACTS = Screen(1280, 1000, 1280, 900, 1.0, False)


def answer(side: str) -> Answer:
    return Answer(side, 100, 0, "two", 1.0)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(-1, 9), st.sampled_from("ab")), max_size=30))
@settings(max_examples=25, deadline=None)
def test_any_order_of_votes_keeps_the_first_of_each_trial(
    made_study: Path, tmp_path_factory: pytest.TempPathFactory, sent: list[tuple[int, str]]
) -> None:
    """Against a list: the next trial is taken, an answered one only if it is the same, all else refused."""
    manifest, manifest_hash = read_manifest(made_study)
    store = VoteStore(tmp_path_factory.mktemp("votes"), manifest, manifest_hash)
    code = store.begin(SCREEN_FACTS).code
    expected: list[str] = []
    for trial, side in sent:
        allowed = trial == len(expected) < 8 or (0 <= trial < len(expected) and expected[trial] == side)
        if not allowed:
            with pytest.raises(VoteRefusedError):
                store.vote(code, trial, answer(side))
            continue
        if trial == len(expected):
            expected.append(side)
        assert store.vote(code, trial, answer(side)) == len(expected)
    assert [vote.side for vote in store.votes()] == expected
    resumed = store.resume(code.lower(), SCREEN_FACTS)
    assert resumed.answered == len(expected)
    for vote in store.votes():
        trial = resumed.trials[vote.trial]
        assert (vote.system_a, vote.system_b, vote.pair) == (trial.a.system, trial.b.system, trial.pair)
    store.close()


def test_codes_are_unlike_and_nothing_is_kept_of_a_person(study: Path) -> None:
    store = open_store(study)
    codes = {store.begin(SCREEN_FACTS).code for _ in range(30)}
    assert len(codes) == 30 and all(len(code) == 10 and not set(code) & set("0O1IL") for code in codes)
    code = codes.pop()
    assert store.resume(f" {code[:5].lower()}-{code[5:]} ", SCREEN_FACTS).code == code
    for wrong in ("", "AAAAAAAAAA", "' OR 1=1 --", code[:-1]):
        with pytest.raises(NoSuchCodeError):
            store.resume(wrong, SCREEN_FACTS)
    store.close()
    with sqlite3.connect(study / "votes.sqlite") as connection:
        columns = {
            name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert columns["participants"] == {"number", "code", "seed", "consented"}
    assert not any("address" in one or "agent" in one or one == "ip" for one in set().union(*columns.values()))


def test_votes_of_another_manifest_are_refused(study: Path) -> None:
    open_store(study).close()
    path = study / "manifest.json"
    path.write_text(path.read_text().replace("Which is closer?", "Other"))
    with pytest.raises(OptionError, match="votes of another manifest"):
        open_store(study)


def test_what_is_no_database_is_a_line(study: Path) -> None:
    (study / "votes.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(OptionError, match="is no database of votes"):
        open_store(study)
