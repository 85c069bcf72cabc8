"""Identifiers last as long as a member may hold them, and no longer."""

from collections.abc import Iterable

import pytest

from reflector.path_ids import SLICE, PathIds
from rib.next_hops import NextHopTable
from rib.path import Path
from rib.path_set import Entry
from tests.support.routes import a_source, some_attributes

HOPS = NextHopTable()


def a_path(path_id: int, address: str = "10.0.0.1") -> Path:
    attributes = some_attributes()
    hop = HOPS.get(attributes.next_hop)
    return Path(a_source("a", address=address), attributes, hop, path_id=path_id)


def swept(ids: PathIds, held: Iterable[Entry]) -> None:
    assert ids.claim_sweep()
    for _ in ids.sweep([list(held)]):
        pass


def test_a_path_keeps_its_identifier_whatever_its_attributes() -> None:
    ids = PathIds()
    assert ids.of(a_path(7)) == ids.of(a_path(7))
    assert (
        len({ids.of(a_path(7)), ids.of(a_path(8)), ids.of(a_path(7, "10.0.0.2"))}) == 3
    )


def test_an_identifier_that_is_no_longer_held_is_given_out_again() -> None:
    ids = PathIds()
    kept = [a_path(n) for n in range(100)]
    before = [ids.of(path) for path in kept]
    for n in range(100, 5000):
        ids.of(a_path(n))
    swept(ids, kept)
    assert len(ids) == 100
    assert [ids.of(path) for path in kept] == before
    fresh = {ids.of(a_path(n)) for n in range(5000, 9900)}
    assert fresh.isdisjoint(before)
    assert len(fresh) == 4900
    assert max(fresh) == 5000  # none above what there was


def test_ever_new_paths_need_no_more_identifiers_than_there_are_at_a_time() -> None:
    ids = PathIds()
    given = set()
    for turn in range(50):
        paths = [a_path(turn * 1000 + n) for n in range(1000)]
        given |= {ids.of(path) for path in paths}
        if ids.claim_sweep():
            for _ in ids.sweep([paths]):
                pass
    assert max(given) <= 3000
    assert len(ids) <= 2000


def test_an_identifier_that_is_used_during_a_sweep_stays() -> None:
    ids = PathIds()
    paths = [a_path(n) for n in range(2 * SLICE)]
    before = [ids.of(path) for path in paths]
    assert ids.claim_sweep()
    sweep = ids.sweep([[]])
    next(sweep)  # the first slice is taken back
    late = paths[-1]
    assert ids.of(late) == before[-1]
    for _ in sweep:
        pass
    assert ids.of(late) == before[-1]
    assert len(ids) == 1


def test_only_one_sweep_is_due_and_an_empty_table_starts_over() -> None:
    ids = PathIds()
    for n in range(2000):
        ids.of(a_path(n))
    assert ids.claim_sweep()
    assert not ids.claim_sweep()
    ids.put_off()
    assert not ids.claim_sweep()
    for n in range(2000, 4000):
        ids.of(a_path(n))
    swept(ids, [])
    assert len(ids) == 0
    assert ids.of(a_path(1)) == 1


def test_a_sweep_looks_at_a_slice_in_each_step() -> None:
    """Of what is held, each table for itself, and then of what was given out."""
    ids = PathIds()
    paths = [a_path(n) for n in range(2 * SLICE + 1)]
    for path in paths:
        ids.of(path)
    assert ids.claim_sweep()
    steps = ids.sweep([paths, paths[:SLICE], [], paths[:1]])
    assert len(list(steps)) == 3 + 1 + 0 + 1 + 3


@pytest.mark.parametrize(("left", "due"), [(0, 1024), (512, 1024), (513, 1026)])
def test_a_sweep_is_due_at_twice_as_many_as_the_last_one_left(
    left: int, due: int
) -> None:
    ids = PathIds()
    paths = [a_path(n) for n in range(1024)]
    for path in paths:
        ids.of(path)
    swept(ids, paths[:left])
    for number in range(left, due):
        assert not ids.claim_sweep()
        ids.of(a_path(10_000 + number))
    assert ids.claim_sweep()


def test_a_table_that_was_empty_can_be_swept_again() -> None:
    ids = PathIds()
    for turn in range(2):
        for number in range(1024):
            ids.of(a_path(turn * 1024 + number))
        swept(ids, [])
        assert len(ids) == 0
    kept = a_path(1)
    for path in (kept, *map(a_path, range(2, 1026))):
        ids.of(path)
    swept(ids, [kept])
    assert ids.of(kept) == 1
    fresh = {ids.of(a_path(number)) for number in range(5000, 6024)}
    assert fresh == {*range(2, 1026)}
