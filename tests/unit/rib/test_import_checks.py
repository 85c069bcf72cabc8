from typing import Any

import pytest

from rib.attributes import make_attributes, parse_as_path
from rib.attributes.codes import ONLY_TO_CUSTOMER
from rib.attributes.communities import BLACKHOLE
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.import_checks import FilterReason, ImportChecks, LastChoice
from rib.next_hops import DISCARDS, NextHopTable, Reachability
from rib.nlri import parse_address
from rib.path import SourceKind
from rib.policy import (
    ACCEPT_ALL,
    GRACEFUL_SHUTDOWN,
    NO_ADVERTISE,
    Actions,
    Match,
    NextHopRule,
    Operator,
    Outcome,
    Policy,
    PolicySpec,
    Term,
    Verdict,
    compile_policy,
    export_allowed,
    prefix_match,
)
from tests.support.routes import a_source, nlris, some_attributes

pytestmark = pytest.mark.usefixtures("either_twin")

LOCAL_AS = 64512
ROUTER_ID = 0x0A000001
PEER = a_source("peer", SourceKind.EBGP, asn=65001)
IBGP = a_source("internal", SourceKind.IBGP, asn=LOCAL_AS)
ONE, TWO = nlris("10.1.0.0/16", "10.2.0.0/16")


def rules(spec: PolicySpec = ACCEPT_ALL, **options) -> ImportChecks:
    return ImportChecks(
        compile_policy(spec), local_as=LOCAL_AS, router_id=ROUTER_ID, **options
    )


def refusal(attributes, source=PEER, **options) -> FilterReason | None:
    filtered = rules(**options).check(attributes, source)
    if filtered is None:
        return None
    assert filtered.attributes is attributes
    return filtered.refusal


