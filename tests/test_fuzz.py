"""A few seconds of `make fuzz`: the same seeds give the same outcomes, and none is a problem."""

from __future__ import annotations

import pytest

from benchmarks.fuzz import command_lines
from benchmarks.fuzz.__main__ import KINDS, run
from benchmarks.fuzz.outcomes import Outcomes, one_line

TRIES = {"streams": 400, "checkpoints": 40, "images": 300, "command-lines": 60}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", TRIES)
def test_nothing_is_a_problem(kind: str) -> None:
    outcomes = run(kind, TRIES[kind])
    # Slow machines, and others that share them: what takes long is for `make fuzz` to tell.
    wrong = [problem for problem in outcomes.problems if " took " not in problem]
    assert not wrong, wrong
    assert outcomes.count == TRIES[kind] and len(outcomes.outcomes) > 1
    if kind != "command-lines":
        again = run(kind, 20)
        assert again.outcomes <= outcomes.outcomes


def test_problems_are_kept_with_their_seeds() -> None:
    outcomes = Outcomes("kind")

    def fail() -> str:
        raise RuntimeError("two\nlines")

    outcomes.note(3, fail, 1.0)
    outcomes.note(4, lambda: "fine", -1.0)
    assert outcomes.num_problems == 2 and "kind 3: RuntimeError" in outcomes.problems[0]
    assert "took" in outcomes.problems[1] and "| kind | fine | 1 |" in outcomes.table()
    with pytest.raises(AssertionError):
        one_line(ValueError("two\nlines"))


def test_every_kind_is_tried_by_default_and_folders_are_left_as_they_were() -> None:
    assert set(TRIES) | {"shipped"} == set(KINDS)
    before = sorted(command_lines.folder().rglob("*"))
    for seed in range(10):
        command_lines.try_command_line(seed)
    assert sorted(command_lines.folder().rglob("*")) == before
