"""What sessions a BIRD node of a Calico cluster has, from the objects in etcd."""

import json
from typing import Any

from bgpd.lab.calico_objects import Objects, Session, sessions

Stored = tuple[str, str, dict[str, Any]]

RESOURCES = "/calico/resources/v3/projectcalico.org"


def stored(*objects: Stored) -> dict[str, bytes]:
    return {
        f"{RESOURCES}/{plural}/{name}": json.dumps(
            {"metadata": {"name": name, "labels": spec.pop("labels", {})}, "spec": spec}
        ).encode()
        for plural, name, spec in objects
    }


def a_node(name: str, addr: str, **bgp: object) -> Stored:
    labels = {"rr": "yes"} if "routeReflectorClusterID" in bgp else {}
    return (
        "nodes",
        name,
        {"bgp": {"ipv4Address": f"{addr}/24", **bgp}, "labels": labels},
    )


NINE, TEN, HUNDRED = (
    lambda: a_node("n9", "10.0.0.9"),
    lambda: a_node("n10", "10.0.0.10"),
    lambda: a_node("n100", "10.0.0.100"),
)


def seen(node: str, *objects: Stored) -> list[Session]:
    return sessions(Objects(stored(*objects), node))


def test_in_the_mesh_the_node_with_the_lesser_text_is_passive():
    found = seen("n10", NINE(), TEN(), HUNDRED())
    assert [(s.name, s.is_passive) for s in found] == [
        ("Mesh_10_0_0_100", True),  # "10.0.0.100" > "10.0.0.10"
        ("Mesh_10_0_0_9", True),  # as text
    ]
    assert [s.is_passive for s in seen("n9", NINE(), TEN())] == [False]


def test_reflectors_and_a_mesh_that_is_off_have_no_mesh_sessions():
    reflector = a_node("r", "10.0.0.1", routeReflectorClusterID="244.0.0.1")
    assert [s.addr for s in seen("n9", NINE(), TEN(), reflector)] == ["10.0.0.10"]
    reflector = a_node("r", "10.0.0.1", routeReflectorClusterID="244.0.0.1")
    assert seen("r", NINE(), reflector) == []
    off = ("bgpconfigurations", "default", {"nodeToNodeMeshEnabled": False})
    assert seen("n9", NINE(), TEN(), off) == []


def test_one_peer_object_makes_both_ends():
    peer = ("bgppeers", "rr", {"nodeSelector": "all()", "peerSelector": "has(rr)"})
    off = ("bgpconfigurations", "default", {"nodeToNodeMeshEnabled": False})

    def world() -> list[Stored]:
        ids = "244.0.0.1", "244.0.0.1", "244.0.0.2"
        reflectors = [
            a_node(f"r{n}", f"10.0.0.{n}", routeReflectorClusterID=i)
            for n, i in enumerate(ids, 1)
        ]
        return [NINE(), peer, off, *reflectors]

    (client,) = [s for s in seen("n9", *world()) if s.addr == "10.0.0.1"]
    assert (client.name, client.is_client) == ("Node_10_0_0_1", False)
    at_reflector = {s.addr: s.is_client for s in seen("r1", *world())}
    assert at_reflector == {
        "10.0.0.9": True,
        "10.0.0.2": False,  # of the same cluster id
        "10.0.0.3": True,
    }


def test_a_peer_given_by_address_is_a_client_of_a_reflector():
    reflector = a_node("r", "10.0.0.1", routeReflectorClusterID="244.0.0.1")
    peer = ("bgppeers", "gw", {"peerIP": "10.0.0.254", "asNumber": 64512})
    (session,) = seen("r", reflector, peer)
    assert (session.name, session.is_client) == ("Global_10_0_0_254", True)
    assert not session.is_passive


def test_a_peer_of_another_as_keeps_the_next_hop_when_asked():
    spec = {"peerIP": "10.0.0.254", "asNumber": 65000, "keepOriginalNextHop": True}
    (session,) = seen("n9", NINE(), ("bgppeers", "tor", {**spec, "ttlSecurity": 1}))
    assert (session.next_hop, session.ttl_security) == ("keep", 1)
    assert not session.is_internal


def test_a_global_peer_takes_the_place_of_a_nodes_own():
    everywhere = ("bgppeers", "a", {"peerIP": "10.0.0.254", "asNumber": 65000})
    here = ("bgppeers", "b", {"node": "n9", "peerIP": "10.0.0.254", "asNumber": 65001})
    assert [s.asn for s in seen("n9", NINE(), everywhere, here)] == [65000]


def test_settings_and_values_that_are_not_json():
    items = stored(
        NINE(),
        TEN(),
        (
            "bgpconfigurations",
            "default",
            {"asNumber": 65010, "nodeMeshMaxRestartTime": "2m"},
        ),
        ("clusterinformations", "default", {"calicoVersion": "v3.32.1"}),
    )
    items[f"{RESOURCES}/nodes/broken"] = b"{"
    items["/calico/ipam/v2/host/n9/ipv4/block/10.244.0.0-26"] = b'{"state":"pending"}'
    objects = Objects(items, "n9")
    (session,) = sessions(objects)
    assert (session.asn, session.restart_time) == (65010, 120)
    assert objects.release == (3, 32)
    assert objects.blocks == {"10.244.0.0/26": "pending"}
