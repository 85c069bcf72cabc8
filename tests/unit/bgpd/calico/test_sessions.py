"""Sessions that a cluster's objects make, beyond the cases of Calico's own tests."""

from hashlib import sha256
from typing import Any

import pytest

from bgpd.calico.planner import hashed_router_id
from tests.support.calico_cases import (
    a_case,
    a_node,
    an_object,
    node_of,
    sessions,
    settings,
    warned,
)

N1, N2 = a_node("n1", "10.0.0.1"), a_node("n2", "10.0.0.2")
NO_MESH = settings(nodeToNodeMeshEnabled=False)


@pytest.mark.parametrize(
    ("mine", "theirs", "is_passive"),
    [
        ("10.0.0.9", "10.0.0.10", False),  # "9" is above "1", as text
        ("10.0.0.10", "10.0.0.9", True),
        ("10.0.0.2", "10.0.0.3", True),
    ],
)
def test_the_passive_end_follows_from_the_texts_not_the_numbers(
    mine, theirs, is_passive
):
    case = a_case(a_node("n1", mine), a_node("n2", theirs))
    (session,) = sessions(case).values()
    assert session["passive"] is is_passive


def test_reflectors_of_one_cluster_are_plain_peers_and_of_two_clients_of_each_other():
    peer = an_object("BGPPeer", "rr", nodeSelector="all()", peerSelector="has(rr)")
    for other, is_client in (("244.0.0.1", False), ("244.0.0.2", True)):
        case = a_case(
            a_node("n1", "10.0.0.1", routeReflectorClusterID="244.0.0.1"),
            a_node(
                "n2", "10.0.0.2", routeReflectorClusterID=other, labels={"rr": "true"}
            ),
            peer,
            NO_MESH,
        )
        session = sessions(case)["Node_10_0_0_2"]
        assert session["rr_client"] is is_client
        assert session["cluster_id"] == ("244.0.0.1" if is_client else None)


@pytest.mark.parametrize(("compat", "remote_as"), [("3.34", 65001), ("3.31", 64600)])
def test_a_mesh_node_without_an_as_is_in_ours_or_before_in_the_cluster_s(
    compat, remote_as
):
    case = a_case(
        a_node("n1", "10.0.0.1", asNumber=65001),
        N2,
        settings(asNumber=64600),
        compat=compat,
    )
    (session,) = sessions(case).values()
    assert session["remote_as"] == remote_as
    assert session["internal"] is (compat == "3.34")


def test_the_hold_time_is_three_keepalives():
    peer = an_object(
        "BGPPeer", "p", peerIP="10.9.9.9", asNumber=65000, keepaliveTime="1m1s"
    )
    case = a_case(N1, peer, NO_MESH)
    (session,) = sessions(case).values()
    assert session["keepalive_s"] == 61
    (settings_,) = case.desired.peers
    assert (settings_.keepalive_time, settings_.hold_time) == (61, 183)


def test_an_explicit_peering_takes_the_place_of_the_mesh_s_session():
    peer = an_object("BGPPeer", "p", peerSelector="all()")
    found = sessions(a_case(N1, N2, peer))
    assert list(found) == ["Global_10_0_0_2"]
    alone = a_case(N1, N2).desired.peers[0]
    beside = a_case(N1, N2, peer).desired.peers[0]
    # What both say of the wire is the same: nothing is reset.
    assert (alone.remote_addr, alone.local_addr, alone.hold_time, alone.families) == (
        beside.remote_addr,
        beside.local_addr,
        beside.hold_time,
        beside.families,
    )


def test_a_node_without_ipv4_still_has_its_ipv6_sessions():
    nodes = (
        an_object("Node", "n1", bgp={"ipv6Address": "fd00::1/64"}),
        an_object("Node", "n2", bgp={"ipv6Address": "fd00::2/64"}),
    )
    case = a_case(*nodes)
    assert list(sessions(case)) == ["Mesh_fd00__2"]
    assert node_of(case)["router_id"] == hashed_router_id("n1")
    asked = a_case(*nodes, env={"CALICO_ROUTER_ID": "192.0.2.7"})
    assert node_of(asked)["router_id"] == "192.0.2.7"


def test_an_own_address_stands_in_the_explicit_session_only_if_wanted():
    for source, address in (("UseNodeIP", "10.0.0.1"), ("None", None)):
        peer = an_object(
            "BGPPeer", "p", peerIP="10.9.9.9", asNumber=65000, sourceAddress=source
        )
        (session,) = sessions(a_case(N1, peer, NO_MESH)).values()
        assert session["source_address"] == address


