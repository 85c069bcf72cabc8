"""Two running nodes of a cluster in namespaces, and the objects that they follow."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bgpd.lab.demo_cluster import Object, affinity, an_object
from bgpd.lab.lab import Lab
from bgpd.lab.routers.pybgpd import PyBgpd
from bgpd.lab.store import FolderStore
from bgpd.lab.topology import Topology
from tests.support.routers import eventually

ADDRS = {"one": "172.2.2.11", "two": "172.2.2.12"}
BLOCKS = {"one": "10.244.1.0/26", "two": "10.244.2.0/26"}
VERSION = "v3.34.0"


def a_node(name: str, addr: str = "", **bgp: Any) -> Object:
    bgp["ipv4Address"] = f"{addr or ADDRS[name]}/24"
    bgp.setdefault("ipv4IPIPTunnelAddr", BLOCKS[name].replace(".0/26", ".63"))
    return an_object("Node", name, {"bgp": bgp})


def settings(name: str = "default", **spec: Any) -> Object:
    return an_object("BGPConfiguration", name, spec)


def a_pool(**spec: Any) -> Object:
    return an_object("IPPool", "pool", {"cidr": "10.244.0.0/16", **spec})


class Cluster:
    """Two running nodes, and the objects that they follow."""

    def __init__(self, lab: Lab, store: FolderStore) -> None:
        self.lab = lab
        self.store = store

    def router(self, name: str) -> PyBgpd:
        router = self.lab.routers[name]
        assert isinstance(router, PyBgpd)
        return router

    def apply(self, *objects: Object) -> None:
        self.store.apply(objects)

    def kernel(
        self, name: str, prefix: str, version: str = "-4"
    ) -> list[dict[str, Any]]:
        """Return the kernel's routes of one prefix."""
        text = self.lab.namespace(name).run(
            ["ip", "-j", version, "route", "show", "root", prefix]
        )
        routes: list[dict[str, Any]] = json.loads(text or "[]")
        return [each for each in routes if each["dst"] == prefix]

    def peers(self, name: str) -> dict[str, dict[str, Any]]:
        return {row["address"]: row for row in self.router(name).ask("show-peers")}

    def is_up(self, name: str, addr: str, **fields: Any) -> bool:
        peer = self.peers(name).get(addr)
        return (
            peer is not None
            and peer["state"] == "Established"
            and all(peer[field] == value for field, value in fields.items())
        )

    def differences(self, name: str) -> list[dict[str, Any]]:
        return self.router(name).ask("calico-diff")

    def namespace(self, name: str, *commands: str) -> str:
        """Run commands of ``ip`` on a machine; return what the last one says."""
        return [
            self.lab.namespace(name).run(["ip", *command.split()])
            for command in commands
        ][-1]

    def workload(self, name: str, addr: str, device: str, metric: int = 1024) -> None:
        """Give a node a workload with an address, as Felix wires it."""
        bits, six = (128, "-6 ") if ":" in addr else (32, "")
        self.namespace(
            name,
            f"link add {device} type veth peer name far{device}",
            f"link set {device} up",
            f"link set far{device} up",
            f"{six}route add {addr}/{bits} dev {device} metric {metric} proto 80",
        )


@contextmanager
def running_cluster(
    folder: Path,
    *objects: Object,
    machines: Mapping[str, Object] | None = None,
    config: Object | None = None,
) -> Iterator[Cluster]:
    """Run two nodes, beside other machines of a lab.

    Args:
        folder: Where the datastore is made.
        objects: What there is beside nodes, a pool and their blocks.
        machines: Other nodes of the topology.
        config: More configuration of both nodes.
    """
    store = FolderStore(folder / "objects")
    store.apply(
        [
            settings(),
            a_pool(),
            an_object("ClusterInformation", "default", {"calicoVersion": VERSION}),
            *map(a_node, ADDRS),
            *(affinity(block, name) for name, block in BLOCKS.items()),
            *objects,
        ]
    )
    datastore = {"type": "folder", "path": str(folder / "objects")}
    settings_of_both = {
        "datastore": datastore,
        "bgp": {"defaults": {"connect_retry_time": 1, "hold_time": 9}},
        **(config or {}),
    }
    nodes: dict[str, Object] = {
        name: {
            "addresses": [f"{addr}/24"],
            "router": {"config": settings_of_both},
        }
        for name, addr in ADDRS.items()
    }
    nodes |= machines or {}
    with Lab(Topology.model_validate({"nodes": nodes})) as lab:
        cluster = Cluster(lab, store)
        for name in ADDRS:
            # What counts here is its name: the kernel has no tunnels of this kind.
            cluster.namespace(
                name,
                "link add tunl0 type veth peer name far",
                "link set tunl0 up",
                "link set far up",
            )
        lab.start()
        assert eventually(lambda: cluster.is_up("one", ADDRS["two"]))
        yield cluster