class TestLoops:
    @pytest.mark.rfc("4271", "9.1.2", "MUST")
    @pytest.mark.parametrize("source", [PEER, IBGP])
    @pytest.mark.parametrize("path", ["64512", "65001 64512 65002", "65001 {64512}"])
    def test_our_as_in_the_path(self, path: str, source) -> None:
        assert refusal(some_attributes(path), source) is FilterReason.OWN_AS

    @pytest.mark.rfc("7938", "5.2.2", "MAY")
    def test_as_often_as_allowed(self) -> None:
        once, twice = some_attributes("1 64512"), some_attributes("64512 1 64512")
        assert refusal(once, allow_own_as=1) is None
        assert refusal(twice, allow_own_as=1) is FilterReason.OWN_AS
        assert refusal(twice, allow_own_as=2) is None

    @pytest.mark.rfc("4271", "9.1.2", "MUST")
    @pytest.mark.parametrize("source", [PEER, IBGP])
    def test_each_as_number_that_is_ours(self, source) -> None:
        ours = frozenset({64999, 4200000001})
        for asn in (LOCAL_AS, *ours):
            looped = some_attributes(f"65001 {asn}")
            filtered = rules(own_asns=ours).check(looped, source)
            assert filtered is not None
            assert (filtered.refusal, filtered.detail) == (
                FilterReason.OWN_AS,
                f"AS {asn}",
            )
            allowed = rules(own_asns=ours, allow_own_as=1)
            assert allowed.check(looped, source) is None
        assert refusal(some_attributes("65001 64999"), source) is None

    def test_an_as_that_is_prepended_is_not_a_loop(self) -> None:
        given = some_attributes("65001 65002", local_pref=100)
        some = rules(put_before=LOCAL_AS)
        assert some.check(given, PEER) is None
        verdict = some.evaluate(given, PEER, IPV4_UNICAST, None)
        assert str(verdict.attributes.as_path) == f"{LOCAL_AS} 65001 65002"
        empty = some.evaluate(some_attributes(), PEER, IPV4_UNICAST, None)
        assert str(empty.attributes.as_path) == f"{LOCAL_AS}"
        inside = some.evaluate(given, IBGP, IPV4_UNICAST, None)
        assert inside.attributes is given
        marked = rules(put_before=LOCAL_AS, role="customer")
        verdict = marked.evaluate(given, PEER, IPV4_UNICAST, None)
        assert verdict.attributes.otc == PEER.asn
        assert verdict.attributes.as_path.asns[0] == LOCAL_AS

    def test_rules_that_differ_by_our_numbers_are_others(self) -> None:
        one = ImportChecks(Policy(ACCEPT_ALL), local_as=1, router_id=2)
        for changes in ({"own_asns": frozenset({3})}, {"put_before": 1}):
            other = ImportChecks(one.policy, local_as=1, router_id=2, **changes)
            assert not one.equals(other)
        same = frozenset({1})
        assert one.equals(
            ImportChecks(one.policy, local_as=1, router_id=2, own_asns=same)
        )

    def test_numbers_that_look_like_ours_elsewhere(self) -> None:
        innocent = some_attributes(
            "65001", communities=(LOCAL_AS, ROUTER_ID), med=LOCAL_AS
        )
        assert refusal(innocent, cluster_ids=frozenset({ROUTER_ID})) is None

    @pytest.mark.rfc("4271", "9.1.2", "MUST")
    @pytest.mark.parametrize("path", ["1073807616", "1 1073807616"])
    def test_our_as_where_every_block_begins_with_its_octets(self, path: str) -> None:
        """ORIGIN's flags, code, length and value are those of AS 1073807616."""
        some = ImportChecks(
            Policy(ACCEPT_ALL), local_as=0x40010100, router_id=ROUTER_ID
        )
        looped, innocent = some_attributes(path), some_attributes("1")
        assert looped.octets.startswith((0x40010100).to_bytes(4, "big"))
        filtered = some.check(looped, PEER)
        assert filtered is not None
        assert filtered.refusal is FilterReason.OWN_AS
        assert some.check(innocent, PEER) is None

    @pytest.mark.rfc("4271", "5.1.3", "MUST NOT")
    @pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
    def test_our_own_address_as_next_hop(self, address: str) -> None:
        octets = parse_address(address)
        own = frozenset({octets})
        attributes = some_attributes(next_hop=address)
        assert refusal(attributes, own_addresses=own) is FilterReason.OWN_NEXT_HOP
        pair = make_attributes(next_hop=octets + bytes(16))
        expected = FilterReason.OWN_NEXT_HOP if len(octets) == 16 else None
        assert refusal(pair, own_addresses=own) is expected


class TestReflectedRoutes:
    """RFC 4456 8: what we have reflected before does not come in again."""

    OURS = some_attributes(originator_id=ROUTER_ID, cluster_list=(1, 2))
    CLUSTER = some_attributes(originator_id=5, cluster_list=(1, 2))

    @pytest.mark.rfc("4456", "8", "SHOULD")
    def test_our_router_id_as_originator(self) -> None:
        assert refusal(self.OURS, IBGP) is FilterReason.OWN_ORIGINATOR
        assert refusal(self.CLUSTER, IBGP) is None
        elsewhere = some_attributes(originator_id=5, cluster_list=(ROUTER_ID,))
        assert refusal(elsewhere, IBGP) is None

    @pytest.mark.rfc("4456", "8", "SHOULD")
    def test_one_of_our_cluster_ids(self) -> None:
        for ours in ({2}, {1, 7}):
            found = refusal(self.CLUSTER, IBGP, cluster_ids=frozenset(ours))
            assert found is FilterReason.OWN_CLUSTER
        assert refusal(self.CLUSTER, IBGP, cluster_ids=frozenset({5, 7})) is None
        assert refusal(self.CLUSTER, IBGP) is None

    def test_external_peers_have_neither(self) -> None:
        assert refusal(self.OURS, PEER) is None
        assert refusal(self.OURS, PEER, cluster_ids=frozenset({1})) is None

    def test_our_as_comes_first_and_says_which(self) -> None:
        looped = some_attributes("64512", originator_id=ROUTER_ID)
        filtered = rules().check(looped, IBGP)
        assert filtered is not None
        assert (filtered.refusal, filtered.detail) == (FilterReason.OWN_AS, "AS 64512")