def test_the_port_of_a_node_counts_where_a_peer_is_that_node():
    peer = an_object("BGPPeer", "p", peerIP="10.0.0.2", asNumber=64512)
    case = a_case(N1, N2, peer, settings("node.n2", listenPort=1790), NO_MESH)
    (session,) = sessions(case).values()
    assert (session["name"], session["remote_port"]) == (
        "Global_10_0_0_2_port_1790",
        1790,
    )


def test_a_password_is_the_secret_s_or_none():
    reference = {"secretKeyRef": {"name": "bgp", "key": "rr"}}
    peer = an_object(
        "BGPPeer", "p", peerIP="10.9.9.9", asNumber=65000, password=reference
    )
    secret = {
        "kind": "Secret",
        "metadata": {"name": "bgp", "namespace": "kube-system"},
        "stringData": {"rr": "hush"},
    }
    known = a_case(N1, peer, NO_MESH, kubernetes=[secret])
    (session,) = sessions(known).values()
    assert session["password_fingerprint"] == sha256(b"hush").hexdigest()[:8]
    assert not warned(known)
    unknown = a_case(N1, peer, NO_MESH)
    (session,) = sessions(unknown).values()
    assert session["password"] is False
    assert warned(unknown) == {"bgppeers/p": {"spec.password"}}
    assert "hush" not in repr(known.desired)


def test_a_mesh_has_the_password_and_restart_time_of_the_cluster():
    secret = {
        "kind": "Secret",
        "metadata": {"name": "bgp"},
        "data": {"mesh": "aHVzaA=="},
    }
    cluster = settings(
        nodeMeshPassword={"secretKeyRef": {"name": "bgp", "key": "mesh"}},
        nodeMeshMaxRestartTime="90s",
    )
    (session,) = sessions(a_case(N1, N2, cluster, kubernetes=[secret])).values()
    assert session["password"] is True
    assert session["restart_time_s"] == 90


def test_local_workloads_peer_with_their_node_and_open_the_session():
    peer = an_object(
        "BGPPeer", "pods", asNumber=65009, localWorkloadSelector="app == 'router'"
    )
    endpoint = {
        "ifaceName": "cali123",
        "ipv4Nets": ["10.244.1.5/32"],
        "ipv6Nets": [],
        "bgpPeerName": "pods",
    }
    other = {**endpoint, "ipv4Nets": ["10.244.1.6/32"], "bgpPeerName": "else"}
    case = a_case(N1, peer, NO_MESH, local_endpoints=[endpoint, other])
    (session,) = sessions(case).values()
    assert session["name"] == "Local_Workload_10_244_1_5"
    assert session["passive"] is True
    assert session["source_address"] is None
    assert session["remote_as"] == 65009


def test_a_reverse_peering_is_made_unless_it_is_done_by_hand():
    for mode, names in (("Auto", ["Node_10_0_0_2"]), ("Manual", [])):
        peer = an_object(
            "BGPPeer", "p", node="n2", peerSelector="has(rr)", reversePeering=mode
        )
        case = a_case(a_node("n1", "10.0.0.1", labels={"rr": ""}), N2, peer, NO_MESH)
        assert list(sessions(case)) == names


@pytest.mark.parametrize(
    ("port", "cluster", "own", "is_named"),
    [
        ("", None, None, True),
        (":1790", None, None, True),  # no port is set: any fits
        (":1790", 1790, None, True),
        (":1791", 1790, None, False),
        (":1790", None, 1790, True),
        (":1791", None, 1790, False),
        (":1790", 1790, 1791, False),
        (":1791", 1790, 1791, False),  # the cluster's must fit too
    ],
)
def test_a_port_names_this_node_as_confd_compares_it(port, cluster, own, is_named):
    peer = an_object(
        "BGPPeer", "p", node="n2", peerIP=f"10.0.0.1{port}", asNumber=64512
    )
    ports = {"listenPort": cluster} if cluster else {}
    more = [settings("node.n1", listenPort=own)] if own else []
    case = a_case(N1, N2, peer, settings(nodeToNodeMeshEnabled=False, **ports), *more)
    assert bool(sessions(case)) is is_named


def test_an_address_is_pointed_at_in_its_family_and_with_its_as():
    own = a_node("n1", "10.0.0.1", ipv6Address="fd00::1/64")
    other = a_node("n2", "10.0.0.2", ipv6Address="fd00::2/64")
    for addr, asn, names in (
        ("10.0.0.1", 64512, ["Node_10_0_0_2"]),
        ("fd00::1", 64512, ["Node_fd00__2"]),
        ("10.0.0.1", 64513, []),
    ):
        peer = an_object("BGPPeer", "p", node="n2", peerIP=addr, asNumber=asn)
        assert list(sessions(a_case(own, other, peer, NO_MESH))) == names


