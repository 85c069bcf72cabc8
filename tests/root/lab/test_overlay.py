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
)
from tests.support.routers import eventually, needs, needs_root

pytestmark = [
    pytest.mark.root,
    pytest.mark.interop,
    pytest.mark.slow,
    pytest.mark.etcd,
    needs_root,
    needs("bird"),
]

NODES = {
    "node-1": ("10.0.1.11", "10.244.1.0/26", "a"),
    "node-2": ("10.0.1.12", "10.244.2.0/26", "a"),
    "node-3": ("10.0.2.13", "10.244.3.0/26", "b"),
}
TOR = {"a": "10.0.1.1", "b": "10.0.2.1"}


def way(mode: str, node: str, other: str) -> str:
    """Return how ``node`` must reach the block of ``other``."""
    addr, _, rack = NODES[other]
    own_rack = NODES[node][2]
    if mode == "Always" or (mode == "CrossSubnet" and rack != own_rack):
        return f"{addr} tunl0"
    return f"{addr if rack == own_rack else TOR[own_rack]} eth0"


def wanted(mode: str, node: str) -> dict[str, str]:
    others = set(NODES) - {node}
    return {NODES[other][1]: way(mode, node, other) for other in others}


def has_ways(lab: Lab, mode: str) -> bool:
    blocks = {block for _, block, _ in NODES.values()}
    return all(
        {p: w for p, w in gateways(lab, node).items() if p in blocks}
        == wanted(mode, node)
        for node in NODES
    )


def set_mode(lab: Lab, mode: str) -> None:
    spec = {"cidr": "10.244.0.0/16", "blockSize": 26, "ipipMode": mode}
    lab.stores["calico"].apply([an_object("IPPool", "pods", spec)])


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


def test_a_pool_moves_between_overlay_and_underlay_without_loss():
    with a_cluster(a_topology("overlay-and-underlay")) as lab:
        lab.start()
        assert eventually(lambda: has_ways(lab, "Always"), STEP_TIME), {
            node: kernel_routes(lab, node) for node in NODES
        }
        for node in NODES:
            route = kernel_routes(lab, node)[next(iter(wanted("Always", node)))]
            assert "onlink" in route["flags"]
        before = {node: tunnelled(lab, node) for node in NODES}
        all_reach_all(lab)
        for node in NODES:
            assert tunnelled(lab, node) > before[node], "the overlay carried the pings"

        assert switch(lab, "CrossSubnet").lost == {}
        before = {node: tunnelled(lab, node) for node in NODES}
        all_reach_all(lab)
        assert tunnelled(lab, "node-3") > before["node-3"]

        assert switch(lab, "Never").lost == {}
        before = {node: tunnelled(lab, node) for node in NODES}
        all_reach_all(lab)
        assert {node: tunnelled(lab, node) for node in NODES} == before, (
            "nothing goes through the tunnel any more"
        )

        assert switch(lab, "Always").lost == {}
        all_reach_all(lab)
