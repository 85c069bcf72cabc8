"""Configurations of the kinds that people run, ours beside the other maker's they replace."""

import json
from collections.abc import Iterable

import pytest

from tests.support.configurations import (
    FOLDER,
    PLACE,
    SETTLE_TIME,
    Unlike,
    World,
    both_worlds,
    case_names,
    read_case,
)
from tests.support.generated import ROOT
from tests.support.routers import eventually, needs


def hears_as_meant(world: World, more: Iterable[Unlike] = ()) -> bool:
    """Whether each neighbour hears what it should, and the kernel has what it should.

    Args:
        world: Whose neighbours.
        more: What else it receives.
    """
    case = world.case
    wanted = {name: set(prefixes) for name, prefixes in case.hears.items()}
    for unlike in more:
        wanted[unlike.neighbour].add(unlike.prefix)
    heard = {name: set(routes) for name, routes in world.heard().items()}
    is_held = case.holds is None or set(world.held()) == set(case.holds)
    is_in_use = case.kernel is None or set(world.kernel()) == set(case.kernel)
    return heard == wanted and is_held and is_in_use


def found_in(world: World) -> str:
    """Return the prefixes that are there, for the message of a failure."""
    found = {name: sorted(routes) for name, routes in world.heard().items()}
    found |= {"holds": sorted(world.held()), "kernel": sorted(world.kernel())}
    return json.dumps(found)


def outcome_of(world: World) -> list[dict[str, object]]:
    """Return what is compared, in order."""
    case = world.case
    heard = world.heard()
    for unlike in case.unlike:
        heard[unlike.neighbour].pop(unlike.prefix, None)
    outcome: list[dict[str, object]] = [
        {name: dict(sorted(routes.items())) for name, routes in heard.items()}
    ]
    if case.holds is not None:
        outcome.append(dict(sorted(world.held().items())))
    if case.kernel is not None:
        outcome.append(dict(sorted(world.kernel().items())))
    return outcome


def they_are_alike(theirs: World, ours: World) -> None:
    unlike = theirs.case.unlike
    assert eventually(lambda: hears_as_meant(theirs, unlike), SETTLE_TIME), found_in(
        theirs
    )
    assert eventually(lambda: hears_as_meant(ours), SETTLE_TIME), found_in(ours)
    # A path may become another once all neighbours are up.
    eventually(lambda: outcome_of(ours) == outcome_of(theirs), 10)
    for of_us, of_them in zip(outcome_of(ours), outcome_of(theirs), strict=True):
        assert json.dumps(of_us, indent=1) == json.dumps(of_them, indent=1)


@needs("bird")
@needs("frr")
@pytest.mark.parametrize("name", case_names())
def test_neighbours_and_the_kernel_notice_no_difference(name: str) -> None:
    case = read_case(name)
    with both_worlds(name, case) as (theirs, ours):
        they_are_alike(theirs, ours)
        if case.departure is not None:
            for world in (theirs, ours):
                world.depart(case.departure)
            they_are_alike(theirs, ours)


def test_every_case_has_both_halves() -> None:
    names = case_names()
    assert len(names) >= 12
    for name in names:
        case = read_case(name)
        assert (FOLDER / f"{name}.{case.original}").exists()
        assert (ROOT / "configs" / f"{name}.yaml").exists()
        assert PLACE in case.lab.machines
    originals = [path for path in FOLDER.iterdir() if path.suffix != ".yaml"]
    assert sorted(path.stem for path in originals) == names
