"""The list keeps up with the code; running it is a matter of `make mutants`."""

from __future__ import annotations

import pytest
from mutants.__main__ import REPOSITORY, mutated
from mutants.chosen import CHOSEN
from mutants.mutation import Mutation
from mutants.reported import REPORTED

MUTATIONS = (*REPORTED, *CHOSEN)


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_a_mutation_has_its_place_and_its_tests(mutation: Mutation) -> None:
    assert mutated(mutation) != (REPOSITORY / mutation.file).read_text()
    assert all((REPOSITORY / one).exists() for one in mutation.tests if one.startswith("tests/"))


@pytest.mark.slow
def test_names_tell_mutations_apart() -> None:
    assert len({one.name for one in MUTATIONS}) == len(MUTATIONS)
