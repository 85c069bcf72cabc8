"""Runs of a read, long-lived stale routes, and what a peer's table remembers of it."""

import pytest

from rib import outcome_memo
from rib.adj_rib_in import AdjRibIn
from rib.attributes import PathAttributes, make_attributes
from rib.attributes.communities import LLGR_STALE, NO_LLGR
from rib.family import IPV4_UNICAST
from rib.import_checks import FilteredRoute, FilterReason, ImportChecks
from rib.loc_rib import LocRib
from rib.long_lived import make_long_lived
from rib.next_hops import NextHopTable, Reachability
from rib.nlri import make_nlri
from rib.path import Path, SourceKind
from rib.path_set import Entry, members_of, paths_of
from rib.policy import (
    ACCEPT_ALL,
    Actions,
    Match,
    Operator,
    Outcome,
    PolicySpec,
    Term,
    compile_policy,
    prefix_match,
)
from tests.support.routes import a_path, a_source, nlris, some_attributes

pytestmark = pytest.mark.usefixtures("either_twin")

ONE, TWO, THREE = nlris("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
GOOD = some_attributes(local_pref=100)
OTHER = some_attributes(local_pref=200)
LOOP = some_attributes("65001 64512")
OWN = bytes((192, 0, 2, 9))
LOW = prefix_match(Operator.IN, "10.0.0.0/15")


def rules(spec: PolicySpec = ACCEPT_ALL, **options) -> ImportChecks:
    return ImportChecks(compile_policy(spec), local_as=64512, router_id=1, **options)


def spec(*terms: Term) -> PolicySpec:
    return PolicySpec("p", terms, accepts_unmatched=True)


def attributes_of(entry: Entry | None) -> PathAttributes:
    assert isinstance(entry, Path)
    return entry.attributes


class Peer:
    def __init__(
        self, some: ImportChecks | None = None, kind: SourceKind = SourceKind.IBGP
    ) -> None:
        self.source = a_source("peer", kind, address="10.0.0.9", asn=65001, weight=4)
        self.loc_rib = LocRib(IPV4_UNICAST)
        self.hops = NextHopTable()
        self.rib = AdjRibIn(self.source, self.loc_rib, some or rules(), self.hops)

    def decide(self, attributes: PathAttributes, path_id: int = 0):
        return self.rib.outcomes.decide((attributes, path_id), attributes, path_id)

    def announce(self, attributes, *prefixes: bytes, path_id: int = 0):
        outcome = self.decide(attributes, path_id)
        return self.rib.announce(outcome, list(prefixes), path_id)

    def paths(self, nlri: bytes) -> tuple[Path, ...]:
        return paths_of(self.loc_rib.table.get(nlri))


class TestLearning:
    def test_a_block_is_judged_once(self) -> None:
        peer = Peer()
        assert peer.rib.outcomes.known((GOOD, 0)) is None
        path = peer.decide(GOOD)
        assert peer.rib.outcomes.known((GOOD, 0)) is path
        assert isinstance(path, Path)
        assert (path.source, path.attributes, path.received) == (
            peer.source,
            GOOD,
            GOOD,
        )
        assert path.next_hop is peer.hops.get(GOOD.next_hop)
        assert (path.path_id, path.weight, path.epoch) == (0, 4, 0)
        assert peer.decide(GOOD, 7).path_id == 7

    def test_the_octets_of_a_next_hop_are_kept_once(self) -> None:
        peer = Peer()
        address = peer.hops.get(GOOD.next_hop).address
        fresh = some_attributes(local_pref=100)
        assert peer.decide(fresh).next_hop.address is address

    @pytest.mark.parametrize("kind", [SourceKind.IBGP, SourceKind.EBGP])
    @pytest.mark.parametrize(
        ("attributes", "refusal"),
        [
            (LOOP, FilterReason.OWN_AS),
            (some_attributes(next_hop="192.0.2.9"), FilterReason.OWN_NEXT_HOP),
        ],
    )
    def test_loops_are_filtered(self, attributes, refusal, kind) -> None:
        peer = Peer(rules(own_addresses=frozenset({OWN})), kind)
        for _ in range(2):  # also once its next hop is known
            outcome = peer.decide(attributes)
            assert isinstance(outcome, FilteredRoute)
            assert outcome.refusal is refusal
            peer.hops.get(OWN)

    def test_numbers_that_only_look_like_our_as_do_no_harm(self) -> None:
        peer = Peer()
        innocent = some_attributes("65001", med=64512)
        assert isinstance(peer.decide(innocent), Path)

    def test_a_policy_may_change_what_goes_in(self) -> None:
        acts = Actions(local_pref=7, weight=9, next_hop=OWN)
        peer = Peer(rules(spec(Term("t", Outcome.ACCEPT, actions=acts))))
        path = peer.decide(GOOD, 3)
        assert path.attributes.local_pref == 7
        assert path.next_hop is peer.hops.get(OWN)
        assert path.received is GOOD
        assert (path.weight, path.path_id) == (9, 3)

    def test_a_policy_may_look_at_the_way_out(self) -> None:
        outs = spec(Term("t", Outcome.REJECT, Match(interface="eth*")))
        for interface, expected in (("eth0", FilteredRoute), ("lo", Path)):
            peer = Peer(rules(outs))
            peer.hops.get(GOOD.next_hop)
            peer.hops.apply(
                [Reachability(GOOD.next_hop, is_reachable=True, interface=interface)]
            )
            assert isinstance(peer.decide(GOOD), expected)
        per_prefix = spec(
            Term("t", Outcome.REJECT, Match(prefixes=LOW, interface="eth*"))
        )
        peer = Peer(rules(per_prefix))
        peer.hops.get(GOOD.next_hop)
        peer.hops.apply(
            [Reachability(GOOD.next_hop, is_reachable=True, interface="eth0")]
        )
        peer.announce(GOOD, ONE, TWO)
        assert set(peer.rib.filtered) == {(ONE, 0)}

    def test_roles_and_other_families_take_the_same_way(self) -> None:
        peer = Peer(rules(role="customer"), SourceKind.EBGP)
        assert peer.decide(GOOD).attributes.otc == 65001
        hop = bytes.fromhex("20010db8") + bytes(11) + b"\1"
        ipv6 = make_attributes(next_hop=hop, local_pref=100)
        path = Peer().decide(ipv6)
        assert path.attributes is ipv6
        assert path.next_hop.address == hop

    def test_a_policy_that_looks_at_prefixes_judges_each_path(self) -> None:
        peer = Peer(rules(spec(Term("t", Outcome.REJECT, Match(prefixes=LOW)))))
        peer.announce(GOOD, ONE, TWO, path_id=5)
        assert set(peer.rib.filtered) == {(ONE, 5)}
        assert [path.path_id for path in peer.paths(TWO)] == [5]
        acts = Actions(local_pref=7)
        peer = Peer(rules(spec(Term("t", Outcome.ACCEPT, Match(prefixes=LOW), acts))))
        changes = peer.announce(GOOD, ONE, TWO)
        assert sorted(nlri for change in changes for nlri in change.nlris) == [ONE, TWO]


class TestRuns:
    def test_they_are_taken_in_and_the_lists_emptied(self) -> None:
        peer = Peer()
        paths, runs = [peer.decide(GOOD), peer.decide(OTHER)], [[ONE, TWO], [THREE]]
        changes = peer.rib.announce_all(paths, runs)
        assert [(attributes_of(c.new), c.nlris) for c in changes] == [
            (GOOD, [ONE, TWO]),
            (OTHER, [THREE]),
        ]
        assert paths == runs == []
        assert peer.rib.announce_all([], []) == []
        assert sorted(peer.rib.own_nlris()) == [ONE, TWO, THREE]

    def test_a_filtered_route_can_be_accepted_later(self) -> None:
        peer = Peer()
        peer.announce(LOOP, ONE, TWO, THREE)
        peer.announce(LOOP, ONE, path_id=1)
        peer.rib.announce_all([peer.decide(GOOD)], [[ONE, TWO]])
        assert set(peer.rib.filtered) == {(THREE, 0), (ONE, 1)}
        peer.rib.withdraw([THREE])
        assert set(peer.rib.filtered) == {(ONE, 1)}
        peer.announce(GOOD, ONE, path_id=1)
        assert not peer.rib.filtered

    def test_which_prefixes_are_its_own_is_known_of_a_small_peer(self) -> None:
        many = [make_nlri((n << 8).to_bytes(4, "big"), 24) for n in range(65537)]
        for is_run in (True, False):
            peer = Peer()
            path = peer.decide(GOOD)
            for some in (many[:65536], many[65536:]):
                if is_run:
                    peer.rib.announce_all([path], [some])
                else:
                    peer.rib.announce(path, some)
                is_known = peer.rib._index is not None
                assert is_known == (some[0] == many[0])
            peer.loc_rib.announce([ONE], a_path(source=a_source("other")))
            assert sorted(peer.rib.own_nlris()) == many
            peer.rib.withdraw(many[1:])
            assert peer.rib.own_nlris() == many[:1]
            peer.rib.announce_all([path], [[TWO]])
            assert set(peer.rib.own_nlris()) == {many[0], TWO}

    def test_filtered_routes_count_as_received(self) -> None:
        peer = Peer()
        peer.announce(GOOD, ONE, TWO)
        peer.announce(LOOP, THREE)
        assert peer.rib.accepted_count == 2
        assert peer.rib.received_count == 3
        peer.announce(LOOP, TWO)
        assert peer.rib.accepted_count == 1
        assert peer.rib.received_count == 3


class TestLongLivedRoutes:
    """RFC 9494 4.2, at the end of the restart time."""

    def stale(self) -> Peer:
        peer = Peer()
        peer.announce(GOOD, ONE, TWO)
        peer.announce(some_attributes(communities=(NO_LLGR,)), THREE)
        peer.rib.make_stale()
        return peer

    @pytest.mark.rfc("9494", "4.2", "MUST")
    def test_stale_routes_are_marked_or_go(self) -> None:
        peer = self.stale()
        (changes,) = make_long_lived(peer.rib)
        assert {frozenset(c.nlris) for c in changes} == {
            frozenset({ONE, TWO}),
            frozenset({THREE}),
        }
        (path,) = peer.paths(ONE)
        assert path.attributes.communities == (LLGR_STALE,)
        assert path.received is GOOD
        assert (path.epoch, path.weight, path.path_id) == (0, 4, 0)
        assert peer.loc_rib.table[ONE] is peer.loc_rib.table[TWO]
        assert peer.paths(THREE) == ()
        for some in peer.rib.sweep_stale():
            assert some
        assert not peer.loc_rib.table

    @pytest.mark.rfc("9494", "4.2", "MUST")
    def test_a_route_that_came_again_is_not_stale(self) -> None:
        peer = self.stale()
        peer.announce(GOOD, ONE)
        other = a_path(source=a_source("other"))
        peer.loc_rib.announce([TWO], other)
        list(make_long_lived(peer.rib))
        (path,) = peer.paths(ONE)
        assert path.attributes is GOOD
        assert other in members_of(peer.loc_rib.table[TWO])
        assert {p.attributes.communities for p in peer.paths(TWO)} == {
            (),
            (LLGR_STALE,),
        }

    def test_every_change_of_a_batch_is_returned(self) -> None:
        peer = Peer(rules(spec(Term("t", Outcome.ACCEPT, actions=Actions(weight=9)))))
        for nlri, attributes in ((ONE, GOOD), (TWO, OTHER)):
            peer.announce(attributes, nlri)
        peer.rib.make_stale()
        (changes,) = make_long_lived(peer.rib)
        assert {nlri for change in changes for nlri in change.nlris} == {ONE, TWO}
        assert [path.weight for path in peer.paths(ONE)] == [9]

    def test_each_of_a_peer_s_paths_is_marked(self) -> None:
        peer = Peer()
        no = some_attributes(communities=(NO_LLGR,), local_pref=1)
        peer.announce(GOOD, ONE, path_id=1)
        peer.announce(no, ONE, path_id=2)
        peer.rib.make_stale()
        list(make_long_lived(peer.rib))
        (path,) = peer.paths(ONE)
        assert path.path_id == 1
        assert path.attributes.communities == (LLGR_STALE,)


class TestSweeping:
    def test_only_the_peer_s_own_prefixes_are_visited(self) -> None:
        many = [make_nlri((n << 8).to_bytes(4, "big"), 24) for n in range(20_000)]
        peer = Peer()
        peer.loc_rib.announce(many, a_path(source=a_source("other")))
        peer.announce(GOOD, ONE)
        peer.rib.make_stale()
        assert len(list(peer.rib.sweep_stale())) == 1
        assert peer.paths(ONE) == ()

    def test_what_became_stale_later_waits(self) -> None:
        peer = Peer()
        peer.announce(GOOD, ONE)
        peer.rib.make_stale()
        peer.announce(GOOD, TWO)
        peer.rib.make_stale()
        list(peer.rib.sweep_stale(1))
        assert set(peer.loc_rib.table) == {TWO}


class TestRemembering:
    def test_outcomes_that_nothing_has_are_forgotten(self, monkeypatch) -> None:
        monkeypatch.setattr(outcome_memo, "ROOM", 0)
        peer = Peer()
        for med in range(1100):
            peer.announce(some_attributes(med=med), ONE)
        assert peer.rib.outcomes.is_sweep_due
        assert sum(peer.rib.outcomes.sweep_unused()) == 1099
        assert not peer.rib.outcomes.is_sweep_due
        assert list(peer.rib.outcomes.sweep_unused()) == []

    def test_sessions_share_the_room_for_outcomes_that_nothing_has(
        self, monkeypatch
    ) -> None:
        monkeypatch.setattr(outcome_memo, "ROOM", 3000)
        peer = Peer()
        for med in range(1500):
            peer.announce(some_attributes(med=med), ONE)
        assert not peer.rib.outcomes.is_sweep_due
        peer.loc_rib.announce([TWO], a_path(source=a_source("another")))
        assert peer.rib.outcomes.is_sweep_due

    def test_a_block_is_judged_again_after_it_became_stale(self) -> None:
        peer = Peer()
        before = peer.decide(GOOD)
        peer.rib.make_stale()
        assert peer.rib.outcomes.known((GOOD, 0)) is None
        after = peer.decide(GOOD)
        assert (before.epoch, after.epoch) == (0, 1)
