"""What the server answers, and what it refuses; the command line around it."""

from __future__ import annotations

import re
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from studies import SCREEN, serving, vote_body

from hific.cli import main
from hific.errors import OptionError
from hific.study.app import MAX_BODY_BYTES
from hific.study.manifest import read_manifest
from hific.study.serve import address, check_token, is_loopback, listen

TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def client(made_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Of a server that all tests below share, each with sessions of its own."""
    folder = shutil.copytree(made_study, tmp_path_factory.mktemp("served") / "study")
    with serving(folder) as server, httpx.Client(base_url=server.address, timeout=30) as opened:
        yield opened


def test_every_answer_has_the_policy(client: httpx.Client) -> None:
    session = client.post("/sessions", json=SCREEN).json()
    picture = session["trials"][0]["a"]
    for path, status in {
        "/": 200,
        "/study.js": 200,
        "/study.css": 200,
        f"/pictures/{picture}.png": 200,
        "/pictures/nothing.png": 404,
        "/manifest.json": 404,
        "/docs": 404,
        "/openapi.json": 404,
        "/pictures/../manifest.json": 404,
        "/pictures/..%2Fmanifest.json": 404,
    }.items():
        answer = client.get(path)
        assert answer.status_code == status, path
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address of this machine")
def test_another_loopback_address_is_answered_to(made_study: Path, tmp_path: Path) -> None:
    with serving(shutil.copytree(made_study, tmp_path / "study"), "--host", "127.0.0.2") as server:
        assert "127.0.0.2" in server.address and httpx.get(server.address).status_code == 200


def test_answers_do_not_tell_the_systems(client: httpx.Client, made_study: Path) -> None:
    """Neither names nor headers nor lengths; nor which trials are catch trials."""
    manifest, _ = read_manifest(made_study)
    answer = client.post("/sessions", json=SCREEN)
    page = client.get("/").text
    for word in (*manifest.systems, *(crop.photo for crop in manifest.crops), "catch", "degraded", "jpeg", "webp"):
        assert word not in answer.text and word not in page
    assert {frozenset(trial) for trial in answer.json()["trials"]} == {
        frozenset(("original", "a", "b", "width", "height"))
    }
    headers = []
    for picture in manifest.pictures:
        found = client.get(f"/pictures/{picture}.png")
        assert found.headers["Content-Type"] == "image/png"
        assert not {"etag", "last-modified", "content-disposition"} & set(found.headers)
        headers.append(sorted((name, value) for name, value in found.headers.items() if name != "date"))
    assert all(one == headers[0] for one in headers)


def test_texts_of_the_study_are_escaped(client: httpx.Client) -> None:
    page = client.get("/").text
    assert "<p>Read &lt;this&gt;.</p>" in page and "<p>Then agree.</p>" in page
    assert "Closer &amp; closer?" in page and "<i>" not in page


def test_a_session_from_consent_to_its_end(client: httpx.Client) -> None:
    session = client.post("/sessions", json=SCREEN).json()
    code, total = session["code"], len(session["trials"])
    assert session["answered"] == 0 and total == 8
    for trial in range(total):
        assert client.post(f"/sessions/{code}/votes", json=vote_body(trial, "a")).json() == {"answered": trial + 1}
    assert client.post(f"/sessions/{code}/votes", json=vote_body(0, "a")).json() == {"answered": total}
    refused = client.post(f"/sessions/{code}/votes", json=vote_body(0, "b"))
    assert refused.status_code == 409 and refused.json() == {"detail": "trial 0 was answered before, with a"}
    assert client.post(f"/sessions/{code}/votes", json=vote_body(total, "a")).status_code == 409
    resumed = client.post(f"/sessions/{code}", json={**SCREEN, "touch": True}).json()
    assert resumed == {**session, "answered": total}
    assert client.post("/sessions/AAAAAAAAAA", json=SCREEN).status_code == 404
    assert client.post("/sessions/AAAAAAAAAA/votes", json=vote_body(0, "a")).status_code == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"side": "c"},
        {"side": None},
        {"trial": -1},
        {"trial": "0"},
        {"trial": 1.5},
        {"milliseconds": -1},
        {"milliseconds": 10**12},
        {"looks": 10**9},
        {"layout": "four"},
        {"pixel_ratio": 0},
        {"pixel_ratio": "nan"},
        {"name": "somebody"},
    ],
)
def test_what_is_no_vote_is_refused(client: httpx.Client, changes: dict[str, Any]) -> None:
    code = client.post("/sessions", json=SCREEN).json()["code"]
    answer = client.post(f"/sessions/{code}/votes", json=vote_body(0, "a") | changes)
    assert answer.status_code == 422 and next(iter(changes)) in answer.json()["detail"]
    assert client.post(f"/sessions/{code}", json=SCREEN).json()["answered"] == 0


def test_bodies_are_refused_by_their_length(client: httpx.Client) -> None:
    big = b" " * (MAX_BODY_BYTES + 1)
    assert client.post("/sessions", content=big).status_code == 413
    assert client.post("/sessions", content=iter([big])).status_code == 413  # without a length
    for body in (b"", b"{", b"[]", b"\xff", b"null"):
        answer = client.post("/sessions", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422)


def test_another_name_of_this_machine_is_not_answered(client: httpx.Client) -> None:
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/", headers={"Host": "127.0.0.1:8000"}).status_code == 200


def test_with_a_token_only_its_addresses_are_answered(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(study, "--host", "127.0.0.1", "--token", TOKEN) as server:
        assert server.address.endswith(f"/{TOKEN}/")
        outside = str(httpx.URL(server.address).copy_with(path="/"))
        assert httpx.get(outside).status_code == 404
        assert httpx.get(f"{outside}study.js").status_code == 404
        assert httpx.get(f"{outside}{TOKEN[:-1]}x/").status_code == 404
        assert httpx.get(server.address, headers={"Host": "a-name-of-it"}).status_code == 200
        session = httpx.post(f"{server.address}sessions", json=SCREEN).json()
        assert httpx.get(f"{server.address}pictures/{session['trials'][0]['a']}.png").status_code == 200
        assert main(["study", "serve", str(study), "--port", str(server.port)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert re.fullmatch(r"hific: --port \d+ of 127\.0\.0\.1 is in use: take another, .*\n", told.err)


def test_others_are_let_in_with_a_token_alone(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "serve", str(study), "--host", "0.0.0.0"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "--token" in told
    assert not (study / "votes.sqlite").exists()
    assert check_token("127.0.0.1", None) == check_token("::1", None) == check_token("localhost", None) == ""
    assert check_token("0.0.0.0", TOKEN) == TOKEN
    made = check_token("0.0.0.0", "")
    assert len(made) >= 16 and made != check_token("0.0.0.0", "")
    for short in ("short", "with/slash/of/some/length", "über-und-über-und-über"):
        with pytest.raises(OptionError, match="16 to 128"):
            check_token("0.0.0.0", short)
    assert not is_loopback("192.168.1.5") and not is_loopback("example.org") and is_loopback("127.0.0.9")
    assert address("0.0.0.0", 80, TOKEN) == f"http://ADDRESS-OF-THIS-MACHINE:80/{TOKEN}/"
    assert address("::1", 80, "") == "http://[::1]:80/"


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("127.0.0.1", -1), ("203.0.113.7", 0)])
def test_what_cannot_be_listened_on_is_a_line(host: str, port: int) -> None:
    with pytest.raises(OptionError, match=r"--port"):
        listen(host, port)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        free.listen()
        with pytest.raises(OptionError, match="is in use"):
            listen("127.0.0.1", free.getsockname()[1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["make", "{tmp}", "{tmp}/new"], "name a folder that evaluate.py wrote"),
        (["make", "{evaluation}", "{study}"], "is a study already"),
        (["make", "{evaluation}", "{tmp}/new", "--crop", "9"], "--crop 9: it is from 64 to 1024"),
        (["make", "{evaluation}", "{tmp}/new", "--consent", "{tmp}/none.txt"], "--consent"),
        (["make", "{evaluation}", "{study}/manifest.json/new"], "manifest.json"),
        (["serve", "{tmp}"], "is no study"),
        (["results", "{tmp}"], "is no study"),
        (["results", "{study}"], "has no votes yet"),
        (["results", "{study}", "--catch-errors", "-1"], "--catch-errors -1"),
    ],
)
def test_wrong_command_lines_are_a_line(
    study: Path,
    evaluation: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    places = {"tmp": tmp_path, "study": study, "evaluation": evaluation}
    assert main(["study", *(argument.format(**places) for argument in arguments)]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("hific: ") and told.err.count("\n") == 1 and words in told.err and told.out == ""
    assert not (tmp_path / "new").exists()


def test_make_by_command_line(evaluation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    consent = tmp_path / "consent.txt"
    consent.write_text("First.\n\nSecond.")
    options = ["--systems", "jpeg", "webp", "--photos", "suit", "--crop", "80", "--crops", "9", "--tolerance", "1"]
    texts = ["--consent", str(consent), "--question", "Which is sharper?", "--title", "Two"]
    target = tmp_path / "study"
    assert main(["study", "make", str(evaluation), str(target), *options, *texts, "--seed", "7"]) == 0
    manifest, _ = read_manifest(target)
    assert manifest.systems == ("jpeg", "webp") and len(manifest.crops) == len(manifest.pairs) == 9
    assert (manifest.seed, manifest.title, manifest.question) == (7, "Two", "Which is sharper?")
    told = capsys.readouterr().out
    assert "9 pairs of 2 systems in 9 crops" in told and "1 of 1 pairs" in told
    assert manifest.consent == consent.read_text()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("hific.cli.study.NEEDED", ("fastapi", "no_such_library"))
    assert main(["study", "serve", "anywhere"]) == 2
    assert capsys.readouterr().err == "hific: study needs no_such_library: pip install 'hific[study]'\n"