def test_a_node_selector_goes_before_a_node():
    peer = an_object(
        "BGPPeer",
        "p",
        node="n2",
        nodeSelector="has(edge)",
        peerIP="10.9.9.9",
        asNumber=65000,
    )
    case = a_case(a_node("n1", "10.0.0.1", labels={"edge": ""}), peer, NO_MESH)
    assert list(sessions(case)) == ["Node_10_9_9_9"]
    assert warned(case) == {"bgppeers/p": {"spec.node"}}


def test_an_as_of_our_own_counts_where_the_far_end_is_an_address():
    fields = {"localASNumber": 65001, "numAllowedLocalASNumbers": 2}
    by_addr = an_object("BGPPeer", "p", peerIP="10.9.9.9", asNumber=65001, **fields)
    (session,) = sessions(a_case(N1, by_addr, NO_MESH)).values()
    assert (session["local_as"], session["internal"]) == (65001, True)
    assert session["allow_local_as"] == 2
    by_selector = an_object("BGPPeer", "p", peerSelector="all()", **fields)
    (session,) = sessions(a_case(N1, N2, by_selector, NO_MESH)).values()
    assert (session["local_as"], session["allow_local_as"]) == (64512, None)


def test_hops_are_bounded_or_many():
    for hops, expected in ((0, (0, 64)), (3, (3, 0))):
        peer = an_object(
            "BGPPeer", "p", peerIP="10.9.9.9", asNumber=65000, ttlSecurity=hops
        )
        case = a_case(N1, peer, NO_MESH)
        (made,) = case.desired.peers
        assert (made.ttl_security_hops, made.multihop_ttl) == expected
        (session,) = sessions(case).values()
        assert session["ttl_security"] == (hops or None)


def test_two_ports_of_one_address_are_two_sessions_of_which_one_can_run():
    peers = [
        an_object("BGPPeer", f"p{port}", peerIP=f"10.9.9.9:{port}", asNumber=65000)
        for port in (1790, 1791)
    ]
    case = a_case(N1, *peers, NO_MESH)
    assert len(sessions(case)) == 2
    assert "nodes/n1" in warned(case)


def test_the_way_to_a_peer_through_a_gateway_is_a_static_route():
    peer = an_object(
        "BGPPeer", "p", peerIP="10.9.9.9", asNumber=65000, reachableBy="10.0.0.254"
    )
    statics = node_of(a_case(N1, peer, NO_MESH))["static_routes"]["ipv4"]
    assert statics == [{"cidr": "10.9.9.9/32", "via": "10.0.0.254", "kernel": True}]
    for gateway in ("fd00::1", "nonsense"):
        peer["spec"]["reachableBy"] = gateway
        case = a_case(N1, peer, NO_MESH)
        assert node_of(case)["static_routes"]["ipv4"] == []
        assert warned(case) == {"bgppeers/p": {"spec.reachableBy"}}
        assert len(sessions(case)) == 1


def test_our_address_at_another_port_is_another_speaker_and_at_our_port_no_peer():
    def names(peer_ip: str, asn: int = 65010, node: str = "", **more: Any) -> list[str]:
        peer = an_object("BGPPeer", "local", peerIP=peer_ip, asNumber=asn, node=node)
        cluster = settings(nodeToNodeMeshEnabled=False, **more)
        case = a_case(N1, N2, peer, cluster)
        return [*sessions(case), *warned(case).get("bgppeers/local", ())]

    assert names("10.0.0.1:1179") == ["Global_10_0_0_1_port_1179"]
    assert names("10.0.0.1:1179", node="n1") == ["Node_10_0_0_1_port_1179"]
    assert names("127.0.0.1:1179") == ["Global_127_0_0_1_port_1179"]
    assert names("127.0.0.1") == ["Global_127_0_0_1"]
    # For all nodes it is the others' session with this one, for this one a mistake.
    assert names("10.0.0.1") == []
    assert names("10.0.0.1", node="n1") == ["spec.peerIP"]
    assert names("10.0.0.1:179", node="n1") == ["spec.peerIP"]
    assert names("10.0.0.1", listenPort=178) == ["Global_10_0_0_1"]
    assert names("10.0.0.1:178", node="n1", listenPort=178) == ["spec.peerIP"]
    # A node of that AS is meant, at whatever port it listens: it peers back.
    assert names("10.0.0.1", 64512, listenPort=178) == ["Node_10_0_0_2_port_178"]
