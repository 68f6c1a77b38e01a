"""votes.sqlite: participants by random codes, and their answers. What was acknowledged is on disk.

study          the sha256 of the manifest that the votes are of
participants   number, code, seed, when consent was given
screens        facts of each visit
votes          one a participant and trial: its key lets none be counted twice
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from hific.errors import HificError, OptionError
from hific.evaluation.folder import ORIGINAL
from hific.study.manifest import VOTES, Manifest
from hific.study.sessions import Trial, participant_seed, plan_session

# Without what is mistaken for another: 0 and O, 1 and I and L.
ALPHABET, CODE_LENGTH = "23456789ABCDEFGHJKMNPQRSTUVWXYZ", 10
Side = Literal["a", "b"]
_SCHEMA = """
CREATE TABLE IF NOT EXISTS study (manifest TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS participants (
    number INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT NOT NULL UNIQUE, seed INTEGER NOT NULL, consented TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS screens (
    participant INTEGER NOT NULL REFERENCES participants(number), time TEXT NOT NULL,
    screen_width INTEGER NOT NULL, screen_height INTEGER NOT NULL,
    window_width INTEGER NOT NULL, window_height INTEGER NOT NULL, pixel_ratio REAL NOT NULL, touch INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS votes (
    participant INTEGER NOT NULL REFERENCES participants(number), trial INTEGER NOT NULL,
    crop INTEGER NOT NULL, pair INTEGER, system_a TEXT NOT NULL, system_b TEXT NOT NULL,
    side TEXT NOT NULL CHECK (side IN ('a', 'b')),
    milliseconds INTEGER NOT NULL, looks INTEGER NOT NULL, layout TEXT NOT NULL, pixel_ratio REAL NOT NULL,
    time TEXT NOT NULL,
    PRIMARY KEY (participant, trial)
) WITHOUT ROWID;
"""


class NoSuchCodeError(HificError, LookupError):
    """Nobody has this code."""


class VoteRefusedError(HificError, ValueError):
    """Not the next trial, or one that was answered otherwise."""


@dataclass(frozen=True)
class Screen:
    """Widths and heights in CSS pixels; `pixel_ratio`: device pixels to one of them."""

    screen_width: int
    screen_height: int
    window_width: int
    window_height: int
    pixel_ratio: float
    touch: bool


@dataclass(frozen=True)
class Answer:
    """`looks`: how often the original was shown in place of both; `layout`: how the pictures stood."""

    side: Side
    milliseconds: int
    looks: int
    layout: str
    pixel_ratio: float


@dataclass(frozen=True)
class Participant:
    number: int
    code: str
    seed: int


@dataclass(frozen=True)
class Session:
    """`answered`: of the trials, which are answered in their order."""

    code: str
    answered: int
    trials: list[Trial]


@dataclass(frozen=True)
class Vote:
    """A row. `crop`, `pair`: places in the manifest; a catch trial has no pair, and shows ORIGINAL and DEGRADED."""

    participant: int
    trial: int
    crop: int
    pair: int | None
    system_a: str
    system_b: str
    side: Side
    milliseconds: int
    looks: int
    layout: str
    pixel_ratio: float
    time: str

    @property
    def chosen(self) -> str:
        return self.system_a if self.side == "a" else self.system_b

    @property
    def other(self) -> str:
        return self.system_b if self.side == "a" else self.system_a

    @property
    def is_catch(self) -> bool:
        return self.pair is None

    @property
    def is_wrong(self) -> bool:
        """Of a catch trial."""
        return self.is_catch and self.chosen != ORIGINAL


class VoteStore:
    """Of one folder; may be used by several threads, and by several processes at once. OptionError where votes of
    another manifest are there, or no database."""

    def __init__(self, folder: Path, manifest: Manifest, manifest_hash: str) -> None:
        self._manifest = manifest
        self._lock = threading.Lock()
        self._path = folder / VOTES
        try:
            self._connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None, timeout=30)
            self._connection.execute("PRAGMA journal_mode=WAL")
            # In WAL mode only FULL has a commit on disk before it returns.
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA foreign_keys=ON")
            self._connection.executescript(_SCHEMA)
            self._connection.execute(
                "INSERT OR IGNORE INTO study SELECT ? WHERE NOT EXISTS (SELECT * FROM study)", [manifest_hash]
            )
            (known,) = self._connection.execute("SELECT manifest FROM study").fetchone()
        except sqlite3.Error as error:
            raise OptionError(f"{self._path} is no database of votes that can be written ({error})") from error
        if known != manifest_hash:
            raise OptionError(f"{self._path} has votes of another manifest than the one beside it: make a new study")

    def close(self) -> None:
        self._connection.close()

    def begin(self, screen: Screen) -> Session:
        """A new participant, who has consented."""
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
        with self._transaction() as connection:
            # The number is known only once the row is there, and the seed follows from it.
            row = connection.execute(
                "INSERT INTO participants (code, seed, consented) VALUES (?, 0, ?)", [code, _now()]
            )
            number = int(row.lastrowid or 0)
            seed = participant_seed(self._manifest.seed, number)
            connection.execute("UPDATE participants SET seed = ? WHERE number = ?", [seed, number])
            _put_screen(connection, number, screen)
        return Session(code, 0, plan_session(self._manifest, seed))

    def resume(self, code: str, screen: Screen) -> Session:
        """NoSuchCodeError for an unknown one."""
        with self._transaction() as connection:
            who = _find(connection, code)
            _put_screen(connection, who.number, screen)
            return Session(who.code, _count(connection, who), plan_session(self._manifest, who.seed))

    def vote(self, code: str, trial: int, answer: Answer) -> int:
        """How many trials are answered then. The same vote may be given again; VoteRefusedError for a second, other
        answer, and for a trial that is not the next; NoSuchCodeError."""
        with self._transaction() as connection:
            who = _find(connection, code)
            answered = _count(connection, who)
            trials = plan_session(self._manifest, who.seed)
            if not 0 <= trial <= answered or trial >= len(trials):
                raise VoteRefusedError(f"trial {trial} is not the next: {answered} of {len(trials)} are answered")
            if trial < answered:
                (side,) = connection.execute(
                    "SELECT side FROM votes WHERE participant = ? AND trial = ?", [who.number, trial]
                ).fetchone()
                if side != answer.side:
                    raise VoteRefusedError(f"trial {trial} was answered before, with {side}")
                return answered
            shown = trials[trial]
            connection.execute(
                "INSERT INTO votes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    *(who.number, trial, shown.crop, shown.pair, shown.a.system, shown.b.system),
                    *(answer.side, answer.milliseconds, answer.looks, answer.layout, answer.pixel_ratio, _now()),
                ],
            )
            return answered + 1

    def participants(self) -> list[Participant]:
        with self._lock:
            rows = self._connection.execute("SELECT number, code, seed FROM participants ORDER BY number").fetchall()
        return [Participant(*row) for row in rows]

    def votes(self) -> list[Vote]:
        """By participant and trial."""
        columns = ", ".join(one.name for one in fields(Vote))
        with self._lock:
            rows = self._connection.execute(f"SELECT {columns} FROM votes ORDER BY participant, trial").fetchall()
        return [Vote(*row) for row in rows]

    def screens(self) -> dict[int, Screen]:
        """Of each participant's first visit."""
        names = [one.name for one in fields(Screen)]
        columns = ", ".join(names)
        with self._lock:
            rows = self._connection.execute(
                f"SELECT participant, {columns} FROM screens ORDER BY rowid DESC"
            ).fetchall()
        return {number: Screen(**dict(zip(names, facts, strict=True))) for number, *facts in rows}

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One at a time; left without an error, all of it is on disk."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _find(connection: sqlite3.Connection, code: str) -> Participant:
    row = connection.execute(
        "SELECT number, code, seed FROM participants WHERE code = ?", [plain_code(code)]
    ).fetchone()
    if row is None:
        raise NoSuchCodeError("nobody has this code")
    return Participant(*row)


def plain_code(code: str) -> str:
    """As people write it: with spaces, hyphens, small letters."""
    return "".join(character for character in code.upper() if character.isalnum())


def _count(connection: sqlite3.Connection, who: Participant) -> int:
    (count,) = connection.execute("SELECT COUNT(*) FROM votes WHERE participant = ?", [who.number]).fetchone()
    return int(count)


def _put_screen(connection: sqlite3.Connection, number: int, screen: Screen) -> None:
    values = [getattr(screen, one.name) for one in fields(Screen)]
    connection.execute("INSERT INTO screens VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [number, _now(), *values])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
