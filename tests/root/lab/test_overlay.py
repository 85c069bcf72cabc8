"""One cluster between IPIP overlay and BGP underlay, switched while pods ping."""

import re

import pytest

from bgpd.lab.lab import Lab
from tests.support.labs import (
    STEP_TIME,
    Pings,
    a_cluster,
    a_topology,
    all_reach_all,
    an_object,
    gateways,
    kernel_routes,
    pinging,
    with_release,
)
from tests.support.routers import eventually, needs, needs_root, needs_tunnel

pytestmark = [
    pytest.mark.root,
    pytest.mark.interop,
    pytest.mark.slow,
    pytest.mark.etcd,
    needs_root,
    needs_tunnel,
    needs("bird"),
]

NODES = {
    "node-11": ("172.2.2.11", "a", {"10.244.11.0/26"}),
    "node-12": ("172.2.2.12", "a", {"10.244.44.192/26", "10.244.45.0/26"}),
    "node-14": ("172.2.2.14", "a", {"10.244.128.0/26", "10.244.127.192/26"}),
    "node-21": ("172.2.3.21", "b", {"10.244.21.0/26"}),
}
TOR = {"a": "172.2.2.1", "b": "172.2.3.1"}


def way(mode: str, node: str, other: str) -> str:
    """Return how ``node`` must reach the blocks of ``other``."""
    addr, rack, _ = NODES[other]
    own_rack = NODES[node][1]
    if mode == "Always" or (mode == "CrossSubnet" and rack != own_rack):
        return f"{addr} tunl0"
    return f"{addr if rack == own_rack else TOR[own_rack]} eth0"


def wanted(mode: str, node: str) -> dict[str, str]:
    return {
        block: way(mode, node, other)
        for other in NODES
        if other != node
        for block in NODES[other][2]
    }


def has_ways(lab: Lab, mode: str) -> bool:
    between_racks = {"172.2.2.0/24", "172.2.3.0/24"}
    return all(
        {p: w for p, w in gateways(lab, node).items() if p not in between_racks}
        == wanted(mode, node)
        for node in NODES
    )


def set_mode(lab: Lab, mode: str) -> None:
    spec = {"cidr": "10.244.0.0/16", "blockSize": 26, "ipipMode": mode}
    lab.stores["calico"].apply([an_object("IPPool", "pods", spec)])


def in_tunnel(lab: Lab) -> list[str]:
    """Return the ways through tunnels, of all nodes."""
    ways = [way for node in NODES for way in gateways(lab, node).values()]
    return [way for way in ways if way.endswith("tunl0")]


def tunnelled(lab: Lab, node: str) -> int:
    """Return how many packets left through a node's tunnel."""
    text = lab.namespace(node).run(["cat", "/proc/net/dev"])
    found = re.search(r"tunl0:(.*)", text)
    assert found is not None
    return int(found[1].split()[9])


def switch(lab: Lab, mode: str) -> Pings:
    with pinging(lab, f"the pool's ipipMode becomes {mode}") as pings:
        set_mode(lab, mode)
        assert eventually(lambda: has_ways(lab, mode), STEP_TIME), {
            node: kernel_routes(lab, node) for node in NODES
        }
    return pings


def program(lab: Lab, which: str) -> None:
    spec = {"asNumber": 64512, "programClusterRoutes": which}
    lab.stores["calico"].apply([an_object("BGPConfiguration", "default", spec)])


@pytest.mark.parametrize("release", ["v3.31.0", "v3.33.0"])
def test_a_pool_moves_between_overlay_and_underlay_without_loss(release):
    topology = with_release(a_topology("overlay-and-underlay"), release)
    with a_cluster(topology) as lab:
        program(lab, "Enabled")  # which releases up to 3.31 do not know, and do
        lab.start()
        assert eventually(lambda: has_ways(lab, "Always"), STEP_TIME), {
            node: kernel_routes(lab, node) for node in NODES
        }
        shown = lab.namespace("node-11").run(["ip", "route", "show", "10.244.128.0/26"])
        assert re.search(r"via 172.2.2.14 dev tunl0 proto bird.* onlink", shown), shown
        before = {node: tunnelled(lab, node) for node in NODES}
        all_reach_all(lab)
        for node in NODES:
            assert tunnelled(lab, node) > before[node], "the overlay carried the pings"

        assert switch(lab, "CrossSubnet").lost == {}
        before = {node: tunnelled(lab, node) for node in NODES}
        all_reach_all(lab)
        assert tunnelled(lab, "node-21") > before["node-21"]

        assert switch(lab, "Never").lost == {}
        before = {node: tunnelled(lab, node) for node in NODES}
        all_reach_all(lab)
        assert {node: tunnelled(lab, node) for node in NODES} == before, (
            "nothing goes through the tunnel any more"
        )

        assert switch(lab, "Always").lost == {}
        all_reach_all(lab)

        if release == "v3.33.0":
            program(lab, "EnabledNoEncapOnly")
            assert eventually(lambda: not in_tunnel(lab), STEP_TIME), in_tunnel(lab)
