"""Objects that cannot be understood: told by object and field, and nothing else is lost."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpd.calico.case import Case
from bgpd.calico.events import Changes
from bgpd.calico.keys import resource_key
from bgpd.calico.state import ClusterState
from rib.policy import Match, Outcome
from tests.support.calico_cases import (
    Object,
    a_case,
    a_node,
    a_route,
    an_object,
    node_of,
    probe,
    sessions,
    settings,
    warned,
)

N1, N2 = a_node("n1", "10.0.0.1"), a_node("n2", "10.0.0.2")
GOOD = (
    N1,
    N2,
    settings(asNumber=64600),
    an_object("IPPool", "pool", cidr="10.244.0.0/16"),
    an_object("BGPPeer", "good", peerIP="10.9.9.9", asNumber=65000),
    an_object("BGPFilter", "fine", exportV4=[{"action": "Reject"}]),
)
AFFINITIES = {"10.244.1.0/26": "confirmed"}


def essence(case: Case) -> tuple[Any, Any]:
    """Return what good objects come to."""
    return node_of(case), sessions(case)


BASE = essence(a_case(*GOOD, affinities=AFFINITIES))


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (an_object("BGPPeer", "bad", peerIP="10.9.9.8", asNumber=0), "spec.asNumber"),
        (an_object("BGPPeer", "bad", peerIP="10.9.9.8"), "spec.asNumber"),
        (an_object("BGPPeer", "bad", peerIP="10.9.9", asNumber=65000), "spec.peerIP"),
        (an_object("BGPPeer", "bad", peerIP=7, asNumber=65000), "spec.peerIP"),
        (an_object("BGPPeer", "bad", peerIP="10.9.9.8:0", asNumber=1), "spec.peerIP"),
        (an_object("BGPPeer", "bad", peerSelector="a =="), "spec.peerSelector"),
        (an_object("BGPPeer", "bad"), "spec.peerIP"),
        (an_object("Node", "bad", bgp={"ipv4Address": "10.0.0.300"}), "spec.bgp.ipv4Address"),
        (an_object("Node", "bad", bgp=[]), "spec.bgp"),
        (an_object("IPPool", "bad", cidr="10.0.0.0/40"), "spec.cidr"),
        (an_object("IPPool", "bad"), "spec.cidr"),
        (an_object("IPPool", "bad", cidr="10.9.0.0/16", disableBGPExport=[]), "spec.disableBGPExport"),
        (an_object("IPPool", "twin", cidr="10.244.0.0/16"), "spec.cidr"),
        (an_object("BGPFilter", "bad", exportV4=[{"action": "Perhaps"}]), "spec.exportV4.0.action"),
        (an_object("BGPFilter", "bad", importV4=[{"action": "Accept", "cidr": "fd00::/8", "matchOperator": "In"}]), "spec"),
        (an_object("BGPFilter", "bad", importV6="all"), "spec.importV6"),
        (an_object("ClusterInformation", "default", calicoVersion="latest"), "spec.calicoVersion"),
        (an_object("IPReservation", "bad", reservedCIDRs=["x"]), "spec.reservedCIDRs.0"),
    ],
)  # fmt: skip
def test_a_bad_object_is_reported_and_leaves_the_rest(bad: Object, field: str) -> None:
    case = a_case(*GOOD, bad, affinities=AFFINITIES)
    assert essence(case) == BASE
    ((name, fields),) = warned(case).items()
    assert name.endswith(f"/{bad['metadata']['name']}")
    assert fields == {field}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"listenPort": 70000}, "spec.listenPort"),
        ({"communities": "x"}, "spec.communities"),
        ({"communities": [{"name": "a", "value": "1:2:3:4"}]}, "spec.communities.0.value"),
        ({"bindMode": "Sometimes"}, "spec.bindMode"),
        ({"programClusterRoutes": "Maybe"}, "spec.programClusterRoutes"),
        ({"serviceClusterIPs": [{"cidr": "x"}]}, "spec.serviceClusterIPs.0.cidr"),
        ({"nodeMeshMaxRestartTime": "soon"}, "spec.nodeMeshMaxRestartTime"),
        ({"ipv4NormalRoutePriority": 0}, "spec.ipv4NormalRoutePriority"),
        ({"ignoredInterfaces": {"a": 1}}, "spec.ignoredInterfaces"),
    ],
)  # fmt: skip
def test_a_bad_field_of_the_settings_leaves_the_others_in_force(spec, field):
    cluster = settings(asNumber=64600, nodeToNodeMeshEnabled=False, **spec)
    case = a_case(N1, N2, cluster)
    assert sessions(case) == {}  # above all, there is no mesh
    assert node_of(case)["as"] == 64600
    assert warned(case) == {"bgpconfigurations/default": {field}}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"keepaliveTime": "often"}, "spec.keepaliveTime"),
        ({"nextHopMode": "Maybe"}, "spec.nextHopMode"),
        ({"numAllowedLocalASNumbers": -1}, "spec.numAllowedLocalASNumbers"),
        ({"reversePeering": 3}, "spec.reversePeering"),
        ({"filters": ["nowhere"]}, "spec.filters"),
    ],
)
def test_a_peer_without_what_it_can_do_without_still_comes(spec, field):
    peer = an_object("BGPPeer", "p", peerIP="10.9.9.9", asNumber=65000, **spec)
    case = a_case(N1, peer, settings(nodeToNodeMeshEnabled=False))
    assert list(sessions(case)) == ["Global_10_9_9_9"]
    assert warned(case) == {"bgppeers/p": {field}}


@pytest.mark.parametrize(
    "spec", [{"ttlSecurity": 300}, {"filters": "x"}, {"password": 3}]
)
def test_a_peer_does_not_come_without_what_guards_it(spec):
    peer = an_object("BGPPeer", "p", peerIP="10.9.9.9", asNumber=65000, **spec)
    case = a_case(N1, peer, settings(nodeToNodeMeshEnabled=False))
    assert sessions(case) == {}
    assert "bgppeers/p" in warned(case)


def test_an_unreadable_filter_never_lets_more_pass_than_it_did() -> None:
    peer = an_object("BGPPeer", "p", peerIP="10.9.9.9", asNumber=65000, filters=["f"])
    good = an_object("BGPFilter", "f", exportV4=[{"action": "Reject"}])
    bad = copy.deepcopy(good)
    bad["spec"]["exportV4"][0]["action"] = "Rejekt"
    state = ClusterState()
    for content in (N1, peer, good):
        state.apply(_put(content))
    before = state.desired("n1").policies
    state.apply(_put(bad))
    after = state.desired("n1")
    assert after.policies == before
    assert {warning.key for warning in after.warnings} == {
        resource_key("BGPFilter", "f")
    }


def _put(content: Object) -> Changes:
    key = resource_key(content["kind"], content["metadata"]["name"])
    return Changes(1, {key: json.dumps(content).encode()}, frozenset())


RULES = (
    {"action": "Accept", "cidr": "192.0.2.0/24", "matchOperator": "In"},
    {"action": "Rejekt", "cidr": "198.51.100.0/24", "matchOperator": "In"},
    {"action": "Accept", "cidr": "203.0.113.0/24", "matchOperator": "In"},
)


def test_a_filter_that_was_never_understood_rejects_from_its_first_bad_rule_on():
    filtered = an_object("BGPFilter", "f", exportV4=list(RULES))
    peer = an_object("BGPPeer", "p", peerIP="10.9.9.9", asNumber=65000, filters=["f"])
    routes = [
        a_route(f"{prefix}/24", learned_from="external")
        for prefix in ("192.0.2.0", "198.51.100.0", "203.0.113.0", "10.244.7.0")
    ]
    pool = an_object("IPPool", "pool", cidr="10.244.0.0/16")
    shown = probe((N1, peer, filtered, pool), *routes)
    found = [each["export"]["Global_10_9_9_9"]["accept"] for each in shown]
    assert found == [True, False, False, False]
    # What has no bad rule is as it says: there are no rules for what comes in.
    assert all(each["import"]["Global_10_9_9_9"]["accept"] for each in shown)


@pytest.mark.parametrize("value", [b"{", b"[]", b'{"spec": 3}'])
def test_a_filter_that_cannot_be_read_at_all_lets_nothing_pass(value: bytes) -> None:
    peer = an_object("BGPPeer", "p", peerIP="10.9.9.9", asNumber=65000, filters=["f"])
    key = resource_key("BGPFilter", "f")
    state = ClusterState()
    for content in (N1, peer):
        state.apply(_put(content))
    without = state.desired("n1")
    state.apply(Changes(2, {key: value}, frozenset()))
    closed = state.desired("n1")
    for name in (closed.peers[0].import_policy, closed.peers[0].export_policy):
        (spec,) = (each for each in closed.policies if each.name == name)
        assert spec.terms[0].outcome is Outcome.REJECT
        assert spec.terms[0].match == Match()
    # Still closed by another bad value, open again once it is gone.
    state.apply(Changes(3, {key: b'{"spec": {"importV4": 1}}'}, frozenset()))
    later = state.desired("n1")
    assert later.peers[0].import_policy == closed.peers[0].import_policy
    assert [w.key for w in later.warnings] == [key]
    state.apply(Changes(4, {}, frozenset({key})))
    gone = state.desired("n1")
    assert gone.policies == without.policies


@pytest.mark.parametrize(
    ("kind", "name", "good", "bad"),
    [
        ("BGPConfiguration", "default", {"nodeToNodeMeshEnabled": False}, {"nodeToNodeMeshEnabled": "off?"}),
        ("BGPConfiguration", "default", {"listenPort": 1790}, {"listenPort": 0}),
        ("BGPConfiguration", "default", {"serviceClusterIPs": [{"cidr": "10.96.0.0/12"}]}, {"serviceClusterIPs": [{"cidr": "10.96"}]}),
        ("BGPPeer", "p", {"peerIP": "10.9.9.9", "asNumber": 65000, "nextHopMode": "Keep"}, {"peerIP": "10.9.9.9", "asNumber": 65000, "nextHopMode": "Kept"}),
        ("IPPool", "pool", {"cidr": "10.244.0.0/16", "ipipMode": "Always"}, {"cidr": "10.244.0.0/16", "ipipMode": "Always?"}),
        ("Node", "n2", {"bgp": {"ipv4Address": "10.0.0.2/24"}}, {"bgp": {"ipv4Address": "10.0.0.2/240"}}),
        ("Node", "n1", {"bgp": {"ipv4Address": "10.0.0.1/24", "ipv4IPIPTunnelAddr": "10.244.1.1"}}, {"bgp": {"ipv4Address": "10.0.0.1/24", "ipv4IPIPTunnelAddr": "x"}}),
    ],
)  # fmt: skip
def test_a_field_that_turns_bad_keeps_its_last_valid_value(kind, name, good, bad):
    state = ClusterState()
    for content in (N1, N2, an_object(kind, name, **good)):
        state.apply(_put(content))
    before = state.desired("n1")
    assert before.warnings == ()
    state.apply(_put(an_object(kind, name, **bad)))
    after = state.desired("n1")
    (warning,) = after.warnings
    assert warning.text.endswith("the last valid value stays in force")
    assert replace(after, warnings=()) == before


def test_other_fields_of_an_object_with_a_bad_one_are_followed():
    state = ClusterState()
    for content in (N1, N2, settings(nodeToNodeMeshEnabled=False, asNumber=64600)):
        state.apply(_put(content))
    state.apply(_put(settings(nodeToNodeMeshEnabled=[], asNumber=64700)))
    desired = state.desired("n1")
    assert (desired.asn, desired.peers) == (64700, ())


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"bgp": {"ipv6Address": "fd00::2/200"}}, "spec.bgp.ipv6Address"),
        ({"bgp": {"ipv4IPIPTunnelAddr": "10.244"}}, "spec.bgp.ipv4IPIPTunnelAddr"),
        ({"wireguard": {"interfaceIPv4Address": 3}}, "spec.wireguard.interfaceIPv4Address"),
    ],
)  # fmt: skip
def test_a_node_takes_part_without_what_it_can_do_without(more, field):
    content = a_node("n2", "10.0.0.2")
    content["spec"]["bgp"] |= more.get("bgp", {})
    content["spec"] |= {name: more[name] for name in more if name != "bgp"}
    case = a_case(N1, content)
    assert list(sessions(case)) == ["Mesh_10_0_0_2"]
    assert warned(case) == {"nodes/n2": {field}}


def test_bad_pod_cidrs_cost_a_node_nothing_else():
    content = {**N2, "status": {"podCIDRs": ["10.244.0.0/99"]}}
    case = a_case(N1, content)
    assert list(sessions(case)) == ["Mesh_10_0_0_2"]
    assert warned(case) == {"nodes/n2": {"status.podCIDRs.0"}}


def test_of_two_pools_with_one_prefix_the_first_name_counts() -> None:
    pools = (
        an_object("IPPool", "b", cidr="10.244.0.0/16", disableBGPExport=True),
        an_object("IPPool", "a", cidr="10.244.0.0/16"),
    )
    (shown,) = probe((N1, N2, *pools), a_route("10.244.2.0/26"))
    assert shown["export"]["Mesh_10_0_0_2"]["accept"] is True


def test_a_node_that_is_deleted_and_made_again_is_as_before() -> None:
    state = ClusterState()
    for content in (N1, N2):
        state.apply(_put(content))
    before = state.desired("n1")
    state.apply(Changes(2, {}, frozenset({resource_key("Node", "n1")})))
    gone = state.desired("n1")
    assert not gone.is_known
    assert gone.peers == ()
    assert any(w.key == resource_key("Node", "n1") for w in gone.warnings)
    state.apply(_put(N1))
    again = state.desired("n1")
    assert (again.peers, again.warnings) == (before.peers, before.warnings)
    renamed = a_node("n9", "10.0.0.2")
    state.apply(Changes(3, {}, frozenset({resource_key("Node", "n2")})))
    state.apply(_put(renamed))
    assert [peer.remote_addr for peer in state.desired("n1").peers] == ["10.0.0.2"]


def test_a_node_without_bgp_takes_no_part_and_no_blame() -> None:
    case = a_case(*GOOD, an_object("Node", "n3"), affinities=AFFINITIES)
    assert essence(case) == BASE
    assert warned(case) == {}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "cidr",
                    "name",
                    "action",
                    "values",
                    "prefix",
                    "min",
                    "x",
                    "communities",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
FIELDS = {
    "Node": ["bgp", "wireguard", "orchRefs"],
    "BGPConfiguration": ["communities", "prefixAdvertisements", "serviceClusterIPs"],
    "BGPPeer": ["peerIP", "asNumber", "peerSelector", "filters", "reachableBy"],
    "BGPFilter": ["exportV4", "importV6"],
    "IPPool": ["cidr", "ipipMode", "disableBGPExport"],
    "ClusterInformation": ["calicoVersion"],
}


@given(
    st.sampled_from(sorted(FIELDS)).flatmap(
        lambda kind: st.tuples(
            st.just(kind),
            st.dictionaries(st.sampled_from(FIELDS[kind]), json_values, max_size=3),
        )
    )
)
def test_whatever_an_object_holds_nothing_raises_and_others_stay(given_object):
    kind, spec = given_object
    case = a_case(*GOOD, an_object(kind, "zz-any", **spec), affinities=AFFINITIES)
    _, found = essence(case)
    for name, session in BASE[1].items():
        assert found[name] == session or kind in ("BGPPeer", "Node")


# -- whole objects with something else in one place -----------------------------------------

RULE = {
    "action": "Accept",
    "cidr": "192.0.2.0/24",
    "matchOperator": "In",
    "prefixLength": {"min": 24, "max": 28},
    "source": "RemotePeers",
    "interface": "eth*",
    "peerType": "eBGP",
    "communities": {"values": ["65000:1"]},
    "asPathPrefix": [65000],
    "priority": 512,
    "operations": [
        {"addCommunity": {"value": "65000:1:2"}},
        {"prependASPath": {"prefix": [65001]}},
        {"setPriority": {"value": 1024}},
    ],
}
# None of them concerns what BASE looks at; those of nodes may add a session.
STRANGERS = (
    an_object("Node", "n3", bgp={"ipv4Address": "10.0.0.3/24", "ipv6Address": "fd00::3/64", "asNumber": 64601, "routeReflectorClusterID": "244.0.0.3", "ipv4IPIPTunnelAddr": "10.244.3.1"}, wireguard={"interfaceIPv4Address": "10.244.3.2"}),
    settings("node.n3", listenPort=1790, communities=[{"name": "a", "value": "65000:1"}], prefixAdvertisements=[{"cidr": "10.244.0.0/16", "communities": ["a"]}]),
    an_object("BGPPeer", "stranger", node="n3", peerIP="10.9.9.3:1790", asNumber=65000, localASNumber=65001, nextHopMode="Self", password={"secretKeyRef": {"name": "s", "key": "k"}}, sourceAddress="None", maxRestartTime="1m", keepaliveTime="5s", numAllowedLocalASNumbers=1, ttlSecurity=1, reachableBy="10.0.0.9", filters=["stranger"], reversePeering="Auto"),
    an_object("BGPPeer", "strangers", nodeSelector="has(nothing)", peerSelector="rack == 'a'", keepOriginalNextHop=True),
    an_object("BGPFilter", "stranger", exportV4=[RULE], importV6=[{"action": "Reject"}]),
    an_object("IPPool", "stranger", cidr="10.200.0.0/16", ipipMode="Always", vxlanMode="Never", disableBGPExport=False, nodeSelector="all()"),
    an_object("IPReservation", "stranger", reservedCIDRs=["10.244.0.0/28"]),
)  # fmt: skip
VALUES = st.one_of(
    json_values,
    st.sampled_from(
        [-1, 2**70, "10.0.0.0/33", "fe80::1%eth0", "10.0.0.1:99999", "a ==", "all()", "1:2:3:4", "-5s", "\ud800"]
    ),
)  # fmt: skip


def places(content: Any) -> list[tuple[Any, ...]]:
    """Return where something stands inside ``content``."""
    items: Any = ()
    if isinstance(content, dict):
        items = content.items()
    elif isinstance(content, list):
        items = enumerate(content)
    return [(name, *rest) for name, value in items for rest in ((), *places(value))]


@given(st.data())
def test_something_else_in_one_place_of_an_object_concerns_that_object_alone(data):
    content = copy.deepcopy(data.draw(st.sampled_from(STRANGERS)))
    at = data.draw(st.sampled_from(places(content["spec"])))
    inner = content["spec"]
    for name in at[:-1]:
        inner = inner[name]
    inner[at[-1]] = data.draw(VALUES)
    case = a_case(*GOOD, content, affinities=AFFINITIES)
    base, found = BASE[1], sessions(case)
    assert {name: found.get(name) for name in base} == base
    assert node_of(case) == BASE[0] or content["kind"] == "BGPPeer"
    assert set(found) == set(base) or content["kind"] in ("Node", "BGPPeer")
    # Findings name it, and no other object.
    name = content["metadata"]["name"]
    assert all(key.endswith(f"/{name}") for key in warned(case))
