"""Malformed UPDATEs are kept within bounds, and no peer pushes out those of another."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bgpd.capture.ends import Ends
from bgpd.pipeline.update_errors import MalformedUpdates, PeerErrors
from bgpd.wire.framing import HEADER_LEN
from rib.errors import Problem, Remedy

FLAW = Problem(Remedy.TREAT_AS_WITHDRAW, "ORIGIN: length 3", 1)
MILD = Problem(Remedy.ATTRIBUTE_DISCARD, "AIGP: length 2", 26)


def ends(peer: str) -> Ends:
    return Ends("192.0.2.1", 179, peer, 40000, is_outgoing=False)


def kept_with(updates: int, octets: int = 1 << 20) -> MalformedUpdates:
    kept = MalformedUpdates(lambda: 7.0)
    kept.set_limits(updates, octets)
    return kept


def peers_of(kept: MalformedUpdates) -> Counter[str]:
    return Counter(each.peer for each in kept.all())


def test_problems_of_one_update_stand_together_and_the_strongest_names_it() -> None:
    kept, body = kept_with(10), bytes(40)
    kept.keep("a", ends("a"), [(MILD, body), (FLAW, body), (MILD, bytes(4))])
    first, second = kept.all()
    assert first.problems == (MILD, FLAW)
    assert first.worst is FLAW
    assert (first.body, first.at, first.peer) == (body, 7.0, "a")
    assert second.problems == (MILD,)
    assert second.number == first.number + 1


def test_a_peer_that_sends_nothing_else_pushes_out_only_its_own() -> None:
    kept = kept_with(10)
    for each in ("b", "c"):
        for number in range(3):
            kept.keep(each, ends(each), [(FLAW, bytes([number]))])
    for number in range(1000):
        kept.keep("a", ends("a"), [(FLAW, number.to_bytes(4))])
    assert peers_of(kept) == {"a": 4, "b": 3, "c": 3}
    newest = [each.body for each in kept.all() if each.peer == "a"]
    assert newest == [number.to_bytes(4) for number in range(996, 1000)]
    assert (kept.count, kept.dropped) == (10, 996)


def test_long_updates_push_out_those_of_the_peer_with_most_octets() -> None:
    kept = kept_with(100, 5000)
    for _ in range(20):
        kept.keep("b", ends("b"), [(FLAW, bytes(31))])
    for _ in range(9):
        kept.keep("a", ends("a"), [(FLAW, bytes(1981))])
    assert peers_of(kept) == {"a": 2, "b": 20}
    kept.keep("a", ends("a"), [(FLAW, bytes(6000))])  # longer than all there may be
    assert peers_of(kept) == {"a": 2, "b": 20}
    assert kept.octets == 2 * 2000 + 20 * 50


def test_none_are_kept_where_a_bound_is_0_but_all_are_counted() -> None:
    kept = MalformedUpdates()
    assert not kept.is_on
    errors = PeerErrors(kept)
    errors.note("a", [(FLAW, b"")])  # no session yet
    errors.ends = ends("a")
    errors.note("a", [(FLAW, b""), (FLAW, b"")])
    assert errors.count == 3
    assert kept.all() == []
    kept = kept_with(10)
    kept.keep("a", ends("a"), [(FLAW, b"\1"), (FLAW, b"\2")])
    kept.set_limits(1, 1000)
    assert [each.body for each in kept.all()] == [b"\2"]
    kept.set_limits(0, 1000)
    assert kept.all() == []


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 300)), max_size=60),
    st.integers(0, 12),
    st.integers(0, 2000),
)
def test_bounds_hold_and_the_figures_are_those_of_what_is_kept(
    sent: list[tuple[str, int]], updates: int, octets: int
) -> None:
    kept = kept_with(updates, octets)
    for peer, size in sent:
        kept.keep(peer, ends(peer), [(FLAW, bytes(size))])
        found = kept.all()
        assert len(found) == kept.count <= updates
        assert sum(HEADER_LEN + len(each.body) for each in found) == kept.octets
        assert kept.octets <= octets
    assert kept.count + kept.dropped == len(sent)
    numbers = [each.number for each in kept.all()]
    assert numbers == sorted(numbers)
