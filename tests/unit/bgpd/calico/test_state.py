from dataclasses import replace
from typing import Any

import pytest

from bgpd.calico import Changes, ClusterState, NodeDesired, Snapshot, Touched
from bgpd.calico.blocks import parse_block
from bgpd.calico.keys import (
    affinity_key,
    prefixes,
    resource_key,
    split_resource_key,
)
from bgpd.calico.planner import hashed_router_id
from bgpd.calico.state import TEMPLATE
from bgpd.datastore.manifests import item_of
from bgpd.session.settings import (
    AddPathMode,
    FamilySettings,
    NextHopMode,
    PeerSettings,
)
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from tests.support.manifests import affinity, node, resource


def items(*manifests: dict[str, Any]) -> dict[str, bytes]:
    return dict(item_of(manifest) for manifest in manifests)


def state_of(*manifests: dict[str, Any]) -> ClusterState:
    state = ClusterState()
    state.apply(Snapshot(1, items(*manifests)))
    return state


def desired(name: str, *manifests: dict[str, Any]) -> NodeDesired:
    return state_of(*manifests).desired(name)


def by_addr(wanted: NodeDesired) -> dict[str, PeerSettings]:
    assert len({peer.remote_addr for peer in wanted.peers}) == len(wanted.peers)
    return {peer.remote_addr: peer for peer in wanted.peers}


def configuration(name: str = "default", **spec: Any) -> dict[str, Any]:
    return resource("BGPConfiguration", name, **spec)


FOUR = [node(f"n{i}", f"172.2.2.{i}/24") for i in range(11, 15)]
REFLECTORS = [
    node(
        f"rr{i}",
        f"172.2.2.{i}/24",
        routeReflectorClusterID="244.0.0.1",
        labels={"reflector": "true"},
    )
    for i in (21, 22)
]
TO_REFLECTORS = resource(
    "BGPPeer",
    "to-reflectors",
    nodeSelector="!has(reflector)",
    peerSelector="has(reflector)",
)
BETWEEN = resource(
    "BGPPeer",
    "between",
    nodeSelector="has(reflector)",
    peerSelector="has(reflector)",
)
ADDRS = {f"172.2.2.{i}" for i in range(11, 15)}


def test_without_settings_all_nodes_are_a_mesh() -> None:
    wanted = desired("n12", *FOUR)
    peers = by_addr(wanted)
    assert peers.keys() == ADDRS - {"172.2.2.12"}
    assert wanted.asn == 64512
    assert (wanted.ipv4_addr, wanted.router_id) == ("172.2.2.12", "172.2.2.12")
    assert wanted.listen_port == 179
    peer = peers["172.2.2.14"]
    assert peer.name == "Mesh_172_2_2_14"
    assert (peer.remote_as, peer.local_as) == (64512, 64512)
    assert peer.local_addr == "172.2.2.12"
    assert [each.family for each in peer.families] == [IPV4_UNICAST]
    assert not peer.is_client
    assert wanted.warnings == ()


def test_the_greater_text_connects_to_the_lower() -> None:
    nodes = [node("a", "10.0.0.9/24"), node("b", "10.0.0.10/24")]
    assert by_addr(desired("a", *nodes))["10.0.0.10"].is_passive is False
    assert by_addr(desired("b", *nodes))["10.0.0.9"].is_passive is True


def test_families_have_sessions_of_their_own() -> None:
    nodes = [
        node("a", "10.0.0.1/24", ipv6Address="fd00::1/64"),
        node("b", "10.0.0.2/24", ipv6Address="fd00:0::2/64"),
        node("c", ipv6Address="fd00::3/64"),
    ]
    wanted = desired("a", *nodes)
    assert wanted.ipv6_addr == "fd00::1"
    assert {
        peer.name: (peer.families[0].family, peer.local_addr) for peer in wanted.peers
    } == {
        "Mesh_10_0_0_2": (IPV4_UNICAST, "10.0.0.1"),
        "Mesh_fd00__2": (IPV6_UNICAST, "fd00::1"),
        "Mesh_fd00__3": (IPV6_UNICAST, "fd00::1"),
    }
    alone = desired("c", *nodes)
    assert by_addr(alone).keys() == {"fd00::1", "fd00::2"}
    assert alone.router_id == hashed_router_id("c")


