"""Applies mutations one at a time to a copy of the suite, and runs the tests that must notice each.

    PYTHONPATH=.:tests python -m mutants [--only TEXT]

Killed is a mutation that a test fails on; where one survives, a test is missing. The working tree is not touched. Tests
run in processes that are forked from one that has the libraries at hand: importing them takes longer than most tests.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from mutants.chosen import CHOSEN
from mutants.mutation import Mutation
from mutants.reported import REPORTED

REPOSITORY = Path(__file__).resolve().parents[2]
COPIED = ("hific", "tests", "conf", "experiments", "benchmarks", "train.py", "evaluate.py", "pyproject.toml")
LIBRARIES = ("torch", "torchvision", "lightning", "hydra", "xgboost", "lpips", "piq", "skimage.metrics", "hypothesis")
# Exit statuses of pytest, the third also where a file cannot be imported; below 0 are those of a crash.
PASSED, FAILED, INTERRUPTED = 0, 1, 2
MOST_SECONDS = 300
"""A mutation may go round for ever."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default="", metavar="TEXT", help="mutations whose name or file has this text")
    options = parser.parse_args()
    mutations = [one for one in (*REPORTED, *CHOSEN) if options.only in f"{one.name} {one.file}"]
    for one in mutations:
        mutated(one)
    for name in LIBRARIES:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "suite")
        _copy(copy)
        for tests in dict.fromkeys(one.tests for one in mutations):
            if not _passes(copy, tests):
                print(f"{' '.join(tests)} fails without any mutation:\n{_output(copy)}")
                return 2
        survived = [one for one in mutations if not _is_killed(one, copy)]
    print(f"{len(mutations) - len(survived)} of {len(mutations)} killed")
    return 1 if survived else 0


def mutated(mutation: Mutation) -> str:
    """The file's text with the fault in it."""
    text = (REPOSITORY / mutation.file).read_text()
    if text.count(mutation.old) != 1:
        raise SystemExit(f"{mutation.name}: {mutation.file} has {text.count(mutation.old)} times: {mutation.old}")
    changed = text.replace(mutation.old, mutation.new)
    compile(changed, mutation.file, "exec")
    return changed


def _copy(copy: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.ckpt")
    for name in COPIED:
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, copy / name, ignore=ignored)
        else:
            shutil.copy(REPOSITORY / name, copy / name)


def _is_killed(mutation: Mutation, copy: Path) -> bool:
    start = time.perf_counter()
    (copy / mutation.file).write_text(mutated(mutation))
    try:
        killed = not _passes(copy, mutation.tests)
    finally:
        shutil.copy(REPOSITORY / mutation.file, copy / mutation.file)
    told = "killed  " if killed else "SURVIVED"
    by = _failed_test(copy) if killed else ""
    print(f"{told} {time.perf_counter() - start:4.0f} s  {mutation.file}: {mutation.name}  {by}".rstrip(), flush=True)
    return killed


def _failed_test(copy: Path) -> str:
    failed = [line for line in _output(copy).splitlines() if line.startswith(("FAILED", "ERROR"))]
    return f"({failed[-1].split(' - ')[0].rpartition('::')[2]})" if failed else "(out of time)"


def _output(copy: Path) -> str:
    return (copy / "output.txt").read_text(errors="replace")


def _passes(copy: Path, tests: Sequence[str]) -> bool:
    """Whether all tests pass, in a process of its own that sees the copy alone."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _become_pytest(copy, tests)
    end = time.monotonic() + MOST_SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            if code not in (PASSED, FAILED, INTERRUPTED) and code > 0:
                raise SystemExit(f"pytest {' '.join(tests)} ended with {code}:\n{_output(copy)}")
            return code == PASSED
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _become_pytest(copy: Path, tests: Sequence[str]) -> None:
    code = -1
    try:
        os.setsid()
        output = os.open(copy / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.chdir(copy)
        os.environ.pop("HIFIC_WEIGHTS", None)
        # Two mutations of a file within a second are the same to a compiled module.
        sys.dont_write_bytecode = True
        os.environ |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        own = (REPOSITORY, REPOSITORY / "tests")
        sys.path[:] = [str(copy), *(place for place in sys.path if Path(place or ".").resolve() not in own)]
        for name in [name for name in sys.modules if name.partition(".")[0] == "mutants"]:
            del sys.modules[name]
        assert "hific" not in sys.modules
        code = int(pytest.main(["-x", "-p", "no:cacheprovider", "-m", "not slow", *tests]))
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
