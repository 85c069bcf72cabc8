"""Plain routes of internal peers by their short way; ``test_group`` tests the result."""

from itertools import product

import pytest

from reflector.flush import Batch
from reflector.plain_reflection import put_reflected
from reflector.rewrite import Reflection, reflect
from rib.attributes import PathAttributes
from rib.change import Change
from rib.path import NextHop, Path, Source, SourceKind
from rib.path_set import DecisionContext, PathSet
from tests.support.routes import nlris, slow_twin, some_attributes

ONE, TWO, THREE = nlris("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
HOP = NextHop(bytes((192, 0, 2, 1)))
A, B, STRANGER = (Source(name, SourceKind.IBGP) for name in ("a", "b", "stranger"))
EXTERNAL = Source("external", SourceKind.EBGP)
FOREIGN = Source("foreign", SourceKind.IBGP)
MUTE = Source("mute", SourceKind.IBGP)  # its routes go to no other member
MEMBERS = {A, B, MUTE}
BLOCK = some_attributes(local_pref=100)
OTHER = some_attributes(local_pref=200)
REFLECTED = some_attributes(originator_id=7, cluster_list=(1, 2))
LARGE = some_attributes(large_communities=((1, 2, 3),))


ADDED = {
    source: Reflection(number, b"ours")
    for number, source in enumerate((A, B, STRANGER))
}
TAIL_A, TAIL_B, TAIL_STRANGER = (reflection.tail for reflection in ADDED.values())


def a_path(source: Source, attributes=BLOCK) -> Path:
    return Path(source, attributes, HOP)


def put(*changes: Change) -> tuple[Batch, list[Change]]:
    batch = Batch()
    return batch, [*put_reflected(batch, changes, MEMBERS, ADDED.get)]


def test_new_routes_are_reflected_by_their_blocks_as_they_came() -> None:
    nlris = [ONE, TWO]
    batch, left = put(
        Change(None, a_path(A), nlris),
        Change(None, a_path(STRANGER, OTHER), [THREE]),
    )
    assert batch.reflected == {
        A: {TAIL_A: {BLOCK.octets: nlris}},
        None: {TAIL_STRANGER: {OTHER.octets: [THREE]}},
    }
    assert batch.reflected[A][TAIL_A][BLOCK.octets] is nlris
    assert left == []


def test_equal_blocks_of_a_source_go_out_together() -> None:
    batch, _ = put(
        Change(None, a_path(A), [ONE]),
        Change(None, a_path(B), [TWO]),
        Change(None, a_path(A), [THREE]),
    )
    assert batch.reflected == {
        A: {TAIL_A: {BLOCK.octets: [ONE, THREE]}},
        B: {TAIL_B: {BLOCK.octets: [TWO]}},
    }


@pytest.mark.parametrize(
    "before",
    [
        Change(a_path(A), same := a_path(A), [ONE]),
        Change(same, same, [ONE]),
        Change(a_path(A), None, [ONE]),
        Change(None, a_path(MUTE), [ONE]),
        Change(None, a_path(A, slow_twin(BLOCK)), [ONE]),
        Change(a_path(A, slow_twin(BLOCK)), a_path(A), [ONE]),
        Change(a_path(FOREIGN), a_path(STRANGER), [ONE]),
    ],
)
def test_no_change_hides_the_next_one(before: Change) -> None:
    batch, _ = put(before, Change(None, a_path(B), [TWO]))
    assert batch.reflected[B] == {TAIL_B: {BLOCK.octets: [TWO]}}


@pytest.mark.parametrize("attributes", [REFLECTED, LARGE])
def test_what_needs_a_splice_is_put_in_whole(attributes: PathAttributes) -> None:
    whole = reflect(slow_twin(attributes), ADDED[A])
    batch, left = put(
        Change(None, a_path(A, attributes), [ONE]),
        Change(None, a_path(A), [TWO]),
        Change(a_path(A), a_path(A, attributes), [THREE]),
    )
    assert batch.reflected == {
        A: {b"": {whole: [ONE, THREE]}, TAIL_A: {BLOCK.octets: [TWO]}}
    }
    assert left == []
    batch, left = put(Change(a_path(A, attributes), a_path(A), [ONE]))
    assert batch.reflected == {A: {TAIL_A: {BLOCK.octets: [ONE]}}}
    batch, left = put(Change(a_path(A, attributes), a_path(A, attributes), [ONE]))
    assert not batch
    assert left == []


def test_what_stays_the_same_outside_is_not_told() -> None:
    same = a_path(A)
    batch, left = put(
        Change(same, same, [ONE]),
        Change(a_path(A), a_path(A), [TWO]),
    )
    assert not batch
    assert left == []


def test_the_best_of_several_is_what_counts() -> None:
    best, worse = a_path(A), a_path(B)
    entry = PathSet((best, worse), best, DecisionContext(None, ()))  # type: ignore[arg-type]
    none = PathSet((best,), None, DecisionContext(None, ()))  # type: ignore[arg-type]
    batch, left = put(Change(entry, best, [ONE]), Change(best, entry, [ONE]))
    assert not batch
    assert left == []
    batch, left = put(Change(none, entry, [ONE]))
    assert batch.reflected == {A: {TAIL_A: {BLOCK.octets: [ONE]}}}
    gone = Change(entry, none, [ONE])
    batch, left = put(gone)
    assert not batch
    assert left == [gone]


def test_another_route_of_the_same_source_takes_its_place() -> None:
    batch, left = put(Change(a_path(A), a_path(A, OTHER), [ONE]))
    assert batch.reflected == {A: {TAIL_A: {OTHER.octets: [ONE]}}}
    assert not batch.private
    assert left == []


def test_a_member_whose_own_route_takes_over_withdraws_what_it_held() -> None:
    batch, left = put(Change(a_path(B), a_path(A), [ONE]))
    assert batch.reflected == {A: {TAIL_A: {BLOCK.octets: [ONE]}}}
    assert batch.private == {A: [ONE]}
    assert left == []


@pytest.mark.parametrize(
    "change",
    [
        Change(a_path(A), a_path(STRANGER), [ONE]),  # A itself held nothing
        Change(a_path(FOREIGN, OTHER), a_path(STRANGER), [ONE]),
    ],
)
def test_the_route_of_a_stranger_takes_over(change: Change) -> None:
    batch, left = put(change)
    assert batch.reflected == {None: {TAIL_STRANGER: {BLOCK.octets: [ONE]}}}
    assert not batch.private
    assert left == []


@pytest.mark.parametrize(
    "change",
    [
        Change(a_path(A), None, [ONE]),
        Change(None, a_path(A, slow_twin(BLOCK)), [ONE]),
        Change(None, a_path(A, slow_twin(REFLECTED)), [ONE]),
        Change(None, a_path(MUTE), [ONE]),
        Change(None, a_path(MUTE, REFLECTED), [ONE]),
        Change(a_path(A, slow_twin(BLOCK)), a_path(A), [ONE]),
        Change(a_path(A, slow_twin(BLOCK)), a_path(A, REFLECTED), [ONE]),
        Change(a_path(MUTE), a_path(A), [ONE]),  # no member held anything
        Change(a_path(EXTERNAL), a_path(A), [ONE]),  # A held it in another form
        Change(a_path(EXTERNAL, OTHER), a_path(STRANGER), [ONE]),
        Change(a_path(FOREIGN), a_path(STRANGER), [ONE]),  # nothing may differ outside
    ],
)
def test_all_else_is_left_to_the_long_way(change: Change) -> None:
    batch, left = put(change)
    assert not batch
    assert left == [change]


def test_what_is_left_does_not_end_what_follows() -> None:
    odd = Change(None, a_path(A, slow_twin(OTHER)), [ONE])
    gone = Change(a_path(A), None, [ONE])
    same = Change(a_path(A), a_path(A), [ONE])
    batch, left = put(odd, gone, same, Change(None, a_path(A), [TWO]))
    assert batch.reflected == {A: {TAIL_A: {BLOCK.octets: [TWO]}}}
    assert left == [odd, gone]
    path = a_path(A)
    batch, _ = put(Change(path, path, [ONE]), Change(None, path, [TWO]))
    assert batch.reflected == {A: {TAIL_A: {BLOCK.octets: [TWO]}}}
    mute = Change(None, a_path(MUTE), [ONE])
    batch, left = put(Change(None, a_path(A), [THREE]), mute, odd)
    assert batch.reflected == {A: {TAIL_A: {BLOCK.octets: [THREE]}}}
    assert left == [mute, odd]


def test_each_change_fares_as_it_does_alone() -> None:
    """Whatever came before it in the same batch, of its source or of another."""
    sides = [None, *(a_path(source) for source in (A, A, B, STRANGER, MUTE))]
    sides += [a_path(A, OTHER), a_path(A, slow_twin(BLOCK)), a_path(A, REFLECTED)]
    firsts, seconds = (
        [
            (change, *put(change))
            for change in (Change(*pair, [nlri]) for pair in product(sides, sides))
        ]
        for nlri in (ONE, TWO)
    )
    for (first, told, left), (second, also_told, also_left) in product(firsts, seconds):
        batch, rest = put(first, second)
        assert said_by(batch) == said_by(told) | said_by(also_told)
        assert rest == left + also_left


def said_by(batch: Batch) -> set[object]:
    told = {
        (source, tail, block, nlri)
        for source, by_tail in batch.reflected.items()
        for tail, by_block in by_tail.items()
        for block, some in by_block.items()
        for nlri in some
    }
    return told | {(source, n) for source, some in batch.private.items() for n in some}