@pytest.mark.parametrize(
    ("name", "router_id"),
    [
        ("kube-master", "25.79.212.8"),
        ("node1", "202.18.243.27"),
        ("nodeTest", "109.174.215.226"),
        ("Testrobin123", "207.94.5.27"),
    ],
)
def test_hashed_router_ids_are_calicos(name: str, router_id: str) -> None:
    assert hashed_router_id(name) == router_id


def test_mesh_to_reflectors_goes_by_the_datastore_alone() -> None:
    state = state_of(*FOUR)
    assert by_addr(state.desired("n11")).keys() == ADDRS - {"172.2.2.11"}

    state.apply(Changes(2, items(*REFLECTORS), frozenset()))
    assert by_addr(state.desired("n11")).keys() == ADDRS - {"172.2.2.11"}
    assert state.desired("rr21").peers == ()

    state.apply(Changes(3, items(TO_REFLECTORS, BETWEEN), frozenset()))
    both = by_addr(state.desired("n11"))
    assert both.keys() == (ADDRS | {"172.2.2.21", "172.2.2.22"}) - {"172.2.2.11"}
    assert both["172.2.2.21"].name == "Node_172_2_2_21"
    assert not both["172.2.2.21"].is_client

    state.apply(
        Changes(4, items(configuration(nodeToNodeMeshEnabled=False)), frozenset())
    )
    assert by_addr(state.desired("n11")).keys() == {"172.2.2.21", "172.2.2.22"}

    reflector = state.desired("rr21")
    assert reflector.cluster_id == "244.0.0.1"
    peers = by_addr(reflector)
    assert peers.keys() == ADDRS | {"172.2.2.22"}
    assert {addr for addr, peer in peers.items() if peer.is_client} == ADDRS
    assert {peer.cluster_id for peer in peers.values() if peer.is_client} == {
        "244.0.0.1"
    }
    assert not any(peer.is_passive for peer in peers.values())


def test_a_global_peer_that_is_a_reflector_makes_it_peer_back() -> None:
    manifests = [
        *FOUR,
        REFLECTORS[0],
        resource("BGPPeer", "rr", peerIP="172.2.2.21", asNumber=64512),
    ]
    mine = by_addr(desired("n11", *manifests))["172.2.2.21"]
    assert mine.name == "Global_172_2_2_21"
    assert mine.is_passive
    theirs = by_addr(desired("rr21", *manifests))
    assert theirs.keys() == ADDRS
    assert all(peer.is_client and not peer.is_passive for peer in theirs.values())


def test_manual_peers_are_not_reversed() -> None:
    manifests = [
        *FOUR,
        REFLECTORS[0],
        resource(
            "BGPPeer",
            "rr",
            peerIP="172.2.2.21",
            asNumber=64512,
            reversePeering="Manual",
        ),
    ]
    assert desired("rr21", *manifests).peers == ()


def test_a_peer_takes_the_place_of_the_mesh_session() -> None:
    manifests = [
        *FOUR,
        resource("BGPPeer", "p", node="n11", peerIP="172.2.2.12", asNumber=64512),
    ]
    peers = by_addr(desired("n11", *manifests))
    assert peers["172.2.2.12"].description == "BGPPeer p"
    assert peers["172.2.2.12"].node == "n12"
    assert peers["172.2.2.13"].description == "mesh with n13"
    assert peers["172.2.2.13"].node == "n13"
    assert by_addr(desired("n12", *manifests))["172.2.2.11"].name == "Node_172_2_2_11"


def test_settings_of_a_gateway() -> None:
    wanted = desired(
        "n11",
        *FOUR,
        resource(
            "BGPPeer",
            "gateway",
            nodeSelector="all()",
            peerIP="172.2.2.1:1790",
            asNumber="65001",
            localASNumber=65100,
            ttlSecurity=1,
            keepaliveTime="10s",
            maxRestartTime="1m30s",
            numAllowedLocalASNumbers=2,
            keepOriginalNextHop=True,
            sourceAddress="None",
        ),
    )
    gateway = by_addr(wanted)["172.2.2.1"]
    assert gateway.name == "Node_172_2_2_1_port_1790"
    assert (gateway.port, gateway.remote_as, gateway.local_as) == (1790, 65001, 65100)
    assert (gateway.ttl_security_hops, gateway.multihop_ttl) == (1, 0)
    assert (gateway.keepalive_time, gateway.graceful_restart_time) == (10, 90)
    assert gateway.allow_own_as == 2
    assert gateway.next_hop is NextHopMode.KEEP
    assert gateway.local_addr == ""
    assert gateway.import_policy == "accept-all"  # named, for RFC 8212 denies else
    assert gateway.export_policy == "calico-export-ipv4-external"
    assert wanted.warnings == ()