class TestRoles:
    """RFC 9234 5, as the receiver."""

    MARKED = make_attributes(next_hop=bytes(4), as_path=parse_as_path("1"), otc=65001)
    ELSEWHERE = make_attributes(next_hop=bytes(4), otc=65009)

    @pytest.mark.rfc("9234", "5", "MUST")
    @pytest.mark.parametrize(
        ("role", "marked", "elsewhere"),
        [
            ("provider", FilterReason.ROUTE_LEAK, FilterReason.ROUTE_LEAK),
            ("rs", FilterReason.ROUTE_LEAK, FilterReason.ROUTE_LEAK),
            ("peer", None, FilterReason.ROUTE_LEAK),
            ("customer", None, None),
            ("rs-client", None, None),
            ("", None, None),
        ],
    )
    def test_leaks(self, role: str, marked, elsewhere) -> None:
        assert refusal(self.MARKED, role=role) is marked
        assert refusal(self.ELSEWHERE, role=role) is elsewhere
        assert refusal(some_attributes(), role=role) is None
        filtered = rules(role="rs").check(self.ELSEWHERE, PEER)
        assert filtered is not None
        assert filtered.detail == "OTC 65009"
        assert refusal(self.ELSEWHERE, IBGP, role=role) is None

    @pytest.mark.rfc("9234", "5", "MUST")
    def test_numbers_that_look_like_ours_hide_no_leak(self) -> None:
        leaked = make_attributes(next_hop=bytes(4), otc=65001, med=LOCAL_AS)
        assert refusal(leaked, role="provider") is FilterReason.ROUTE_LEAK

    @pytest.mark.rfc("9234", "5", "MUST")
    @pytest.mark.parametrize(
        ("role", "mark"),
        [
            ("customer", 65001),
            ("peer", 65001),
            ("rs-client", 65001),
            ("provider", None),
            ("rs", None),
            ("", None),
        ],
    )
    def test_marks(self, role: str, mark: int | None) -> None:
        plain = some_attributes("65001")
        evaluate = rules(role=role).evaluate
        given = evaluate(plain, PEER, IPV4_UNICAST, None).attributes
        assert given.otc == mark
        octets = None if mark is None else mark.to_bytes(4, "big")
        assert given.get(ONLY_TO_CUSTOMER) == octets
        assert (
            evaluate(self.ELSEWHERE, PEER, IPV4_UNICAST, None).attributes
            is self.ELSEWHERE
        )
        assert evaluate(plain, IBGP, IPV4_UNICAST, None).attributes.otc is None


class TestPolicies:
    """Rules ask the policy with all that they were asked with."""

    GOOD = some_attributes("65001")
    LOW = prefix_match(Operator.IN, "10.0.0.0/15")  # ONE, but not TWO

    def verdict(self, match: Match, nlri: bytes | None = None, **options: Any):
        """Ask for one route, and for a batch of it alone: both must say the same."""
        some = rules(PolicySpec("p", (Term("t", Outcome.ACCEPT, match),)))
        family = options.pop("family", IPV4_UNICAST)
        one = some.evaluate(self.GOOD, PEER, family, nlri, **options)
        batch = [nlri or ONE]
        assert some.evaluate_batch(batch, self.GOOD, PEER, family, **options) == [
            (batch, one)
        ]
        return one

    def test_what_accepts_all_says_so(self) -> None:
        some = rules()
        assert some.accepts_all is True
        assert rules(PolicySpec("p", ())).accepts_all is False
        verdict = some.evaluate(self.GOOD, IBGP, IPV4_UNICAST, None)
        assert verdict == Verdict(True, self.GOOD, ACCEPT_ALL.name)

    def test_the_term_that_decides_is_the_reason(self) -> None:
        verdict = self.verdict(Match())
        assert (verdict.is_accepted, verdict.reason) == (True, "t")

    def test_the_policy_sees_the_prefix(self) -> None:
        assert self.verdict(Match(prefixes=self.LOW), ONE).is_accepted
        assert not self.verdict(Match(prefixes=self.LOW), TWO).is_accepted

    @pytest.mark.parametrize("family", [IPV4_UNICAST, IPV6_UNICAST])
    def test_the_policy_sees_the_family(self, family: Family) -> None:
        verdict = self.verdict(Match(family=IPV6_UNICAST), family=family)
        assert verdict.is_accepted == (family == IPV6_UNICAST)

    def test_the_policy_sees_the_interface(self) -> None:
        outs = Match(interface="?*")
        assert self.verdict(outs, interface="eth0").is_accepted
        assert not self.verdict(outs).is_accepted  # it leads nowhere yet


