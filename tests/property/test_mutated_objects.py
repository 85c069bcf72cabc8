"""Whatever a datastore holds, a node plans around it and carries out the rest."""

import asyncio

import pytest

from tests.support.mutated import Mutator
from tests.support.mutated_run import run


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "per_event"), [(1, 1), (2, 1), (3, 5)])
def test_mutated_objects_raise_nowhere_and_are_understood_when_they_are_read(
    seed: int, per_event: int
) -> None:
    outcome = asyncio.run(run(seed, 200 * per_event, per_event))
    assert outcome.plans == 200
    assert not outcome.held_back
    assert not outcome.faults


def test_one_seed_makes_the_same_objects() -> None:
    assert [Mutator(7).draw() for _ in range(20)] == [
        Mutator(7).draw() for _ in range(20)
    ]
