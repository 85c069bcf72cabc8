import pytest

from rib.best_path import choose
from rib.decision import DecisionOptions, Reason, hops_of
from rib.path_set import (
    DecisionContext,
    PathSet,
    best_of,
    eligible_of,
    multipath_of,
    paths_of,
    reasons_of,
)
from tests.support.routes import a_path, a_source, some_attributes

pytestmark = pytest.mark.usefixtures("either_twin")

GOOD = a_path(some_attributes(local_pref=200), source=a_source("a"))
FAIR = a_path(some_attributes(next_hop="192.0.2.2"), source=a_source("b"))
LOST = a_path(source=a_source("c"), is_reachable=False)


def a_set(*paths) -> PathSet:
    options = DecisionOptions()
    return PathSet(
        paths, choose(paths, options), DecisionContext(options, hops_of(paths))
    )


def test_nothing() -> None:
    assert best_of(None) is None
    assert paths_of(None) == eligible_of(None) == multipath_of(None) == ()


def test_a_lone_path() -> None:
    assert best_of(GOOD) is GOOD
    assert paths_of(GOOD) == eligible_of(GOOD) == multipath_of(GOOD) == (GOOD,)
    assert reasons_of(GOOD) == (Reason.BEST,)


def test_several_paths() -> None:
    entry = a_set(LOST, FAIR, GOOD)
    assert best_of(entry) is GOOD
    assert paths_of(entry) == (GOOD, FAIR, LOST)
    assert eligible_of(entry) == (GOOD, FAIR)
    assert multipath_of(entry) == (GOOD,)
    assert reasons_of(entry)[0] is Reason.BEST
    assert reasons_of(entry)[2] is Reason.NEXT_HOP_UNREACHABLE


def test_no_path_that_can_be_used() -> None:
    entry = a_set(LOST)
    assert best_of(entry) is None
    assert paths_of(entry) == (LOST,)
    assert eligible_of(entry) == multipath_of(entry) == ()


def test_what_an_entry_said_does_not_change_with_the_next_hop() -> None:
    path = a_path(source=a_source("d"))
    entry = a_set(path, GOOD)
    path.next_hop.is_reachable = False
    assert eligible_of(entry) == (GOOD, path)
