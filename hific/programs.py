"""Programs of others: where they are, what they can do, and how they are run. Nothing is ever downloaded."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hific.errors import HificError, OptionError, in_a_line

SECONDS = 600


class ProgramError(ValueError):
    """A program that failed; the message is its last line."""


class ProgramStoppedError(HificError, ProgramError):
    """A program that could not be started, or took too long: what it was given may be right."""


@cache
def find_program(name: str) -> str | None:
    """On PATH."""
    return shutil.which(name)


def find_programs(*names: str, otherwise: str) -> tuple[str, ...]:
    """All of them. OptionError, which says `otherwise`, where one is not there."""
    found = tuple(path for path in map(find_program, names) if path is not None)
    if len(found) < len(names):
        raise OptionError(otherwise)
    return found


def ffmpeg_programs() -> list[str]:
    """That of the package imageio-ffmpeg (extra `codecs`), then the one on PATH."""
    found = []
    try:
        import imageio_ffmpeg

        found.append(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        pass
    on_path = find_program("ffmpeg")
    return [*found, *([on_path] if on_path else [])]


@cache
def find_ffmpeg(listing: str, part: str) -> str | None:
    """The first ffmpeg that has `part` in what it lists for `listing`, such as -encoders or -filters."""
    for program in ffmpeg_programs():
        if f" {part} " in _said(program, "-hide_banner", listing):
            return program
    return None


@cache
def version_of(program: str, *options: str) -> str:
    """The first word of its answer to `options` that has a digit, such as 6.1.1 or v0.11.1; asked for once."""
    words = _said(program, *options).split()
    return next((word.strip(",") for word in words if any(c.isdigit() for c in word) and "/" not in word), UNKNOWN)


UNKNOWN = "of unknown version"


def run_program(
    command: Sequence[str], given: bytes = b"", *, title: str | None = None, folder: Path | None = None
) -> bytes:
    """What it writes to its output. ProgramError, which calls it `title`, where it fails; ProgramStoppedError where it
    cannot be started or takes longer than SECONDS."""
    name = title or Path(command[0]).name
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=SECONDS, check=False, cwd=folder)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramStoppedError(f"{name} failed ({in_a_line(error)})") from error
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip().splitlines()
        raise ProgramError(f"{name} failed ({told[-1] if told else 'without a word'})")
    return done.stdout


def convert_file(command: Sequence[str], given: bytes, source: str, target: str) -> bytes:
    """What a program that reads the file `source` and writes `target` makes of `given`; both are names in a folder that
    exists as long as it runs. ProgramError where it fails, or writes nothing."""
    with TemporaryDirectory() as folder:
        (Path(folder) / source).write_bytes(given)
        run_program(command, folder=Path(folder))
        try:
            return (Path(folder) / target).read_bytes()
        except OSError as error:
            raise ProgramError(f"{Path(command[0]).name} wrote nothing ({in_a_line(error)})") from error


def _said(program: str, *options: str) -> str:
    try:
        done = subprocess.run([program, *options], capture_output=True, text=True, check=False, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr
