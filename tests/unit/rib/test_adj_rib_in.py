import pytest

from rib import outcome_memo
from rib.adj_rib_in import SWEEP_SLICE, AdjRibIn
from rib.attributes import PathAttributes, decode_usual, edit, make_attributes
from rib.attributes.codes import NEXT_HOP
from rib.destinations import MixedRun
from rib.family import IPV4_UNICAST
from rib.import_checks import FilterReason, ImportChecks
from rib.loc_rib import LocRib
from rib.long_lived import make_long_lived
from rib.next_hops import NextHopTable, Reachability
from rib.nlri import make_nlri, parse_address
from rib.outcome_memo import OutcomeMemo
from rib.path import Path, SourceKind
from rib.path_set import paths_of
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
from rib.reimport import reimport
from tests.support.attributes import IBGP
from tests.support.cases import cases
from tests.support.next_hops import ScriptedResolver
from tests.support.routes import a_source, nlris, some_attributes

pytestmark = pytest.mark.usefixtures("either_twin")

ONE, TWO, THREE = nlris("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
GOOD = some_attributes(local_pref=100)
OTHER = some_attributes(local_pref=200)
LOOP = some_attributes("65001 64512")
LOW = prefix_match(Operator.IN, "10.0.0.0/15")  # ONE, but not TWO and THREE


def rules(spec: PolicySpec = ACCEPT_ALL, **options) -> ImportChecks:
    return ImportChecks(compile_policy(spec), local_as=64512, router_id=1, **options)


def spec(*terms: Term) -> PolicySpec:
    return PolicySpec("p", terms, accepts_unmatched=True)


REJECTS_LOW = spec(Term("low", Outcome.REJECT, Match(prefixes=LOW)))
MED = Term("all", Outcome.ACCEPT, actions=Actions(med=7))
REJECTS_ALL = spec(Term("no", Outcome.REJECT))


class Peer:
    def __init__(self, policy: PolicySpec = ACCEPT_ALL, kind=SourceKind.IBGP) -> None:
        self.source = a_source("peer", kind, address="10.0.0.9", asn=65001)
        self.loc_rib = LocRib(IPV4_UNICAST)
        self.rib = AdjRibIn(self.source, self.loc_rib, rules(policy), NextHopTable())

    def announce(
        self, attributes: PathAttributes, *prefixes: bytes, path_id: int = 0
    ) -> None:
        key = (attributes, path_id)
        outcome = self.rib.outcomes.known(key) or self.rib.outcomes.decide(
            key, attributes, path_id
        )
        self.rib.announce(outcome, list(prefixes), path_id)

    def held(self) -> dict[bytes, list[PathAttributes]]:
        return {
            nlri: [path.attributes for path in paths_of(entry)]
            for nlri, entry in self.loc_rib.table.items()
        }

    def only_path(self, nlri: bytes) -> Path:
        [path] = paths_of(self.loc_rib.table[nlri])
        return path

    def sweep(self) -> None:
        for _ in self.rib.sweep_stale():
            pass

    def judge_again(self, policy: PolicySpec) -> None:
        for _ in reimport(self.rib, rules(policy)):
            pass


def test_what_is_accepted_stands_in_the_table() -> None:
    peer = Peer()
    peer.announce(GOOD, ONE, TWO)
    peer.announce(OTHER, TWO)
    assert peer.held() == {ONE: [GOOD], TWO: [OTHER]}
    assert peer.rib.accepted_count == peer.rib.received_count == 2
    assert sorted(peer.rib.own_nlris()) == [ONE, TWO]
    peer.rib.withdraw([ONE])
    assert peer.held() == {TWO: [OTHER]}


def test_a_filtered_route_is_kept_with_its_reason_and_replaces_the_former_one() -> None:
    peer = Peer()
    peer.announce(GOOD, ONE, TWO)
    peer.announce(LOOP, ONE)
    assert peer.held() == {TWO: [GOOD]}
    assert peer.rib.filtered[ONE, 0].refusal is FilterReason.OWN_AS
    assert (peer.rib.accepted_count, peer.rib.received_count) == (1, 2)
    peer.announce(GOOD, ONE)
    assert not peer.rib.filtered
    peer.announce(LOOP, ONE)
    peer.rib.withdraw([ONE])
    assert not peer.rib.filtered


MULTI, LOCAL, CLASS_E = nlris("224.1.0.0/16", "127.0.0.0/8", "250.0.0.0/8")


class TestOtherThanUnicastDestinations:
    """RFC 4271 6.3: ignored, each with its reason, and the others stay."""

    def mixed(self, peer: Peer, attributes: PathAttributes, *prefixes: bytes) -> None:
        outcome = peer.rib.outcomes.known(attributes) or peer.rib.outcomes.decide(
            attributes, attributes
        )
        peer.rib.announce(outcome, MixedRun(prefixes))

    def counts(self, peer: Peer) -> dict[str, tuple[bytes, int]]:
        return {
            why.name: (each.first, each.count) for why, each in peer.rib.ignored.items()
        }

    @pytest.mark.rfc("4271", "6.3", "SHOULD")
    @pytest.mark.parametrize("policy", [ACCEPT_ALL, REJECTS_LOW, REJECTS_ALL])
    def test_it_is_filtered_whatever_policy_says(self, policy: PolicySpec) -> None:
        peer = Peer(policy)
        self.mixed(peer, GOOD, ONE, MULTI, TWO, LOCAL)
        plain = Peer(policy)
        plain.announce(GOOD, ONE, TWO)
        assert peer.held() == plain.held()
        for nlri, detail in ((MULTI, "multicast"), (LOCAL, "loopback")):
            filtered = peer.rib.filtered[nlri, 0]
            assert filtered.refusal is FilterReason.NOT_UNICAST
            assert filtered.attributes is GOOD
            assert filtered.detail.startswith(detail)
        assert self.counts(peer) == {"MULTICAST": (MULTI, 1), "LOOPBACK": (LOCAL, 1)}

    def test_with_a_loop_too_it_is_filtered_as_not_unicast(self) -> None:
        peer = Peer()
        self.mixed(peer, LOOP, ONE, MULTI)
        assert peer.rib.filtered[ONE, 0].refusal is FilterReason.OWN_AS
        assert peer.rib.filtered[MULTI, 0].refusal is FilterReason.NOT_UNICAST

    def test_it_counts_again_once_it_was_withdrawn(self) -> None:
        peer = Peer()
        for _ in range(3):
            self.mixed(peer, GOOD, MULTI)
        assert self.counts(peer) == {"MULTICAST": (MULTI, 1)}
        peer.rib.withdraw([MULTI])
        assert not peer.rib.filtered
        self.mixed(peer, OTHER, MULTI)
        assert self.counts(peer) == {"MULTICAST": (MULTI, 2)}

    def test_judging_again_lets_none_of_it_in(self) -> None:
        peer = Peer(REJECTS_ALL)
        self.mixed(peer, GOOD, ONE, MULTI)
        peer.judge_again(ACCEPT_ALL)
        assert peer.held() == {ONE: [GOOD]}
        assert peer.rib.filtered[MULTI, 0].refusal is FilterReason.NOT_UNICAST
        assert self.counts(peer) == {"MULTICAST": (MULTI, 1)}

    def test_the_reserved_range_follows_its_switch_both_ways(self) -> None:
        peer = Peer()
        self.mixed(peer, GOOD, ONE, MULTI, CLASS_E)
        assert peer.held() == {ONE: [GOOD]}
        for _ in reimport(peer.rib, rules(allows_reserved=True)):
            pass
        assert peer.held() == {ONE: [GOOD], CLASS_E: [GOOD]}
        assert list(peer.rib.filtered) == [(MULTI, 0)]
        for _ in reimport(peer.rib, rules()):
            pass
        assert peer.held() == {ONE: [GOOD]}
        assert peer.rib.filtered[CLASS_E, 0].detail.startswith("reserved")

    def test_what_was_let_in_goes_even_if_nothing_was_ignored_so_far(self) -> None:
        peer = Peer()
        peer.rib.rules = rules(allows_reserved=True)
        self.mixed(peer, GOOD, ONE, CLASS_E)
        assert not peer.rib.ignored
        assert peer.held() == {ONE: [GOOD], CLASS_E: [GOOD]}
        for _ in reimport(peer.rib, rules()):
            pass
        assert peer.held() == {ONE: [GOOD]}

    def test_each_path_identifier_is_a_route_of_its_own(self) -> None:
        peer = Peer()
        peer.announce(LOOP, ONE, path_id=2)
        for path_id in (1, 2):
            outcome = peer.rib.outcomes.decide((GOOD, path_id), GOOD, path_id)
            peer.rib.announce(outcome, MixedRun([ONE, MULTI]), path_id)
        assert set(peer.rib.filtered) == {(MULTI, 1), (MULTI, 2)}
        assert self.counts(peer) == {"MULTICAST": (MULTI, 2)}

    def test_every_change_is_returned(self) -> None:
        peer = Peer()
        peer.rib.rules = rules(allows_reserved=True)
        self.mixed(peer, GOOD, ONE, CLASS_E)
        peer.rib.rules = rules()
        outcome = peer.rib.outcomes.decide(OTHER, OTHER)
        run = MixedRun([CLASS_E, ONE, MULTI, TWO, LOCAL])
        changes = peer.rib.announce(outcome, run)
        told = {nlri: change.new for change in changes for nlri in change.nlris}
        table = peer.loc_rib.table
        assert told == {ONE: table[ONE], TWO: table[TWO], CLASS_E: None}

    def test_what_is_beside_it_is_let_in_by_limits(self) -> None:
        peer = Peer()
        peer.rib.limit(1, None)
        self.mixed(peer, GOOD, ONE, MULTI, TWO)
        assert peer.held() == {ONE: [GOOD]}
        assert [*peer.rib.admission.blocked] == [(TWO, 0)]

    def test_it_is_kept_as_the_peer_sent_it(self) -> None:
        peer = Peer(spec(MED))
        self.mixed(peer, GOOD, ONE, MULTI)
        assert peer.only_path(ONE).attributes.med == 7
        assert peer.rib.filtered[MULTI, 0].attributes is GOOD


def test_link_local_next_hops_are_those_of_the_peer_s_link() -> None:
    link_local = parse_address("fe80::1")
    attributes = make_attributes(next_hop=link_local, local_pref=100)
    for spec_of_all in (ACCEPT_ALL, REJECTS_LOW):
        peer = Peer(spec_of_all)
        peer.source.zone = "eth0"
        peer.announce(attributes, TWO)
        hop = peer.only_path(TWO).next_hop
        assert (hop.address, hop.key) == (link_local, link_local + b"eth0")


@pytest.mark.parametrize("zone", ["eth0", "eth1"])
def test_what_is_known_of_a_link_local_next_hop_is_of_the_peer_s_link(
    zone: str,
) -> None:
    """On eth0 it is another machine's address, on eth1 our own."""
    link_local = parse_address("fe80::1")
    attributes = make_attributes(next_hop=link_local, local_pref=100)

    def resolve(key: bytes) -> Reachability:
        device = key[16:].decode()
        return Reachability(
            key, is_reachable=True, interface=device, is_local=device == "eth1"
        )

    out_of_eth0 = spec(Term("t", Outcome.REJECT, Match(interface="eth0")))
    for policy, refuses in ((ACCEPT_ALL, False), (out_of_eth0, zone == "eth0")):
        peer = Peer()
        peer.source.zone = zone
        peer.rib = AdjRibIn(
            peer.source,
            peer.loc_rib,
            rules(policy, is_on_this_machine=True),
            NextHopTable(ScriptedResolver(resolve)),
        )
        peer.announce(attributes, TWO)
        assert list(peer.rib.filtered) == ([(TWO, 0)] if refuses else [])
        if not refuses:
            here = b"" if zone == "eth1" else link_local
            assert peer.only_path(TWO).next_hop.address == here


class TestPoliciesThatLookAtPrefixes:
    def test_each_prefix_is_judged(self) -> None:
        peer = Peer(REJECTS_LOW)
        peer.announce(GOOD, ONE, TWO)
        assert peer.held() == {TWO: [GOOD]}
        filtered = peer.rib.filtered[ONE, 0]
        assert (filtered.refusal, filtered.detail) == (FilterReason.POLICY, "low")

    def test_equal_outcomes_are_one_path(self) -> None:
        tag = spec(
            Term("t", Outcome.ACCEPT, Match(prefixes=LOW), Actions(local_pref=7))
        )
        peer = Peer(tag)
        peer.announce(GOOD, ONE, TWO, THREE)
        peer.announce(GOOD, TWO)
        table = peer.loc_rib.table
        assert table[TWO] is table[THREE]
        assert peer.only_path(ONE).attributes.local_pref == 7
        assert peer.only_path(ONE).received is GOOD

    def test_weights_tell_paths_apart(self) -> None:
        weigh = spec(Term("t", Outcome.ACCEPT, Match(prefixes=LOW), Actions(weight=7)))
        peer = Peer(weigh)
        peer.announce(GOOD, ONE, TWO)
        assert peer.only_path(ONE).weight == 7
        assert peer.only_path(TWO).weight == 0

    def test_whether_med_is_ours_tells_paths_apart(self) -> None:
        sets_med = Term(
            "low", Outcome.ACCEPT, Match(prefixes=LOW), Actions(local_pref=100, med=7)
        )
        for policy, others in ((spec(sets_med), False), (spec(sets_med, MED), True)):
            peer = Peer(policy)
            peer.announce(some_attributes(local_pref=100, med=7), ONE, TWO)
            assert peer.only_path(ONE).has_own_med
            assert peer.only_path(TWO).has_own_med is others

    def test_roles_mark_once(self) -> None:
        peer = Peer(kind=SourceKind.EBGP)
        peer.rib.rules = rules(REJECTS_LOW, role="customer")
        peer.announce(GOOD, ONE, TWO)
        peer.announce(GOOD, THREE)
        table = peer.loc_rib.table
        assert table[TWO] is table[THREE]
        assert peer.only_path(TWO).attributes.otc == 65001
        assert peer.only_path(TWO).received is GOOD


def test_a_route_whose_med_import_policy_sets_has_our_own() -> None:
    received = some_attributes(local_pref=100, med=7)
    for policy, is_own in ((spec(MED), True), (spec(), False), (ACCEPT_ALL, False)):
        peer = Peer(policy)
        peer.announce(received, ONE)
        assert peer.only_path(ONE).has_own_med is is_own
        peer.source.epoch += 1  # it outlives its session
        for _ in make_long_lived(peer.rib):
            pass
        assert peer.only_path(ONE).attributes.communities
        assert peer.only_path(ONE).has_own_med is is_own


class TestSweeping:
    @pytest.mark.rfc("4724", "4.2", "MUST")
    def test_what_was_not_announced_again_goes(self) -> None:
        peer = Peer()
        peer.announce(GOOD, ONE, TWO)
        peer.announce(LOOP, THREE)
        peer.rib.make_stale()
        assert peer.held() == {ONE: [GOOD], TWO: [GOOD]}
        assert not peer.rib.filtered
        peer.announce(GOOD, ONE)
        peer.sweep()
        assert peer.held() == {ONE: [GOOD]}
        assert peer.rib.own_nlris() == [ONE]

    def test_what_becomes_stale_during_a_sweep_stays(self) -> None:
        peer = Peer()
        peer.announce(GOOD, ONE)
        peer.rib.make_stale()
        peer.announce(GOOD, TWO)
        slices = peer.rib.sweep_stale()
        peer.rib.make_stale()
        for _ in slices:
            pass
        assert peer.held() == {TWO: [GOOD]}
        peer.sweep()
        assert not peer.held()

    @pytest.mark.parametrize("withdrawn", [0, 1])
    def test_no_path_of_several_is_forgotten(self, withdrawn: int) -> None:
        peer = Peer()
        peer.announce(GOOD, ONE, path_id=0)
        peer.announce(OTHER, ONE, path_id=1)
        peer.rib.withdraw([ONE], withdrawn)
        peer.rib.make_stale()
        peer.sweep()
        assert not peer.held()
        assert peer.rib.accepted_count == 0

    def test_a_peer_of_many_is_swept_in_slices(self) -> None:
        count = 65536 + SWEEP_SLICE
        many = [make_nlri((n << 8).to_bytes(4, "big"), 24) for n in range(count)]
        peer = Peer()
        peer.announce(GOOD, *many)
        peer.rib.make_stale()
        peer.announce(GOOD, *many[:10])
        slices = [sum(len(c.nlris) for c in some) for some in peer.rib.sweep_stale()]
        assert sum(slices) == count - 10
        assert max(slices) <= SWEEP_SLICE
        assert sorted(peer.rib.own_nlris()) == sorted(many[:10])


class TestJudgingAgain:
    def test_everything_received_is_judged(self) -> None:
        peer = Peer(REJECTS_LOW)
        peer.announce(GOOD, ONE, TWO)
        peer.announce(LOOP, THREE)
        peer.judge_again(REJECTS_ALL)
        assert not peer.held()
        assert set(peer.rib.filtered) == {(ONE, 0), (TWO, 0), (THREE, 0)}
        peer.judge_again(ACCEPT_ALL)
        assert peer.held() == {ONE: [GOOD], TWO: [GOOD]}
        assert set(peer.rib.filtered) == {(THREE, 0)}

    def test_it_starts_from_what_was_received(self) -> None:
        peer = Peer(spec(Term("t", Outcome.ACCEPT, actions=Actions(prepend=(1,)))))
        peer.announce(GOOD, ONE)
        peer.judge_again(spec(Term("t", Outcome.ACCEPT, actions=Actions(prepend=(2,)))))
        assert [a.as_path.asns for a in peer.held()[ONE]] == [(2,)]

    def test_later_updates_follow_the_new_rules(self) -> None:
        peer = Peer()
        peer.announce(GOOD, ONE)
        peer.judge_again(REJECTS_ALL)
        peer.announce(GOOD, TWO)
        assert not peer.held()

    def test_what_the_peer_does_meanwhile_counts(self) -> None:
        peer = Peer()
        peer.announce(GOOD, ONE, TWO, THREE)
        peer.announce(LOOP, b"\x08\x0b", b"\x08\x0c")
        slices = reimport(peer.rib, rules(spec()))
        peer.rib.withdraw([ONE])
        peer.announce(OTHER, TWO)
        peer.rib.withdraw([b"\x08\x0b"])
        peer.announce(GOOD, b"\x08\x0c")
        for _ in slices:
            pass
        assert peer.held() == {TWO: [OTHER], THREE: [GOOD], b"\x08\x0c": [GOOD]}
        assert not peer.rib.filtered

    @pytest.mark.rfc("7313", "4", "MUST")
    @pytest.mark.parametrize("policy", [spec(), REJECTS_LOW])
    def test_what_is_stale_stays_stale(self, policy: PolicySpec) -> None:
        peer = Peer()
        peer.announce(GOOD, ONE, TWO)
        peer.rib.make_stale()
        peer.announce(GOOD, THREE)
        peer.judge_again(policy)
        peer.sweep()
        assert peer.held() == {THREE: [GOOD]}
        assert not peer.rib.filtered
        peer.judge_again(ACCEPT_ALL)
        assert peer.held() == {THREE: [GOOD]}

    def test_each_path_of_a_peer_is_judged(self) -> None:
        peer = Peer()
        peer.announce(GOOD, ONE, TWO, path_id=1)
        peer.announce(OTHER, ONE, path_id=2)
        peer.judge_again(spec(Term("t", Outcome.ACCEPT, actions=Actions(med=9))))
        found = [
            (path.path_id, path.attributes.local_pref, path.attributes.med)
            for path in paths_of(peer.loc_rib.table[ONE])
        ]
        assert sorted(found) == [(1, 100, 9), (2, 200, 9)]

    def test_a_large_peer_is_judged_in_slices(self) -> None:
        count = 2 * SWEEP_SLICE + 1
        many = [make_nlri((n << 8).to_bytes(4, "big"), 24) for n in range(count)]
        peer = Peer()
        peer.announce(GOOD, *many)
        slices = list(reimport(peer.rib, rules(REJECTS_ALL)))
        assert len(slices) == 3
        assert not peer.held()
        assert len(peer.rib.filtered) == count


@pytest.mark.slow
def test_tables_stay_small_however_long_they_churn() -> None:
    """Ever new attributes for the same prefixes, from two peers, with upkeep."""
    loc_rib, next_hops = LocRib(IPV4_UNICAST), NextHopTable()
    ribs = [
        AdjRibIn(a_source(name, address=f"10.0.0.{n}"), loc_rib, rules(), next_hops)
        for n, name in enumerate("ab", 1)
    ]
    prefixes = [make_nlri((n << 8).to_bytes(4, "big"), 24) for n in range(64)]
    swept: tuple[OutcomeMemo | LocRib, ...] = (*(r.outcomes for r in ribs), loc_rib)
    most_outcomes = most_sets = 0
    for turn in range(50_000):
        rib = ribs[turn % 2]
        hop = bytes((10, *(turn & 0xFFFF).to_bytes(2, "big"), 1))
        attributes = decode_usual(edit(GOOD.octets, {NEXT_HOP: hop}), IBGP)
        assert attributes is not None
        some = [prefixes[turn * 7 % 64], prefixes[turn * 11 % 64]]
        if turn % 3 == 0:
            rib.withdraw(some)
        else:
            rib.announce(rib.outcomes.decide(turn, attributes), some)
        if turn % 256 == 0:
            most_outcomes = max(most_outcomes, *(len(r.outcomes) for r in ribs))
            most_sets = max(most_sets, len(loc_rib._sets))
            assert len(loc_rib._transitions) <= 16384
            for housekeeping in swept:
                for _ in housekeeping.sweep_unused():
                    pass
    # What transitions still know, a share of the room, and one interval's.
    assert most_outcomes <= 17_000 + outcome_memo.ROOM // 2
    assert most_sets <= 17_000
    loc_rib.forget_decisions()
    for rib in ribs:
        rib.forget_outcomes()
        for _ in rib.discarded.free():
            pass
    next_hops.forget_unused()
    paths = {path for entry in loc_rib.table.values() for path in paths_of(entry)}
    assert len(next_hops) <= len(paths) + 1


# -- speakers on this machine -------------------------------------------------------------

HERE = frozenset((b"\x0a\x00\x00\x09", b"\x0a\x00\x00\x01"))


@cases(
    "policy",
    [
        ACCEPT_ALL,
        spec(Term("each", Outcome.NEXT, Match(prefixes=LOW), Actions(med=7))),
        spec(Term("all", Outcome.NEXT, Match(), Actions(med=7))),
    ],
)
@cases("kind", [SourceKind.IBGP, SourceKind.EBGP])
@cases("next_hop", ["10.0.0.9", "10.0.0.1", "10.0.0.5", "10.0.0.7"])
def test_a_route_of_a_speaker_on_this_machine_that_ends_here_has_no_next_hop(
    policy: PolicySpec, kind: SourceKind, next_hop: str
) -> None:
    def resolve(address: bytes) -> Reachability:
        is_local = address[-1] == 5  # an address that only the kernel knows to be ours
        return Reachability(address, not is_local, is_local=is_local)

    peer = Peer(policy, kind)
    peer.rib = AdjRibIn(
        peer.source,
        peer.loc_rib,
        rules(policy, own_addresses=HERE, is_on_this_machine=True),
        NextHopTable(ScriptedResolver(resolve)),
    )
    told = some_attributes("65001", next_hop=next_hop, local_pref=100)
    peer.announce(told, ONE, TWO)
    (path,) = paths_of(peer.loc_rib.table[ONE])
    assert path.received is told
    assert path.next_hop.is_reachable
    ends_here = next_hop != "10.0.0.7"
    assert path.attributes.next_hop == (b"" if ends_here else told.next_hop)
    assert path.next_hop.address == path.attributes.next_hop
    # Judged again by other rules it is as received: elsewhere that is a fault.
    elsewhere = rules(policy, own_addresses=HERE)
    for _ in reimport(peer.rib, elsewhere):
        pass
    filtered = {nlri for nlri, _ in peer.rib.filtered}
    assert filtered == ({ONE, TWO} if next_hop in ("10.0.0.9", "10.0.0.1") else set())