@pytest.mark.parametrize(
    ("mode", "keeps", "asn", "expected"),
    [
        ("Auto", True, 65001, NextHopMode.AUTO),
        ("Self", False, 64512, NextHopMode.SELF_ALL),
        ("Keep", False, 65001, NextHopMode.KEEP),
        (None, True, 64512, NextHopMode.AUTO),
    ],
)
def test_next_hop_modes(
    mode: str | None, *, keeps: bool, asn: int, expected: NextHopMode
) -> None:
    peer = resource(
        "BGPPeer",
        "p",
        peerIP="172.2.2.1",
        asNumber=asn,
        nextHopMode=mode,
        keepOriginalNextHop=keeps,
    )
    assert by_addr(desired("n11", FOUR[0], peer))["172.2.2.1"].next_hop is expected


def test_ports_and_as_numbers_of_nodes() -> None:
    manifests = [
        node("a", "10.0.0.1/24", asNumber="1.10"),
        node("b", "10.0.0.2/24"),
        configuration(asNumber=65000, listenPort=1179, bindMode="NodeIP"),
        configuration("node.b", listenPort=2179),
    ]
    a, b = desired("a", *manifests), desired("b", *manifests)
    assert (a.asn, b.asn) == (65546, 65000)
    assert (a.listen_port, b.listen_port) == (1179, 2179)
    assert a.listens_on_node_addr
    assert by_addr(a)["10.0.0.2"].port == 2179
    assert by_addr(b)["10.0.0.1"].remote_as == 65546


def test_one_bad_peer_leaves_the_others() -> None:
    good = resource("BGPPeer", "good", peerIP="172.2.2.1", asNumber=65001)
    bad = {
        "a": resource("BGPPeer", "a", peerIP="nonsense", asNumber=65001),
        "b": resource("BGPPeer", "b", peerIP="172.2.2.3", asNumber=0),
        "c": resource("BGPPeer", "c", peerIP="172.2.2.4"),
        "d": resource("BGPPeer", "d", peerSelector="=="),
        "e": resource("BGPPeer", "e", peerIP="172.2.2.5:0", asNumber=65001),
        "f": resource("BGPPeer", "f", nodeSelector="(", peerSelector="all()"),
        "g": resource("BGPPeer", "g"),
        "h": resource(
            "BGPPeer", "h", peerIP="172.2.2.6", asNumber=65001, ttlSecurity=-1
        ),
        "i": resource("BGPPeer", "i", peerIP=["172.2.2.7"], asNumber=65001),
        "j": resource("BGPPeer", "j", peerIP="172.2.2.8", asNumber=[], filters={}),
    }
    wanted = desired("n11", FOUR[0], good, *bad.values())
    assert by_addr(wanted).keys() == {"172.2.2.1"}
    assert {warning.key for warning in wanted.warnings} == {
        resource_key("BGPPeer", name) for name in bad
    }
    fields = {warning.key[-1]: warning.field for warning in wanted.warnings}
    assert fields["a"] == "spec.peerIP"
    assert fields["b"] == "spec.asNumber"
    assert fields["d"] == "spec.peerSelector"


def test_what_has_no_effect_is_reported() -> None:
    peer = resource(
        "BGPPeer",
        "p",
        peerIP="172.2.2.1",
        asNumber=65001,
        filters=["f"],
        password={"secretKeyRef": {"name": "s", "key": "k"}},
    )
    wanted = desired("n11", FOUR[0], peer)
    assert {warning.field for warning in wanted.warnings} == {
        "spec.filters",
        "spec.password",
    }
    assert by_addr(wanted).keys() == {"172.2.2.1"}


