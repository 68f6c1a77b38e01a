"""`hific study make | serve | results`: what can be written, and what is called. Nothing heavy is imported before it is
known which."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hific.errors import OptionError, UsageError, as_usage_error, in_a_line

NEEDED = ("fastapi", "uvicorn", "choix", "pydantic")


def add_study(commands: argparse._SubParsersAction[Any]) -> None:
    study = commands.add_parser(
        "study",
        help="people compare reconstructions: make a study of an evaluation, serve it, read its results",
        description="Which of two reconstructions of equal bytes is closer to the original? Needs 'hific[study]'.",
    )
    parts = study.add_subparsers(dest="part", required=True, metavar="make | serve | results")
    _add_make(parts.add_parser("make", help="from a folder of evaluate.py, the pictures and pairs of a study"))
    _add_serve(parts.add_parser("serve", help="ask people, in a browser"))
    _add_results(parts.add_parser("results", help="tables, a figure and rows of the votes"))


def _add_make(make: argparse.ArgumentParser) -> None:
    make.add_argument("evaluation", type=Path, help="a folder of evaluate.py, measured with reconstructions=all")
    make.add_argument("folder", type=Path, help="the study, which must not be there yet")
    make.add_argument("--systems", nargs="+", default=(), metavar="NAME", help="labels of its rows (default: all)")
    make.add_argument("--photos", nargs="+", default=(), metavar="NAME", help="(default: all whose pictures it kept)")
    make.add_argument("--crop", type=int, metavar="N", help="pixels a side, 64 to 1024 (default 384)")
    make.add_argument(
        "--crops", type=int, metavar="N", help="of each photo, as many as fit beside each other (default 1)"
    )
    make.add_argument(
        "--tolerance",
        type=float,
        metavar="T",
        help="pairs whose bytes differ by more of the larger are left out and named, by photo (default 0.1)",
    )
    make.add_argument("--trials", type=int, metavar="N", help="of a session, at most (default 30)")
    make.add_argument("--catches", type=int, metavar="N", help="trials with a known answer, besides (default 4)")
    make.add_argument("--seed", type=int, metavar="N", help="of crops, trials, order and sides (default 0)")
    make.add_argument("--title", metavar="TEXT", help="of the page")
    make.add_argument("--question", metavar="TEXT", help="over each pair (default: which is closer to the original)")
    make.add_argument("--consent", type=Path, metavar="FILE", help="text that a participant agrees to, UTF-8")


def _add_serve(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("folder", type=Path, help="a study")
    serve.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1: this machine alone)"
    )
    serve.add_argument("--port", type=int, default=8000, help="0: any that is free (default 8000)")
    serve.add_argument(
        "--token",
        nargs="?",
        const="",
        metavar="TOKEN",
        help="what every address begins with, of 16 characters or more; without TOKEN a new one is made: needed where "
        "--host lets others in",
    )


def _add_results(results: argparse.ArgumentParser) -> None:
    results.add_argument("folder", type=Path, help="a study, which may still be served")
    results.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="default: results in the study")
    results.add_argument(
        "--catch-errors",
        type=int,
        default=0,
        metavar="N",
        help="participants with more wrong answers in catch trials are excluded (default 0)",
    )


def run_study(options: argparse.Namespace) -> int:
    """UsageError for what cannot be done."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UsageError(f"study needs {', '.join(missing)}: pip install 'hific[study]'")
    parts: dict[str, Callable[[argparse.Namespace], None]] = {"make": _make, "serve": _serve, "results": _results}
    with as_usage_error(options.folder):
        parts[options.part](options)
    return 0


def _make(options: argparse.Namespace) -> None:
    from hific.study.make import StudyOptions, describe, make_study

    names = ("systems", "photos", "crops", "tolerance", "trials", "catches", "seed", "title", "question")
    given = {name: getattr(options, name) for name in names} | {"crop_size": options.crop}
    if options.consent is not None:
        given["consent"] = _read_consent(options.consent)
    chosen = StudyOptions(**{name: value for name, value in given.items() if value is not None})
    for line in describe(make_study(options.evaluation, options.folder, chosen)):
        print(line)


def _read_consent(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise OptionError(f"--consent {path} cannot be read ({in_a_line(error)})") from error


def _serve(options: argparse.Namespace) -> None:
    from hific.study.serve import serve_study

    def say(line: str) -> None:
        print(line, flush=True)

    try:
        serve_study(options.folder, host=options.host, port=options.port, token=options.token, say=say)
    except KeyboardInterrupt:
        say("ended; all votes are kept")


def _results(options: argparse.Namespace) -> None:
    from hific.study.results import write_results

    for path in write_results(options.folder, options.output, catch_errors=options.catch_errors):
        print(path)
