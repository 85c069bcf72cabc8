"""What one read brings: several runs of one source, each of another kind."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from rib.family import IPV4_UNICAST
from rib.loc_rib import LocRib
from rib.nlri import make_nlri
from rib.path import NextHop, Path, Source, SourceKind
from rib.path_set import Entry, best_of, members_of
from tests.support.cases import cases
from tests.support.routes import a_source, some_attributes

pytestmark = pytest.mark.usefixtures("either_twin")


def a_peer(number: int) -> Source:
    address = f"10.0.0.{number}"
    return a_source(f"peer {number}", SourceKind.EBGP, address=address)


PEER, OTHER, THIRD = map(a_peer, (1, 2, 3))
PREFIXES = [make_nlri(bytes((10, number, 0, 0)), 16) for number in range(6)]


def a_path(source: Source = PEER, *, is_reachable: bool = True) -> Path:
    attributes = some_attributes("65001")
    hop = NextHop(attributes.next_hop, is_reachable=is_reachable)
    return Path(source, attributes, hop)


class Given(NamedTuple):
    """What is in the table before a run, in order, and what the run brings."""

    before: tuple[tuple[Path, slice], ...]
    path: Path
    is_twice: bool = False
    dies: Path | None = None


def replaced(path: Path) -> Given:
    return Given(((path, slice(0, 3)),), path)


ALL, FIRST, LAST = slice(0, 3), slice(0, 1), slice(2, 3)
KINDS: dict[str, Callable[[], Given]] = {
    "new": lambda: Given((), a_path()),
    "new, one of them twice": lambda: Given((), a_path(), is_twice=True),
    "new but the last": lambda: Given(((a_path(OTHER), LAST),), a_path()),
    "new but the first": lambda: Given(((a_path(OTHER), FIRST),), a_path()),
    "through a lost next hop": lambda: Given((), a_path(is_reachable=False)),
    "replacing its own": lambda: Given(((a_path(), ALL),), a_path()),
    "replacing its own, twice": lambda: Given(((a_path(), ALL),), a_path(), True),
    "known already": lambda: replaced(a_path()),
    "beside another's": lambda: Given(((a_path(OTHER), ALL),), a_path()),
    "beside another's, twice": lambda: Given(((a_path(OTHER), ALL),), a_path(), True),
    "beside a lost one": lambda: Given(
        (((lost := a_path(OTHER)), ALL),), a_path(), dies=lost
    ),
    "beside two": lambda: Given(((a_path(OTHER), ALL), (a_path(THIRD), ALL)), a_path()),
    "beside one or two": lambda: Given(
        ((a_path(OTHER), ALL), (a_path(THIRD), FIRST)), a_path()
    ),
}


@cases("first", KINDS)
def test_every_run_counts_whatever_came_before_it(first: str) -> None:
    for second in KINDS:
        read_in_one_go(first, second)


def read_in_one_go(*kinds: str) -> None:
    """Compare what is returned and what is there with a dictionary of announcements."""
    rib = LocRib(IPV4_UNICAST)
    announced: dict[bytes, dict[Source, Path]] = {nlri: {} for nlri in PREFIXES}
    runs, paths = [], []
    for kind, some in zip(kinds, (PREFIXES[:3], PREFIXES[3:]), strict=True):
        given = KINDS[kind]()
        for path, where in given.before:
            rib.announce(some[where], path)
            for nlri in some[where]:
                announced[nlri][path.source] = path
        if given.dies is not None:
            given.dies.next_hop.is_reachable = False
        runs.append([*some, *some[:2]] if given.is_twice else [*some])
        paths.append(given.path)
        for nlri in some:
            announced[nlri][PEER] = given.path
    followed: dict[bytes, Entry | None] = dict(rib.table)
    for old, new, nlris in rib.announce_all(paths, runs, PEER):
        assert len({*nlris}) == len(nlris)
        for nlri in nlris:
            assert followed.get(nlri) is old
            followed[nlri] = new
    assert followed == rib.table
    for nlri, by_source in announced.items():
        entry = rib.table[nlri]
        assert {*members_of(entry)} == {*by_source.values()}
        best = best_of(entry)
        usable = [path for path in by_source.values() if path.next_hop.is_reachable]
        assert best is min(usable, key=lambda path: path.source.address, default=None)
    counts = {
        source: sum(source in by_source for by_source in announced.values())
        for source in (PEER, OTHER, THIRD)
    }
    assert rib.path_counts == {source: n for source, n in counts.items() if n}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("kind", ["new", "replacing its own", "beside another's"])
def test_a_usual_run_is_handed_on_as_it_is(kind: str, count: int) -> None:
    """No grouping, no copy: that is what makes a full table's burst cheap."""
    rib, given = LocRib(IPV4_UNICAST), KINDS[kind]()
    for path, where in given.before:
        rib.announce(PREFIXES[where], path)
    run = PREFIXES[:count]
    (change,) = rib.announce_all([given.path], [run], PEER)
    assert change.nlris is run


def test_a_path_for_each_run() -> None:
    rib = LocRib(IPV4_UNICAST)
    with pytest.raises(ValueError, match="zip"):
        rib.announce_all([a_path(), a_path()], [PREFIXES[:1]], PEER)