class TestNextHopOfThePeer:
    """What a policy sets without knowing whose routes it judges."""

    SPEC = PolicySpec(
        "p", (Term("t", Outcome.ACCEPT, actions=Actions(next_hop=NextHopRule.PEER)),)
    )

    @pytest.mark.parametrize("kind", [SourceKind.EBGP, SourceKind.IBGP])
    @pytest.mark.parametrize(
        ("address", "next_hop"),
        [
            ("192.0.2.7", "192.0.2.9"),
            ("2001:db8::7", "2001:db8::9"),
            ("fe80::7", "2001:db8::9"),
        ],
    )
    def test_it_is_its_own_address(self, kind, address: str, next_hop: str) -> None:
        source = a_source("peer", kind, asn=65001)
        source.address = parse_address(address)
        given = some_attributes(
            "65001", next_hop=next_hop, communities=(GRACEFUL_SHUTDOWN,)
        )
        some = rules(self.SPEC)
        verdict = some.evaluate(given, source, IPV4_UNICAST, None)
        assert verdict.attributes.next_hop == verdict.next_hop == source.address
        is_external = kind is SourceKind.EBGP
        assert verdict.attributes.local_pref == (0 if is_external else None)
        ((_, batch),) = some.evaluate_batch([ONE], given, source, IPV4_UNICAST)
        assert batch[2:] == verdict[2:]
        assert batch.attributes.octets == verdict.attributes.octets
        assert batch.attributes.next_hop == source.address

    @pytest.mark.parametrize(
        ("address", "next_hop"),
        [("192.0.2.7", "2001:db8::9"), ("2001:db8::7", "192.0.2.9")],
    )
    def test_it_is_left_where_the_session_is_of_the_other_family(
        self, address: str, next_hop: str
    ) -> None:
        source = a_source("peer", SourceKind.EBGP, asn=65001)
        source.address = parse_address(address)
        given = some_attributes("65001", next_hop=next_hop)
        verdict = rules(self.SPEC).evaluate(given, source, IPV4_UNICAST, None)
        assert verdict.attributes is given
        assert verdict.next_hop is None

    def test_of_a_pair_the_link_local_half_goes(self) -> None:
        source = a_source("peer", SourceKind.EBGP, asn=65001)
        source.address = parse_address("2001:db8::7")
        both = parse_address("2001:db8::9") + parse_address("fe80::9")
        given = make_attributes(next_hop=both, as_path=parse_as_path("65001"))
        verdict = rules(self.SPEC).evaluate(given, source, IPV6_UNICAST, None)
        assert verdict.attributes.next_hop == source.address


class TestGracefulShutdown:
    LEAVING = some_attributes("65001", communities=(GRACEFUL_SHUTDOWN,))

    @pytest.mark.rfc("8326", "4.1", "SHOULD")
    def test_routes_of_external_peers_come_last_whatever_policy_says(self) -> None:
        prefers = PolicySpec(
            "p", (Term("t", Outcome.ACCEPT, actions=Actions(local_pref=500)),)
        )
        for spec in (ACCEPT_ALL, prefers):
            some = rules(spec)
            verdict = some.evaluate(self.LEAVING, PEER, IPV4_UNICAST, None)
            assert verdict.attributes.local_pref == 0
            ((members, verdict),) = some.evaluate_batch(
                [ONE, TWO], self.LEAVING, PEER, IPV4_UNICAST
            )
            assert members == [ONE, TWO]
            assert verdict.attributes.local_pref == 0

    def test_internal_routes_and_filtered_ones_are_left_alone(self) -> None:
        verdict = rules().evaluate(self.LEAVING, IBGP, IPV4_UNICAST, None)
        assert verdict.attributes is self.LEAVING
        rejects = rules(PolicySpec("no", (Term("t", Outcome.REJECT),)))
        verdict = rejects.evaluate(self.LEAVING, PEER, IPV4_UNICAST, None)
        assert not verdict.is_accepted
        assert verdict.attributes is self.LEAVING


