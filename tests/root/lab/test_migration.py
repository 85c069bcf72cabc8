"""BIRD nodes and ours in one cluster, and the way from the one to the other."""

from collections.abc import Iterable

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
    with_release,
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
    name: int(name.rpartition("-")[2])
    for name in ("node-9", "node-10", "node-11", "node-100")
}
REFLECTORS = {"reflector-21": 21, "reflector-22": 22}
BIRD_PROTOCOL = "bird"  # of routes in the kernel: 12


def addrs(number: int) -> tuple[str, str]:
    return f"10.0.0.{number}", f"fd00::{number}"


def blocks(number: int) -> tuple[str, str]:
    return f"10.244.{number}.0/26", f"fd10:{number}::/122"


def all_addrs(numbers: Iterable[int]) -> set[str]:
    return {addr for number in numbers for addr in addrs(number)}


def others(name: str) -> list[int]:
    return [number for other, number in NODES.items() if other != name]


def has_mesh(lab: Lab, name: str) -> bool:
    up = {a for a, s in lab.routers[name].sessions().items() if s.is_established}
    return all_addrs(others(name)) <= up


def has_only_reflectors(lab: Lab, name: str) -> bool:
    sessions = lab.routers[name].sessions()
    return sessions.keys() == all_addrs(REFLECTORS.values()) and all(
        session.is_established for session in sessions.values()
    )


def knows_all_from(lab: Lab, name: str, senders: Iterable[int]) -> bool:
    """Whether a node has the others' blocks from each of ``senders``."""
    router = lab.routers[name]
    routes = {**router.routes("ipv4"), **router.routes("ipv6")}
    return all(
        addrs(sender)[":" in block] in {v.from_addr for v in routes.get(block, ())}
        for sender in senders
        for number in others(name)
        for block in blocks(number)
    )


def has_kernel(lab: Lab, name: str) -> bool:
    """Whether a node's kernel has exactly the blocks of the cluster, marked BIRD's."""
    wanted = {
        block: f"{addr} eth0"
        for number in others(name)
        for block, addr in zip(blocks(number), addrs(number), strict=True)
    }
    marked = {
        prefix
        for prefix, route in kernel_routes(lab, name).items()
        if route.get("protocol") == BIRD_PROTOCOL
    }
    everything = {block for number in NODES.values() for block in blocks(number)}
    return gateways(lab, name) == wanted and marked == everything


def migrate(lab: Lab, name: str) -> None:
    """Take BIRD away from a node and put ours in its place; its routes stay meanwhile."""
    before = kernel_routes(lab, name).keys()
    lab.routers[name].kill()  # as a container ends whose grace period is 0
    assert kernel_routes(lab, name).keys() == before, "BIRD leaves its routes"
    router = lab.router(name, "pybgpd")
    router.start()
    router.wait_ready()


def roll_back(lab: Lab, name: str) -> None:
    """Stop ours on a node and put BIRD in its place again."""
    before = kernel_routes(lab, name).keys()
    lab.routers[name].stop()
    assert kernel_routes(lab, name).keys() == before, "ours leaves its routes too"
    router = lab.router(name, "calico-bird")
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
    spec = {"nodeSelector": "all()", "peerSelector": "has(route-reflector)"}
    store.apply([an_object("BGPPeer", "reflectors", spec)])
    for name in NODES:
        assert eventually(
            lambda n=name: knows_all_from(lab, n, REFLECTORS.values()),  # type: ignore[misc]
            STEP_TIME,
        ), (name, lab.routers[name].sessions(), lab.routers[name].routes())
    settings = {"asNumber": 64512, "nodeToNodeMeshEnabled": False}
    store.apply([an_object("BGPConfiguration", "default", settings)])
    for name in NODES:
        assert eventually(lambda n=name: has_only_reflectors(lab, n), STEP_TIME), (  # type: ignore[misc]
            name,
            lab.routers[name].sessions(),
        )


def lose_and_regain(lab: Lab, name: str) -> None:
    """Kill a reflector, then start it again: the other one is enough, of either kind."""
    gone = all_addrs([REFLECTORS[name]])
    kind = lab.routers[name].kind

    def is_lost(node: str) -> bool:
        sessions = lab.routers[node].sessions()
        return not any(sessions[addr].is_established for addr in gone)

    with pinging(lab, f"{name} ({kind}) dies") as pings:
        lab.routers[name].kill()
        for node in NODES:
            assert eventually(lambda n=node: is_lost(n), STEP_TIME)  # type: ignore[misc]
        settled(lab)
    assert pings.lost == {}
    with pinging(lab, f"{name} ({kind}) is back") as pings:
        lab.start([name])
        for node in NODES:
            assert eventually(
                lambda n=node: knows_all_from(lab, n, REFLECTORS.values()),  # type: ignore[misc]
                STEP_TIME,
            )
        settled(lab)
    assert pings.lost == {}


def kinds(lab: Lab) -> dict[str, RouterKind]:
    return {name: router.kind for name, router in lab.routers.items()}  # type: ignore[misc]


@pytest.mark.parametrize("release", ["v3.30.0", "v3.32.0"])
def test_nodes_move_from_bird_to_ours_and_from_the_mesh_to_reflectors_without_loss(
    release,
):
    topology = with_release(a_topology("bird-and-pybgpd"), release)
    with a_cluster(topology) as lab:
        lab.start()
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

        for name in REFLECTORS:
            lose_and_regain(lab, name)

        with pinging(lab, "node-10 moves from BIRD to pybgpd, as a client") as pings:
            migrate(lab, "node-10")
            assert eventually(lambda: has_only_reflectors(lab, "node-10"), STEP_TIME)
            settled(lab)
        assert pings.lost == {}
        assert [n for n, kind in kinds(lab).items() if kind == "calico-bird"] == [
            "reflector-22"
        ]
        with pinging(lab, "node-9 goes back to BIRD, as a client") as pings:
            roll_back(lab, "node-9")
            assert eventually(lambda: has_only_reflectors(lab, "node-9"), STEP_TIME)
            settled(lab)
        assert pings.lost == {}
        all_reach_all(lab)