NODE_KEY = resource_key("Node", "n12")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"7",
        b'{"spec":{"bgp":{"ipv4Address":"10.0.0.300/24"}}}',
        b'{"spec":{"bgp":{"ipv4Address":"fd00::1/64"}}}',
        b'{"spec":{"bgp":{"asNumber":4294967296}}}',
        b'{"spec":{"bgp":{"routeReflectorClusterID":"x"}}}',
        b'{"spec":[]}',
        b"[" * 100_000,
    ],
)
def test_a_bad_node_keeps_what_was_understood(value: bytes) -> None:
    state = state_of(*FOUR)
    before = state.desired("n11")
    state.apply(Changes(2, {NODE_KEY: value}, frozenset()))
    after = state.desired("n11")
    assert after.peers == before.peers
    assert {warning.key for warning in after.warnings} == {NODE_KEY}
    state.apply(Changes(3, {}, frozenset({NODE_KEY})))
    assert "172.2.2.12" not in by_addr(state.desired("n11"))
    assert state.desired("n11").warnings == ()
    state.apply(Changes(4, {NODE_KEY: value}, frozenset()))
    assert "172.2.2.12" not in by_addr(state.desired("n11"))


@pytest.mark.parametrize(
    "value",
    [
        b"{}",
        b'{"metadata":null,"spec":null}',
        b'{"metadata":{"labels":null},"spec":{"bgp":null}}',
        b'{"spec":{"bgp":{"ipv4Address":null,"asNumber":null}}}',
        b'{"spec":{"bgp":{"ipv4Address":"","routeReflectorClusterID":""}}}',
    ],
)
def test_null_and_absent_fields_are_not_errors(value: bytes) -> None:
    state = state_of(*FOUR)
    state.apply(Changes(2, {NODE_KEY: value}, frozenset()))
    assert state.warnings() == frozenset()
    assert "172.2.2.12" not in by_addr(state.desired("n11"))


def test_unknown_keys_are_reported_or_ignored() -> None:
    state = state_of(FOUR[0])
    strange = "/calico/resources/v3/projectcalico.org/gadgets/x"
    touched = state.apply(
        Changes(2, {strange: b"{}", "/calico/ipam/v2/config": b"{}"}, frozenset())
    )
    assert not touched.is_topology
    assert [warning.key for warning in state.warnings()] == [strange]
    state.apply(Changes(3, {}, frozenset({strange})))
    assert state.warnings() == frozenset()


def test_own_blocks_are_originated_and_others_known() -> None:
    wanted = desired(
        "n12",
        *FOUR,
        affinity("n12", "10.244.44.192/26"),
        affinity("n12", "10.244.45.0/26", ""),
        affinity("n12", "10.244.46.0/26", "pending"),
        affinity("n12", "10.244.47.0/26", "pendingDeletion"),
        affinity("n14", "10.244.128.0/26"),
    )
    assert {str(block) for block in wanted.originated} == {
        "10.244.44.192/26",
        "10.244.45.0/26",
        "10.244.47.0/26",
    }
    assert wanted.cluster_blocks == {"n14": {parse_block("10.244.128.0/26")}}


def test_an_affinity_event_touches_its_node_only() -> None:
    state = state_of(*FOUR)
    peers = state.desired("n12").peers
    touched = state.apply(
        Changes(2, items(affinity("n12", "10.1.0.0/26")), frozenset())
    )
    assert touched == Touched(frozenset({"n12"}), is_topology=False)
    assert state.desired("n12").peers is peers
    assert state.revision == 2
    gone = frozenset({affinity_key("n12", "10.1.0.0/26"), "/calico/ipam/v2/host/n12"})
    assert state.apply(Changes(3, {}, gone)).nodes == {"n12"}
    assert state.originated("n12") == frozenset()


def test_a_snapshot_equals_the_changes_that_lead_there() -> None:
    final = items(*FOUR[1:], *REFLECTORS, TO_REFLECTORS, affinity("n12", "10.1.0.0/26"))
    incremental = state_of(*FOUR, BETWEEN, affinity("n14", "10.2.0.0/26"))
    gone = items(FOUR[0], BETWEEN, affinity("n14", "10.2.0.0/26")).keys()
    incremental.apply(Changes(2, final, frozenset(gone)))
    at_once = ClusterState()
    at_once.apply(Snapshot(2, final))
    replaced = state_of(*FOUR, BETWEEN, affinity("n14", "10.2.0.0/26"))
    replaced.apply(Snapshot(2, final))
    for name in ("n11", "n12", "n13", "rr21", "unknown"):
        assert incremental.desired(name) == at_once.desired(name)
        assert replaced.desired(name) == at_once.desired(name)


def test_the_same_snapshot_again_touches_nothing() -> None:
    state = state_of(*FOUR, affinity("n12", "10.1.0.0/26"))
    touched = state.apply(Snapshot(9, items(*FOUR, affinity("n12", "10.1.0.0/26"))))
    assert touched == Touched(frozenset(), is_topology=False)


