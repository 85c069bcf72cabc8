"""Limits of a peer's routes: what is kept out, what is let in later, what counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rib.adj_rib_in import SWEEP_SLICE, AdjRibIn
from rib.admission import Admission, divide
from rib.attributes import PathAttributes
from rib.destinations import MixedRun
from rib.family import IPV4_UNICAST
from rib.import_checks import FilterReason, ImportChecks
from rib.loc_rib import LocRib
from rib.long_lived import make_long_lived
from rib.next_hops import NextHopTable
from rib.path import SourceKind
from rib.path_set import members_of
from rib.policy import (
    ACCEPT_ALL,
    Match,
    Operator,
    Outcome,
    Policy,
    PolicySpec,
    Term,
    compile_policy,
    prefix_match,
)
from rib.reimport import reimport
from tests.support.routes import a_source, nlris, some_attributes
from tests.support.speakers import some_nlris

pytestmark = pytest.mark.usefixtures("either_twin")

ONE, TWO, THREE, FOUR = nlris(
    "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16"
)
GOOD = some_attributes(local_pref=100)
OTHER = some_attributes(local_pref=200)
LOOP = some_attributes("65001 64512")
LOW = prefix_match(Operator.IN, "10.0.0.0/15")  # ONE alone
REJECTS_LOW = PolicySpec(
    "p",
    (Term("low", Outcome.REJECT, Match(prefixes=LOW)),),
    accepts_unmatched=True,
)


class Peer:
    def __init__(
        self,
        most_accepted: int | None = None,
        most_received: int | None = None,
        policy: PolicySpec = ACCEPT_ALL,
    ) -> None:
        self.source = a_source("peer", SourceKind.IBGP, address="10.0.0.9", asn=65001)
        self.loc_rib = LocRib(IPV4_UNICAST)
        self.rib = AdjRibIn(
            self.source, self.loc_rib, self._rules(policy), NextHopTable()
        )
        self.rib.limit(most_accepted, most_received)

    def _rules(self, spec: PolicySpec) -> ImportChecks:
        policy = Policy(ACCEPT_ALL) if spec is ACCEPT_ALL else compile_policy(spec)
        return ImportChecks(policy, local_as=64512, router_id=1)

    def announce(
        self, attributes: PathAttributes, *prefixes: bytes, path_id: int = 0
    ) -> None:
        key = (attributes, path_id)
        outcome = self.rib.outcomes.known(key) or self.rib.outcomes.decide(
            key, attributes, path_id
        )
        self.rib.announce(outcome, list(prefixes), path_id)

    def announce_runs(self, attributes: PathAttributes, *runs: list[bytes]) -> None:
        outcome = self.rib.outcomes.known(attributes) or self.rib.outcomes.decide(
            attributes, attributes
        )
        paths, rest = [outcome for _ in runs], list(runs)
        self.rib.announce_all(paths, rest)  # type: ignore[arg-type]
        assert not paths
        assert not rest

    def accepted(self) -> list[bytes]:
        return sorted(self.loc_rib.table)

    def blocked(self) -> list[bytes]:
        found = [nlri for nlri, _ in self.rib.admission.blocked]
        for key in self.rib.admission.blocked:
            assert self.rib.filtered[key].refusal is FilterReason.LIMIT
        return found

    def let_in(self) -> None:
        for _ in self.rib.let_in_all_blocked():
            pass

    def sweep(self) -> None:
        for _ in self.rib.sweep_stale():
            pass


def test_nothing_is_limited_by_default() -> None:
    admission = Admission()
    assert not admission.is_limited
    assert admission.has_room(10**6, 10**6, 10**6)


class TestAcceptedRoutes:
    def test_routes_beyond_the_limit_are_filtered_with_that_reason(self) -> None:
        peer = Peer(2)
        peer.announce(GOOD, ONE, TWO, THREE)
        assert peer.accepted() == [ONE, TWO]
        assert peer.blocked() == [THREE]
        assert peer.rib.filtered[THREE, 0].detail == "2 are allowed"
        assert (peer.rib.fresh_count, peer.rib.received_count) == (2, 3)

    def test_as_many_as_are_allowed_get_in(self) -> None:
        peer = Peer(3)
        peer.announce(GOOD, ONE, TWO, THREE)
        assert peer.accepted() == [ONE, TWO, THREE]
        assert not peer.blocked()

    def test_runs_of_one_read_are_let_in_in_order(self) -> None:
        peer = Peer(3)
        peer.announce_runs(GOOD, [ONE, TWO], [THREE, FOUR])
        assert peer.accepted() == [ONE, TWO, THREE]
        assert peer.blocked() == [FOUR]

    def test_a_route_that_is_there_may_change(self) -> None:
        peer = Peer(1)
        peer.announce(GOOD, ONE)
        peer.announce(OTHER, ONE, TWO, ONE)
        [path] = members_of(peer.loc_rib.table[ONE])
        assert path.attributes == OTHER
        assert peer.blocked() == [TWO]

    def test_each_path_of_a_prefix_counts(self) -> None:
        peer = Peer(1)
        peer.announce(GOOD, ONE, path_id=1)
        peer.announce(GOOD, ONE, path_id=2)
        assert len(members_of(peer.loc_rib.table[ONE])) == 1
        assert list(peer.rib.admission.blocked) == [(ONE, 2)]

    def test_a_path_that_is_let_in_is_no_longer_filtered(self) -> None:
        peer = Peer(1)
        peer.announce(LOOP, ONE, path_id=2)
        peer.announce(GOOD, ONE, TWO, path_id=2)
        assert peer.accepted() == [ONE]
        assert list(peer.rib.filtered) == [(TWO, 2)]

    def test_what_policy_or_a_loop_check_filters_takes_no_room(self) -> None:
        peer = Peer(2, policy=REJECTS_LOW)
        peer.announce(LOOP, FOUR)
        peer.announce(GOOD, ONE, TWO, THREE)
        assert peer.accepted() == [TWO, THREE]
        assert not peer.blocked()
        peer.announce(GOOD, FOUR)
        assert peer.blocked() == [FOUR]

    def test_room_is_used_by_the_oldest_that_wait(self) -> None:
        peer = Peer(1)
        peer.announce(GOOD, ONE, TWO, THREE)
        assert not peer.rib.can_let_in
        peer.rib.withdraw([ONE])
        assert peer.rib.can_let_in
        peer.let_in()
        assert peer.accepted() == [TWO]
        assert peer.blocked() == [THREE]
        peer.rib.withdraw([THREE])
        assert not peer.blocked()

    def test_a_raised_limit_lets_in_as_many_as_it_allows(self) -> None:
        peer = Peer(1)
        peer.announce(GOOD, ONE, TWO, THREE, FOUR)
        peer.rib.limit(3, None)
        peer.let_in()
        assert peer.accepted() == [ONE, TWO, THREE]
        peer.rib.limit(None, None)
        peer.let_in()
        assert peer.accepted() == [ONE, TWO, THREE, FOUR]
        assert not peer.rib.filtered

    def test_they_are_let_in_a_slice_at_a_time(self) -> None:
        many = some_nlris(SWEEP_SLICE + 2)
        peer = Peer(1)
        peer.announce(GOOD, *many)
        peer.rib.limit(None, None)
        slices = [len(changes[0].nlris) for changes in peer.rib.let_in_all_blocked()]
        assert slices == [SWEEP_SLICE, 1]

    def test_a_lowered_limit_takes_nothing_away(self) -> None:
        peer = Peer(3)
        peer.announce(GOOD, ONE, TWO, THREE)
        peer.rib.limit(1, None)
        peer.announce(OTHER, ONE, FOUR)
        assert peer.accepted() == [ONE, TWO, THREE]
        assert peer.blocked() == [FOUR]

    def test_a_new_policy_lets_in_what_has_room_by_it(self) -> None:
        peer = Peer(2)
        peer.announce(GOOD, ONE, TWO, THREE)
        for _ in reimport(peer.rib, peer._rules(REJECTS_LOW)):
            pass
        assert peer.accepted() == [TWO, THREE]
        assert not peer.blocked()
        assert peer.rib.filtered[ONE, 0].refusal is FilterReason.POLICY


class TestReceivedRoutes:
    def test_those_beyond_the_limit_are_forgotten(self) -> None:
        peer = Peer(None, 2)
        peer.announce(LOOP, ONE)
        peer.announce(GOOD, TWO, THREE, FOUR)
        assert peer.accepted() == [TWO]
        assert list(peer.rib.filtered) == [(ONE, 0)]
        assert peer.rib.admission.forgotten_count == 2
        peer.announce(GOOD, ONE)
        assert peer.accepted() == [ONE, TWO]
        peer.announce(LOOP, TWO, THREE)
        assert list(peer.rib.filtered) == [(TWO, 0)]
        assert peer.rib.admission.forgotten_count == 3

    def test_both_limits_count_apart(self) -> None:
        peer = Peer(1, 3)
        peer.announce(GOOD, ONE, TWO)
        peer.announce(LOOP, THREE)
        assert (peer.accepted(), peer.blocked()) == ([ONE], [TWO])
        peer.announce(GOOD, FOUR)
        assert peer.rib.received_count == 3
        assert peer.rib.admission.forgotten_count == 1

    def test_no_limit_keeps_stale_routes_out_that_are_judged_again(self) -> None:
        peer = Peer()
        outcome = peer.rib.outcomes.decide(GOOD, GOOD)
        peer.rib.announce(outcome, MixedRun([ONE, TWO, *nlris("224.0.0.0/24")]))
        assert peer.rib.ignored  # so that prefixes are checked again, too
        peer.rib.make_stale()
        peer.rib.limit(1, None)
        peer.announce(GOOD, THREE)
        for _ in reimport(peer.rib, peer._rules(ACCEPT_ALL)):
            pass
        assert peer.accepted() == [ONE, TWO, THREE]
        assert not peer.blocked()

    def test_a_stale_route_that_is_announced_beyond_the_limit_is_gone(self) -> None:
        peer = Peer(None, 1)
        peer.announce(GOOD, ONE)
        peer.rib.make_stale()
        peer.announce(GOOD, TWO)
        peer.announce(GOOD, ONE)
        assert peer.accepted() == [TWO]
        assert peer.rib.stale_count == 0


class TestStaleRoutes:
    def test_they_count_for_no_limit(self) -> None:
        peer = Peer(2)
        peer.announce(GOOD, ONE, TWO)
        peer.rib.make_stale()
        assert (peer.rib.stale_count, peer.rib.fresh_count) == (2, 0)
        peer.announce(GOOD, THREE, FOUR)
        assert peer.accepted() == [ONE, TWO, THREE, FOUR]
        assert (peer.rib.stale_count, peer.rib.fresh_count) == (2, 2)
        peer.announce(GOOD, ONE)
        assert peer.blocked() == [ONE]
        assert peer.rib.stale_count == 1
        peer.sweep()
        assert peer.accepted() == [THREE, FOUR]
        assert peer.rib.stale_count == 0

    def test_they_are_judged_again_beside_a_full_limit(self) -> None:
        peer = Peer(1)
        peer.announce(GOOD, ONE)
        peer.rib.make_stale()
        peer.announce(GOOD, TWO)
        for _ in reimport(peer.rib, peer._rules(ACCEPT_ALL)):
            pass
        assert peer.accepted() == [ONE, TWO]
        assert (peer.rib.stale_count, peer.rib.fresh_count) == (1, 1)
        for _ in make_long_lived(peer.rib):
            pass
        assert (peer.rib.stale_count, peer.rib.fresh_count) == (1, 1)

    def test_what_waited_for_room_is_forgotten_with_its_session(self) -> None:
        peer = Peer(1)
        peer.announce(GOOD, ONE, TWO)
        peer.rib.make_stale()
        assert not peer.blocked()
        assert not peer.rib.can_let_in


@pytest.mark.parametrize(
    ("most_accepted", "most_received", "count", "has_room"),
    [
        (None, None, 9, True),
        (5, None, 2, True),
        (5, None, 3, False),
        (None, 7, 2, True),
        (None, 7, 3, False),
        (9, 7, 3, False),
        (5, 9, 3, False),
    ],
)
def test_room_is_what_both_limits_leave(
    most_accepted, most_received, count, has_room
) -> None:
    admission = Admission()
    admission.most_accepted, admission.most_received = most_accepted, most_received
    assert admission.has_room(3, 5, count) is has_room
    is_limited = (most_accepted, most_received) != (None, None)
    assert admission.is_limited is is_limited


def test_what_is_there_takes_no_room() -> None:
    assert divide([ONE, TWO, THREE], 1, lambda nlri: nlri == TWO) == (
        [ONE, TWO],
        [THREE],
    )
    assert divide([ONE], -1, lambda _: False) == ([], [ONE])


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ("accept", "accept", "loop", "withdraw", "lose", "sweep", "in")
        ),
        st.lists(st.integers(0, 11), min_size=1, max_size=6),
    ),
    max_size=30,
)
LIMITS = st.none() | st.integers(0, 8)
POOL = some_nlris(12)


@given(LIMITS, LIMITS, STEPS)
def test_counts_are_right_and_no_limit_is_passed(accepted, received, steps) -> None:
    peer = Peer(accepted, received)
    for step, numbers in steps:
        chosen = [POOL[number] for number in numbers]
        if step == "accept":
            peer.announce(GOOD, *chosen)
        elif step == "loop":
            peer.announce(LOOP, *chosen)
        elif step == "withdraw":
            peer.rib.withdraw(chosen)
        elif step == "lose":
            peer.rib.make_stale()
        elif step == "sweep":
            peer.sweep()
        else:
            peer.let_in()
            assert not peer.rib.can_let_in
        rib = peer.rib
        paths = [path for e in peer.loc_rib.table.values() for path in members_of(e)]
        fresh = sum(path.epoch == peer.source.epoch for path in paths)
        assert rib.fresh_count == fresh
        assert rib.stale_count == len(paths) - fresh
        assert accepted is None or fresh <= accepted
        assert received is None or fresh + len(rib.filtered) <= received
        assert rib.admission.blocked.keys() <= rib.filtered.keys()
        peer.blocked()
        for nlri, _ in rib.filtered:
            assert nlri not in peer.loc_rib.table
