"""BIRD nodes and ours in one cluster, and the way from the one to the other."""

import pytest

from bgpd.lab.lab import Lab
from bgpd.lab.topology import RouterKind
from tests.support.labs import (
    STEP_TIME,
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
    needs("calico-bird"),
]

NODES = {
    "node-9": ("10.0.0.9", "10.244.9.0/26"),
    "node-10": ("10.0.0.10", "10.244.10.0/26"),
    "node-11": ("10.0.0.11", "10.244.11.0/26"),
    "node-100": ("10.0.0.100", "10.244.100.0/26"),
}
REFLECTORS = {"reflector-21": "10.0.0.21", "reflector-22": "10.0.0.22"}
BIRD_PROTOCOL = "bird"  # of routes in the kernel: 12


def has_mesh(lab: Lab, name: str) -> bool:
    own = NODES[name][0]
    others = {addr for addr, _ in NODES.values() if addr != own}
    up = {a for a, s in lab.routers[name].sessions().items() if s.is_established}
    return others <= up


def has_only_reflectors(lab: Lab, name: str) -> bool:
    sessions = lab.routers[name].sessions()
    return sessions.keys() == set(REFLECTORS.values()) and all(
        session.is_established for session in sessions.values()
    )


def knows_all_from(lab: Lab, name: str, senders: set[str]) -> bool:
    """Whether a node has the others' blocks from each of ``senders``."""
    routes = lab.routers[name].routes()
    return all(
        senders <= {view.from_addr for view in routes.get(block, ())}
        for other, (_, block) in NODES.items()
        if other != name
    )


def has_kernel(lab: Lab, name: str) -> bool:
    """Whether a node's kernel has exactly the blocks of the cluster, marked BIRD's."""
    wanted = {b: f"{a} eth0" for n, (a, b) in NODES.items() if n != name}
    marked = {
        prefix
        for prefix, route in kernel_routes(lab, name).items()
        if route.get("protocol") == BIRD_PROTOCOL
    }
    blocks = {block for _, block in NODES.values()}
    return gateways(lab, name) == wanted and marked == blocks


def migrate(lab: Lab, name: str) -> None:
    """Take BIRD away from a node and put ours in its place; its routes stay meanwhile."""
    before = kernel_routes(lab, name).keys()
    lab.routers[name].kill()  # what becomes of a container whose grace period is 0
    assert kernel_routes(lab, name).keys() == before, "BIRD leaves its routes"
    router = lab.router(name, "pybgpd")
    router.start()
    router.wait_ready()


def settled(lab: Lab) -> None:
    for name in NODES:
        assert eventually(lambda n=name: has_kernel(lab, n), STEP_TIME), (  # type: ignore[misc]
            name,
            kernel_routes(lab, name),
        )


def to_reflectors(lab: Lab) -> None:
    """Put the reflectors beside the mesh, then take the mesh away."""
    store = lab.stores["calico"]
    for name, addr in REFLECTORS.items():
        bgp = {"ipv4Address": f"{addr}/24", "routeReflectorClusterID": "244.0.0.1"}
        node = an_object("Node", name, {"bgp": bgp})
        node["metadata"]["labels"] = {"route-reflector": "true"}
        store.apply([node])
    spec = {"nodeSelector": "all()", "peerSelector": "has(route-reflector)"}
    store.apply([an_object("BGPPeer", "reflectors", spec)])
    lab.start(REFLECTORS)
    senders = set(REFLECTORS.values())
    for name in NODES:
        assert eventually(
            lambda n=name: knows_all_from(lab, n, senders),  # type: ignore[misc]
            STEP_TIME,
        ), (name, lab.routers[name].sessions(), lab.routers[name].routes())
    settings = {"asNumber": 64512, "nodeToNodeMeshEnabled": False}
    store.apply([an_object("BGPConfiguration", "default", settings)])
    for name in NODES:
        assert eventually(lambda n=name: has_only_reflectors(lab, n), STEP_TIME), (  # type: ignore[misc]
            name,
            lab.routers[name].sessions(),
        )


def kinds(lab: Lab) -> dict[str, RouterKind]:
    return {name: router.kind for name, router in lab.routers.items()}  # type: ignore[misc]


def test_nodes_move_from_bird_to_ours_and_from_the_mesh_to_reflectors_without_loss():
    with a_cluster(a_topology("bird-and-pybgpd")) as lab:
        lab.start(NODES)
        for name in NODES:
            assert eventually(lambda n=name: has_mesh(lab, n), STEP_TIME), name  # type: ignore[misc]
        settled(lab)
        all_reach_all(lab)

        with pinging(lab, "node-9 moves from BIRD to pybgpd, in the mesh") as pings:
            migrate(lab, "node-9")
            for name in NODES:
                assert eventually(lambda n=name: has_mesh(lab, n), STEP_TIME), name  # type: ignore[misc]
            settled(lab)
        assert pings.lost == {}

        with pinging(lab, "the mesh gives way to a reflector of either kind") as pings:
            to_reflectors(lab)
            settled(lab)
        assert pings.lost == {}

        with pinging(lab, "node-10 moves from BIRD to pybgpd, as a client") as pings:
            migrate(lab, "node-10")
            assert eventually(lambda: has_only_reflectors(lab, "node-10"), STEP_TIME)
            settled(lab)
        assert pings.lost == {}
        assert [n for n, kind in kinds(lab).items() if kind == "calico-bird"] == [
            "reflector-22"
        ]

        with pinging(lab, "the BIRD reflector dies") as pings:
            lab.routers["reflector-22"].kill()
            settled(lab)
        assert pings.lost == {}
        all_reach_all(lab)
