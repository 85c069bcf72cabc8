"""What a kernel policy makes of the paths that forward."""

from dataclasses import replace

from fib.kernel_policy import MAX_METRIC, KernelPolicy, KernelRules
from rib.family import IPV4_UNICAST
from rib.path import NextHop, Path, Source, SourceKind
from rib.policy import (
    ACCEPT_ALL,
    Actions,
    Match,
    Operator,
    Outcome,
    PolicySpec,
    Term,
    prefix_match,
)
from tests.support.routes import a_path, a_source, nlris, some_attributes

INSIDE, OUTSIDE = nlris("10.1.0.0/26", "192.0.2.0/24")
POOL = prefix_match(Operator.IN, "10.1.0.0/16")
SUBNET = prefix_match(Operator.IN, "192.0.2.0/24")


def a_policy(*terms: Term) -> PolicySpec:
    return PolicySpec("kernel", terms, accepts_unmatched=True)


def rules(*terms: Term, normal: int | None = None) -> KernelRules:
    return KernelRules(KernelPolicy(a_policy(*terms), normal), IPV4_UNICAST)


def test_without_a_policy_every_path_is_accepted_as_it_is() -> None:
    plain = KernelRules(KernelPolicy(), IPV4_UNICAST)
    assert plain.accepts_all
    ((members, decision),) = plain.divide([INSIDE], a_path())
    assert list(members) == [INSIDE]
    assert decision.is_accepted
    assert decision.metric is None
    assert decision.device == ""


def test_a_tunnel_is_taken_inside_a_pool_alone() -> None:
    tunnel = Term("pool", Outcome.ACCEPT, Match(prefixes=POOL), Actions(device="tunl0"))
    groups = rules(tunnel).divide([INSIDE, OUTSIDE], a_path())
    assert {nlri: found.device for some, found in groups for nlri in some} == {
        INSIDE: "tunl0",
        OUTSIDE: "",
    }


def test_a_next_hop_on_the_own_subnet_needs_no_tunnel() -> None:
    near = Term("near", Outcome.ACCEPT, Match(prefixes=POOL, next_hops=SUBNET))
    far = Term("far", Outcome.ACCEPT, Match(prefixes=POOL), Actions(device="tunl0"))
    both = rules(near, far)
    for hop, device in (("192.0.2.1", ""), ("198.51.100.1", "tunl0")):
        path = a_path(some_attributes(next_hop=hop))
        ((_, decision),) = both.divide([INSIDE], path)
        assert decision.device == device


def test_what_a_policy_rejects_stays_out_with_its_reason() -> None:
    vxlan = Term("vxlan pool", Outcome.REJECT, Match(prefixes=POOL))
    groups = {
        bytes(nlri): found
        for some, found in rules(vxlan).divide([INSIDE, OUTSIDE], a_path())
        for nlri in some
    }
    assert not groups[INSIDE].is_accepted
    assert groups[INSIDE].reason == "vxlan pool"
    assert groups[OUTSIDE].is_accepted


def test_metric_and_local_pref_stand_for_each_other_on_peers_routes_only() -> None:
    judge = KernelRules(KernelPolicy(ACCEPT_ALL, 1024), IPV4_UNICAST)
    assert not judge.accepts_all

    def metric(path: Path) -> int | None:
        ((_, decision),) = judge.divide([INSIDE], path)
        return decision.metric

    def with_pref(local_pref: int | None) -> Path:
        return a_path(some_attributes(local_pref=local_pref))

    assert metric(with_pref(MAX_METRIC - 512)) == 512
    assert metric(with_pref(100)) == MAX_METRIC - 100
    assert metric(with_pref(None)) == 1024
    assert metric(with_pref(0xFFFFFFFF)) == 0
    own = Source("blocks", SourceKind.LOCAL)
    assert metric(a_path(some_attributes(local_pref=5), source=own)) is None


def test_a_policy_may_ask_where_a_route_leads_out() -> None:
    judge = rules(Term("eth", Outcome.REJECT, Match(interface="eth?")))
    for device, is_accepted in (("eth0", False), ("eth10", True), ("", True)):
        hop = NextHop(b"\xc0\x00\x02\x01", interface=device)
        path = Path(a_source(), some_attributes(), hop)
        ((_, decision),) = judge.divide([INSIDE], path)
        assert decision.is_accepted is is_accepted


def test_policies_are_compared_by_what_they_say() -> None:
    one = KernelPolicy(a_policy(Term("a", Outcome.REJECT)), 1024)
    assert replace(one) == one
    assert replace(one, normal_metric=512) != one