SOME = some_attributes("65001")


class TestDrained:
    def test_all_routes_come_last_whatever_policy_says_of_them_and_of_weight(
        self,
    ) -> None:
        prefers = PolicySpec(
            "p", (Term("t", Outcome.ACCEPT, actions=Actions(local_pref=500, weight=9)),)
        )
        for spec in (ACCEPT_ALL, prefers):
            some = rules(spec, last_choice=LastChoice.ALL)
            assert not some.accepts_all
            assert not some.equals(rules(spec))
            for source in (PEER, IBGP):
                verdict = some.evaluate(SOME, source, IPV4_UNICAST, None)
                assert verdict.attributes.local_pref == 0
                assert verdict.weight is None

    def test_the_community_can_be_left_to_policy(self) -> None:
        leaving = some_attributes("65001", communities=(GRACEFUL_SHUTDOWN,))
        some = rules(last_choice=LastChoice.NONE)
        verdict = some.evaluate(leaving, PEER, IPV4_UNICAST, None)
        assert verdict.attributes is leaving


class TestDiscarded:
    @pytest.mark.rfc("7999", "3.2", "SHOULD")
    def test_a_discarded_route_leads_nowhere_and_no_peer_gets_it(self) -> None:
        drops = PolicySpec(
            "p",
            (Term("t", Outcome.ACCEPT, actions=Actions(next_hop=NextHopRule.DISCARD)),),
        )
        for communities in ((BLACKHOLE,), (BLACKHOLE, NO_ADVERTISE)):
            asked = some_attributes("65001", communities=communities)
            verdict = rules(drops).evaluate(asked, PEER, IPV4_UNICAST, None)
            assert verdict.attributes.next_hop in DISCARDS
            assert verdict.attributes.communities == (BLACKHOLE, NO_ADVERTISE)
            assert not export_allowed(verdict.attributes, is_ebgp=False)
            table = NextHopTable(Untracked())
            assert table.get(verdict.attributes.next_hop).is_reachable
            assert table.forget_unused() == []


class Untracked:
    """No next hop is resolved, or released, in vain."""

    def resolve(self, key: bytes) -> Reachability:
        raise AssertionError(key)

    def release(self, key: bytes) -> None:
        raise AssertionError(key)


def test_rules_are_equal_that_rest_on_the_same() -> None:
    policy = Policy(ACCEPT_ALL)
    given: dict[str, Any] = {
        "local_as": LOCAL_AS,
        "router_id": ROUTER_ID,
        "cluster_ids": frozenset({1}),
        "own_addresses": frozenset({bytes(4)}),
        "allow_own_as": 1,
        "role": "peer",
    }
    one = ImportChecks(policy, **given)
    assert one.equals(ImportChecks(policy, **given))
    least: dict[str, Any] = {"local_as": LOCAL_AS, "router_id": ROUTER_ID}
    assert ImportChecks(policy, **least).equals(
        ImportChecks(
            policy,
            cluster_ids=frozenset(),
            own_addresses=frozenset(),
            allow_own_as=0,
            role="",
            is_on_this_machine=False,
            **least,
        )
    )
    others: dict[str, Any] = {
        "local_as": 1,
        "router_id": 1,
        "cluster_ids": frozenset({2}),
        "own_addresses": frozenset(),
        "allow_own_as": 0,
        "role": "rs",
        "is_on_this_machine": True,
    }
    for name, value in others.items():
        assert not one.equals(ImportChecks(policy, **{**given, name: value}))
    assert not one.equals(ImportChecks(Policy(ACCEPT_ALL), **given))