def test_an_unknown_node_has_blocks_but_no_peers() -> None:
    wanted = desired("n99", *FOUR, affinity("n99", "10.1.0.0/26"))
    assert not wanted.is_known
    assert wanted.peers == ()
    assert len(wanted.originated) == 1
    assert wanted.asn == 64512
    assert [warning.key for warning in wanted.warnings] == [resource_key("Node", "n99")]


def test_one_address_of_two_nodes_is_reported() -> None:
    wanted = desired("n11", *FOUR, node("n15", "172.2.2.12/24"))
    assert by_addr(wanted)["172.2.2.12"].description == "mesh with n12"
    assert [str(warning) for warning in wanted.warnings] == [
        f"{resource_key('Node', 'n15')} spec.bgp: 172.2.2.12 is also the address of n12"
    ]


def test_a_template_gives_what_calico_leaves_open() -> None:
    families = (FamilySettings(IPV6_UNICAST, add_path=AddPathMode.BOTH),)
    template = replace(TEMPLATE, hold_time=9, families=families)
    state = ClusterState(template)
    state.apply(Snapshot(1, items(*FOUR)))
    peer = state.desired("n11").peers[0]
    assert peer.hold_time == 9
    assert peer.families == (FamilySettings(IPV4_UNICAST, add_path=AddPathMode.BOTH),)


def test_a_reflector_of_another_cluster_is_a_client() -> None:
    other = node("rr31", "172.2.2.31/24", routeReflectorClusterID="244.0.0.2")
    peer = resource("BGPPeer", "p", node="rr21", peerSelector="all()")
    peers = by_addr(desired("rr21", *REFLECTORS, other, peer))
    assert {addr: each.is_client for addr, each in peers.items()} == {
        "172.2.2.22": False,
        "172.2.2.31": True,
    }


def test_families_that_the_node_lacks_are_left_out() -> None:
    peer = resource("BGPPeer", "p", peerIP="fd00::1", asNumber=65001)
    assert desired("n11", FOUR[0], peer).peers == ()


def test_mesh_restart_time_is_the_clusters() -> None:
    settings = configuration(nodeMeshMaxRestartTime="1m")
    assert desired("n11", *FOUR, settings).peers[0].graceful_restart_time == 60
    settings = configuration(nodeMeshMaxRestartTime="2 minutes")
    wanted = desired("n11", *FOUR, settings)
    assert wanted.warnings[0].field == "spec.nodeMeshMaxRestartTime"
    assert len(wanted.peers) == 3


def test_pools_are_there_by_name() -> None:
    wanted = desired(
        "n11",
        FOUR[0],
        resource("IPPool", "b", cidr="10.244.0.0/16", ipipMode="CrossSubnet"),
        resource("IPPool", "a", cidr="fd00::/48", disableBGPExport=True),
        resource("IPPool", "bad", cidr="10.0.0.0/40"),
    )
    assert list(wanted.pools) == ["a", "b"]
    assert wanted.pools["b"].spec.ipip_mode == "CrossSubnet"
    assert wanted.pools["a"].spec.is_export_disabled
    assert wanted.warnings[0].field == "spec.cidr"


def test_link_local_peers_keep_their_interface() -> None:
    peer = resource("BGPPeer", "p", peerIP="fe80::1%eth0", asNumber=65001)
    (only,) = desired("a", node("a", ipv6Address="fd00::1/64"), peer).peers
    assert only.remote_addr == "fe80::1%eth0"
    assert only.interface == "eth0"


def test_prefixes_of_one_node_leave_other_nodes_blocks_out() -> None:
    assert "/calico/ipam/v2/host/n1/" in prefixes("n1")
    assert "/calico/ipam/v2/host/" in prefixes()
    assert resource_key("Node", "x").startswith(prefixes()[0])
    assert split_resource_key(resource_key("BGPPeer", "a.b")) == ("BGPPeer", "a.b")
    assert split_resource_key("/calico/ipam/v2/config") is None


def test_policies_of_the_template_go_before_calico_s() -> None:
    objects = items(FOUR[0], FOUR[1])
    default = state_of(FOUR[0], FOUR[1]).desired("n11").peers[0]
    assert default.export_policy == "calico-export-ipv4-internal"
    state = ClusterState(replace(TEMPLATE, import_policy="checked"))
    state.apply(Snapshot(1, objects))
    (peer,) = state.desired("n11").peers
    assert peer.import_policy == "checked"
