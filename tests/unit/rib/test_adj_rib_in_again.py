"""What a peer's table says of each change, in which slices, and what it keeps in mind."""

from functools import partial

import pytest

from rib.adj_rib_in import SWEEP_SLICE, AdjRibIn
from rib.attributes import PathAttributes, make_attributes
from rib.attributes.communities import LLGR_STALE, NO_LLGR
from rib.change import Change
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.import_checks import FilteredRoute, FilterReason, ImportChecks
from rib.loc_rib import LocRib
from rib.long_lived import make_long_lived
from rib.next_hops import NextHopTable
from rib.nlri import make_nlri
from rib.path import Path, SourceKind
from rib.path_set import Entry, members_of
from rib.policy import (
    ACCEPT_ALL,
    Actions,
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
from tests.support.calls import count_calls
from tests.support.routes import a_path, a_source, nlris, some_attributes

pytestmark = pytest.mark.usefixtures("either_twin")

ONE, TWO, THREE, FOUR = nlris(
    "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16"
)
GOOD = some_attributes(local_pref=100)
OTHER = some_attributes(local_pref=200)
LOOP = some_attributes("65001 64512")
LOW = prefix_match(Operator.IN, "10.0.0.0/15")  # ONE, but not the others


def rules(*terms: Term, **options) -> ImportChecks:
    spec = PolicySpec("p", terms, accepts_unmatched=True) if terms else ACCEPT_ALL
    policy = compile_policy(spec) if terms else Policy(spec)
    return ImportChecks(policy, local_as=64512, router_id=1, **options)


REJECTS_ALL = Term("no", Outcome.REJECT)
REJECTS_LOW = Term("low", Outcome.REJECT, Match(prefixes=LOW))
RAISES_LOW = Term("low", Outcome.ACCEPT, Match(prefixes=LOW), Actions(local_pref=7))


def many(count: int) -> list[bytes]:
    return [make_nlri((n << 8).to_bytes(4, "big"), 24) for n in range(count)]


class Peer:
    """A peer's table, and what those who follow its changes know."""

    def __init__(
        self, some: ImportChecks | None = None, family: Family = IPV4_UNICAST
    ) -> None:
        self.source = a_source("peer", address="10.0.0.9", asn=65001, weight=4)
        self.loc_rib = LocRib(family)
        self.rib = AdjRibIn(self.source, self.loc_rib, some or rules(), NextHopTable())
        self.followed: dict[bytes, Entry] = {}

    def follow(self, changes: list[Change]) -> list[bytes]:
        """Take changes in, each of which must be true; return their prefixes."""
        for old, new, some in changes:
            for nlri in some:
                assert self.followed.pop(nlri, None) is old
                if new is not None:
                    self.followed[nlri] = new
        return [nlri for change in changes for nlri in change.nlris]

    def announce(
        self, attributes: PathAttributes, *some: bytes, path_id: int = 0
    ) -> list[bytes]:
        outcome = self.rib.outcomes.decide((attributes, path_id), attributes, path_id)
        return self.follow(self.rib.announce(outcome, some, path_id))

    def path(self, attributes: PathAttributes) -> Path:
        outcome = self.rib.outcomes.decide((attributes, 0), attributes)
        assert isinstance(outcome, Path)
        return outcome

    def withdraw(self, *some: bytes, path_id: int = 0) -> list[bytes]:
        return self.follow(self.rib.withdraw(some, path_id))

    def judge_again(self, some: ImportChecks) -> list[list[bytes]]:
        return [self.follow(changes) for changes in reimport(self.rib, some)]

    def paths(self, nlri: bytes) -> dict[int, PathAttributes]:
        entry = self.loc_rib.table.get(nlri)
        return {path.path_id: path.attributes for path in members_of(entry)}


class TestReturnedChanges:
    def test_of_a_batch_that_a_policy_divides(self) -> None:
        for term in (REJECTS_LOW, RAISES_LOW):
            peer = Peer(rules(term))
            peer.loc_rib.announce([ONE], a_path(source=peer.source))
            peer.followed = dict(peer.loc_rib.table)
            assert {*peer.announce(GOOD, ONE, TWO, THREE)} == {ONE, TWO, THREE}
            assert peer.followed == peer.loc_rib.table

    def test_of_each_of_a_peer_s_paths(self) -> None:
        """A path that is refused takes its own place, and no other's."""
        for some in (rules(REJECTS_LOW), rules(RAISES_LOW)):
            peer = Peer(some)
            assert peer.announce(GOOD, ONE, TWO, path_id=5)
            assert {*peer.paths(TWO)} == {5}
            assert {*peer.rib.filtered} <= {(ONE, 5)}
        peer = Peer()
        for path_id in (0, 5):
            peer.announce(GOOD, ONE, path_id=path_id)
        assert peer.announce(LOOP, ONE, path_id=5) == [ONE]
        assert peer.paths(ONE) == {0: GOOD}
        assert {*peer.rib.filtered} == {(ONE, 5)}
        assert peer.followed == peer.loc_rib.table

    def test_of_all_that_was_received_when_the_rules_change(self) -> None:
        """Whatever its attributes, its identifier, and what became of it before."""
        peer = Peer(rules(REJECTS_LOW))
        peer.announce(GOOD, ONE, TWO, path_id=1)
        peer.announce(OTHER, ONE, TWO, path_id=2)
        peer.announce(LOOP, THREE)
        peer.announce(OTHER, FOUR)
        assert {*peer.rib.filtered} == {(ONE, 1), (ONE, 2), (THREE, 0)}
        peer.judge_again(rules(REJECTS_ALL))
        assert peer.followed == peer.loc_rib.table == {}
        assert {*peer.rib.filtered} == {
            *((nlri, path_id) for nlri in (ONE, TWO) for path_id in (1, 2)),
            (THREE, 0),
            (FOUR, 0),
        }
        peer.judge_again(rules(RAISES_LOW))
        assert peer.followed == peer.loc_rib.table
        assert {*peer.rib.filtered} == {(THREE, 0)}
        assert peer.paths(TWO) == {1: GOOD, 2: OTHER}
        assert {i: a.local_pref for i, a in peer.paths(ONE).items()} == {1: 7, 2: 7}
        assert peer.paths(FOUR) == {0: OTHER}
        peer.judge_again(rules())
        assert peer.paths(ONE) == {1: GOOD, 2: OTHER}

    @pytest.mark.rfc("7313", "4", "MUST")
    @pytest.mark.parametrize("term", [REJECTS_ALL, REJECTS_LOW])
    def test_of_what_is_stale_when_the_rules_change(self, term: Term) -> None:
        """It stays stale, or goes for good: no peer tells it once more."""
        peer = Peer()
        for path_id in (0, 5):
            peer.announce(GOOD, ONE, TWO, path_id=path_id)
        peer.rib.make_stale()
        peer.announce(OTHER, ONE, TWO)
        peer.judge_again(rules(term))
        assert peer.followed == peer.loc_rib.table
        assert {*peer.rib.filtered} == {
            (nlri, 0) for nlri in (ONE, TWO) if nlri not in peer.followed
        }
        peer.judge_again(rules())
        assert peer.paths(ONE) == {0: OTHER}
        assert peer.paths(TWO) == (
            {0: OTHER} if term is REJECTS_ALL else {0: OTHER, 5: GOOD}
        )

    def test_of_all_that_becomes_long_lived(self) -> None:
        peer = Peer()
        peer.announce(GOOD, ONE)
        peer.announce(OTHER, TWO)
        peer.announce(some_attributes(communities=(NO_LLGR,)), THREE)
        peer.announce(some_attributes(communities=(NO_LLGR,), med=1), FOUR)
        peer.rib.make_stale()
        (changes,) = make_long_lived(peer.rib)
        assert {*peer.follow(changes)} == {ONE, TWO, THREE, FOUR}
        assert peer.followed == peer.loc_rib.table
        assert {*peer.followed} == {ONE, TWO}

    def test_why_a_route_is_filtered(self) -> None:
        for term in (REJECTS_ALL, REJECTS_LOW):
            peer = Peer(rules(term))
            peer.announce(GOOD, ONE)
            filtered = peer.rib.filtered[ONE, 0]
            assert filtered == FilteredRoute(GOOD, FilterReason.POLICY, term.name)

    @pytest.mark.parametrize("family", [IPV4_UNICAST, IPV6_UNICAST])
    def test_by_a_policy_that_looks_at_the_family(self, family: Family) -> None:
        match = Match(family=IPV6_UNICAST)
        peer = Peer(rules(Term("no", Outcome.REJECT, match)), family)
        outcome = peer.rib.outcomes.decide(1, GOOD)
        assert isinstance(outcome, Path) == (family == IPV4_UNICAST)


class TestSlices:
    """Work is done in slices of about equal size; none holds up the loop."""

    @pytest.mark.parametrize(
        ("sizes", "expected"),
        [
            # An attribute set costs as much as 32 prefixes, a slice is 8192.
            ([32] * 256, [128 * 32] * 2),
            ([31] + [32] * 256, [31 + 128 * 32, 128 * 32]),
            ([32] * 128 + [31] + [32] * 128, [128 * 32, 31 + 128 * 32]),
            ([32] * 130, [128 * 32, 2 * 32]),
            ([1] * 500, [249, 249, 2]),
            ([SWEEP_SLICE * 2 + 1], [SWEEP_SLICE, SWEEP_SLICE, 1]),
        ],
        ids=["even", "one less", "one less later", "rest", "sets of one", "one set"],
    )
    def test_of_judging_again(self, sizes: list[int], expected: list[int]) -> None:
        peer, prefixes = Peer(rules(REJECTS_ALL)), iter(many(sum(sizes)))
        for med, size in enumerate(sizes):
            some = [next(prefixes) for _ in range(size)]
            assert peer.announce(some_attributes(med=med), *some) == []
        slices = peer.judge_again(rules())
        assert [len(some) for some in slices] == expected
        assert peer.followed == peer.loc_rib.table
        assert len(peer.followed) == sum(sizes)
        assert not peer.rib.filtered

    def test_without_messages_there_is_no_last_slice(self) -> None:
        peer = Peer()
        peer.announce(GOOD, ONE)
        peer.announce(LOOP, TWO)
        peer.judge_again(rules(REJECTS_ALL))
        assert peer.judge_again(rules(REJECTS_ALL, REJECTS_LOW)) == []

    @pytest.mark.parametrize("path_id", [0, 7])
    def test_a_peer_of_few_is_swept_by_what_it_has(self, path_id: int) -> None:
        """What it withdrew, or lost in a sweep, is no more looked at."""
        some = many(SWEEP_SLICE + 2)
        peer = Peer()
        peer.loc_rib.announce(some, a_path(source=a_source("other")))
        peer.followed = dict(peer.loc_rib.table)
        peer.announce(GOOD, *some, path_id=path_id)
        assert len(list(peer.rib.sweep_stale())) == 2
        peer.withdraw(*some[:2], path_id=path_id)
        # With identifiers, a prefix may have more paths than the one that went.
        assert len(list(peer.rib.sweep_stale())) == (2 if path_id else 1)
        peer.announce(GOOD, *some[:2], path_id=path_id)
        peer.rib.make_stale()
        peer.announce(GOOD, *some[:SWEEP_SLICE], path_id=path_id)
        swept = [len(peer.follow(changes)) for changes in peer.rib.sweep_stale()]
        assert sum(swept) == 2
        assert len(list(peer.rib.sweep_stale())) == (2 if path_id else 1)
        assert peer.followed == peer.loc_rib.table
        assert {*peer.rib.own_nlris()} == {*some[:SWEEP_SLICE]}

    def test_a_path_whose_identifier_is_zero_is_swept_as_any_other(self) -> None:
        """Also where another one of its prefix was withdrawn that never came."""
        peer = Peer()
        peer.announce(GOOD, ONE)
        assert peer.withdraw(ONE, path_id=1) == []
        assert peer.rib.own_nlris() == [ONE]
        peer.rib.make_stale()
        for changes in peer.rib.sweep_stale():
            peer.follow(changes)
        assert peer.followed == peer.loc_rib.table == {}

    def test_whose_prefixes_are_few_among_many_are_known(self) -> None:
        some = many(3 * SWEEP_SLICE)
        peer, alone = Peer(), Peer()
        peer.loc_rib.announce(some[1:-1], a_path(source=a_source("other")))
        costs = set()
        for each in (peer, alone):
            each.announce(GOOD, some[-1], some[0])
            assert {*each.rib.own_nlris()} == {some[0], some[-1]}
            costs.add(count_calls(each.rib.own_nlris))
        assert len(costs) == 1
        peer.rib.make_stale()
        assert len(list(make_long_lived(peer.rib))) == 1
        assert len(list(peer.rib.sweep_stale())) == 1


class TestMemory:
    def test_an_identifier_is_none_unless_it_is_given(self) -> None:
        outcome = Peer().rib.outcomes.decide(1, GOOD)
        assert isinstance(outcome, Path)
        assert outcome.path_id == 0

    def test_outcomes_of_large_blocks_are_looked_through_sooner(self) -> None:
        peer = Peer()
        assert peer.rib.outcomes.octets_received == 0
        for number in range(2):
            peer.announce(some_attributes(med=number), ONE)
        peer.rib.outcomes.octets_received = 4096 * (1024 + 2)
        assert not peer.rib.outcomes.is_sweep_due
        assert peer.rib.outcomes.sweep_unused() == ()
        peer.rib.outcomes.octets_received += 1
        assert peer.rib.outcomes.is_sweep_due
        assert sum(peer.rib.outcomes.sweep_unused()) == 1  # what ONE had first
        peer.rib.outcomes.octets_received += 4096 * (1024 + 1)
        assert not peer.rib.outcomes.is_sweep_due
        peer.rib.outcomes.octets_received += 1
        assert peer.rib.outcomes.is_sweep_due


@pytest.mark.rfc("9494", "4.2", "MUST")
class TestLongLivedRoutes:
    """What lives long is marked until it goes, whatever rules come meanwhile."""

    RULES = (
        rules(),
        rules(Term("all", Outcome.NEXT, Match(), Actions(med=9))),
        rules(Term("low", Outcome.NEXT, Match(prefixes=LOW), Actions(med=9))),
    )

    @pytest.mark.parametrize("some", RULES)
    def test_new_rules_leave_the_mark(self, some: ImportChecks) -> None:
        peer = Peer()
        peer.announce(GOOD, ONE, TWO)
        peer.announce(OTHER, ONE, path_id=5)
        peer.rib.make_stale()
        for changes in make_long_lived(peer.rib):
            peer.follow(changes)
        peer.announce(GOOD, TWO)  # here again: it is as any other
        peer.announce(GOOD, ONE, path_id=6)
        peer.rib.make_stale()  # and stale again, but not yet for long
        peer.announce(GOOD, THREE)
        for each in (some, rules()):
            peer.judge_again(each)
            assert peer.followed == peer.loc_rib.table
            marks = {
                (nlri, path_id): attributes.communities
                for nlri in (ONE, TWO, THREE)
                for path_id, attributes in peer.paths(nlri).items()
            }
            assert marks == {
                (ONE, 0): (LLGR_STALE,),
                (ONE, 5): (LLGR_STALE,),
                (ONE, 6): (),
                (TWO, 0): (),
                (THREE, 0): (),
            }
        for changes in peer.rib.sweep_stale():
            peer.follow(changes)
        assert {*peer.followed} == {THREE}

    def test_a_mark_that_the_peer_made_is_its_own(self) -> None:
        """A policy may take it away: the route is then a stale one of another speaker."""
        peer = Peer()
        peer.announce(some_attributes(communities=(LLGR_STALE,)), ONE)
        peer.rib.make_stale()
        removes = Actions(remove_communities=frozenset({LLGR_STALE}))
        peer.judge_again(rules(Term("t", Outcome.ACCEPT, Match(), removes)))
        assert peer.paths(ONE)[0].communities == ()

    def test_they_go_where_a_new_rule_forbids_it(self) -> None:
        peer = Peer()
        peer.announce(GOOD, ONE, TWO)
        peer.rib.make_stale()
        for changes in make_long_lived(peer.rib):
            peer.follow(changes)
        forbids = Actions(add_communities=(NO_LLGR,))
        term = Term("low", Outcome.ACCEPT, Match(prefixes=LOW), forbids)
        peer.judge_again(rules(term))
        assert {*peer.followed} == {TWO}
        assert peer.followed == peer.loc_rib.table

    def test_they_keep_their_weight(self) -> None:
        """Also one that the source's own has replaced since."""
        peer = Peer()
        peer.announce(GOOD, ONE)
        peer.rib.make_stale()
        peer.source.weight = 9
        for changes in make_long_lived(peer.rib):
            peer.follow(changes)
        (path,) = members_of(peer.loc_rib.table[ONE])
        assert path.weight == 4


class TestLimits:
    """What limits keep out and let in is reported exactly, in the order of waiting."""

    def test_a_limit_that_is_far_costs_no_run_its_own_way(self) -> None:
        costs = set()
        for count in (2, 20):
            peer = Peer()
            peer.rib.limit(100, 100)
            paths, runs = [peer.path(GOOD)] * count, [[nlri] for nlri in many(count)]
            costs.add(count_calls(partial(peer.rib.announce_all, paths, runs)))
            assert peer.rib.accepted_count == count
        assert len(costs) == 1

    def test_a_path_for_each_run(self) -> None:
        peer = Peer()
        peer.rib.limit(0, None)
        path = peer.path(GOOD)
        with pytest.raises(ValueError, match="zip"):
            peer.rib.announce_all([path, path], [[ONE]])

    @pytest.mark.parametrize("some", [rules(RAISES_LOW), rules()])
    def test_of_no_stale_route(self, some: ImportChecks) -> None:
        """It is none of what the peer has announced on its present session."""
        peer = Peer()
        peer.announce(GOOD, ONE, TWO)
        peer.rib.make_stale()
        peer.rib.limit(0, 0)
        peer.judge_again(some)
        assert {*peer.followed} == {ONE, TWO}
        assert peer.followed == peer.loc_rib.table
        assert peer.rib.stale_count == 2

    @pytest.mark.parametrize("path_id", [0, 5])
    def test_what_is_forgotten_takes_its_stale_route_with_it(
        self, path_id: int
    ) -> None:
        peer = Peer()
        peer.announce(GOOD, ONE, TWO, path_id=path_id)
        peer.announce(GOOD, ONE, path_id=7)
        peer.rib.make_stale()
        peer.rib.limit(0, 1)
        # One of them is received and kept out, the other one forgotten.
        assert {*peer.announce(OTHER, ONE, TWO, path_id=path_id)} == {ONE, TWO}
        assert peer.followed == peer.loc_rib.table
        assert (peer.paths(ONE), peer.paths(TWO)) == ({7: GOOD}, {})
        assert {*peer.rib.filtered} == {(ONE, path_id)}
        assert peer.rib.admission.forgotten_count == 1
        assert peer.rib.stale_count == 1

    def test_the_route_that_waits_longest_is_let_in_first(self) -> None:
        peer = Peer()
        peer.announce(GOOD, FOUR)
        peer.rib.limit(1, None)
        waiting = [(ONE, GOOD, 0), (TWO, OTHER, 5), (THREE, GOOD, 0)]
        for nlri, attributes, path_id in waiting:
            assert peer.announce(attributes, nlri, path_id=path_id) == []
        assert peer.rib.let_in_blocked() == []
        assert [*peer.rib.admission.blocked] == [(ONE, 0), (TWO, 5), (THREE, 0)]
        peer.rib.limit(2, None)
        assert peer.follow(peer.rib.let_in_blocked()) == [ONE]
        assert [*peer.rib.admission.blocked] == [(TWO, 5), (THREE, 0)]
        peer.rib.limit(None, None)
        assert {*peer.follow(peer.rib.let_in_blocked())} == {TWO, THREE}
        assert peer.followed == peer.loc_rib.table
        assert (peer.paths(ONE), peer.paths(TWO)) == ({0: GOOD}, {5: OTHER})
        assert not peer.rib.filtered


@pytest.mark.parametrize("kind", [SourceKind.IBGP, SourceKind.EBGP])
def test_a_pair_of_next_hops_ends_here_by_its_global_address(kind: SourceKind) -> None:
    """RFC 2545 3: the link-local address behind it says nothing else."""
    ours = bytes.fromhex("20010db8") + bytes(11) + b"\x09"
    peer = Peer(
        rules(own_addresses=frozenset({ours}), is_on_this_machine=True), IPV6_UNICAST
    )
    peer.source.kind = kind
    pair = make_attributes(
        next_hop=ours + bytes.fromhex("fe80") + bytes(13) + b"\x01", local_pref=100
    )
    outcome = peer.rib.outcomes.decide(1, pair)
    assert isinstance(outcome, Path)
    assert outcome.attributes.next_hop == outcome.next_hop.address == b""
    assert outcome.received is pair
