"""Cluster ids of two reflectors change in the datastore while their sessions are up."""

from functools import partial
from pathlib import Path

import pytest

from bgpd.lab.demo_cluster import Object, affinity, an_object
from tests.support.cluster_lab import (
    ADDRS,
    Cluster,
    a_node,
    running_cluster,
    settings,
)
from tests.support.routers import eventually, needs_root

pytestmark = [pytest.mark.root, pytest.mark.slow, needs_root]

CLIENTS = {"left": "172.2.2.21", "right": "172.2.2.22"}
BLOCK = "10.244.21.0/26"
ONE_ID, OTHER_ID = "244.0.0.1", "244.0.0.2"


def reflectors(first: str, second: str) -> list[Object]:
    ids = zip(ADDRS, (first, second), strict=True)
    return [a_node(name, routeReflectorClusterID=number) for name, number in ids]


def to(node: str, address: str) -> Object:
    spec = {"node": node, "peerIP": address, "asNumber": 64512}
    return an_object("BGPPeer", f"{node}-{address.rpartition('.')[2]}", spec)


def test_a_route_that_one_id_kept_out_comes_with_two_and_goes_with_one_again(
    tmp_path: Path,
) -> None:
    config = {
        "datastore": {"type": "folder", "path": str(tmp_path / "objects")},
        "bgp": {"defaults": {"connect_retry_time": 1, "hold_time": 9}},
    }
    machines: dict[str, Object] = {
        name: {"addresses": [f"{addr}/24"], "router": {"config": config}}
        for name, addr in CLIENTS.items()
    }
    one, two = ADDRS.values()
    objects = [
        *reflectors(ONE_ID, ONE_ID),
        settings(nodeToNodeMeshEnabled=False),
        *(
            an_object("Node", name, {"bgp": {"ipv4Address": f"{addr}/24"}})
            for name, addr in CLIENTS.items()
        ),
        *(to("left", one), to("right", two), to("one", two)),
        affinity(BLOCK, "left"),
    ]
    with running_cluster(tmp_path, *objects, machines=machines) as cluster:

        def reaches(name: str, expected: bool = True) -> bool:  # noqa: FBT001, FBT002
            return bool(cluster.kernel(name, BLOCK)) is expected

        def is_refused(cluster: Cluster) -> bool:
            """Whether the second reflector keeps out what the first one tells."""
            (row,) = [r for r in cluster.peers("two").values() if r["address"] == one]
            return int(row["filtered"]) > 0

        assert eventually(lambda: cluster.is_up("left", one), 20)
        assert eventually(lambda: cluster.is_up("right", two), 20)
        assert eventually(lambda: is_refused(cluster))
        assert not reaches("right")
        for number, second in enumerate((OTHER_ID, ONE_ID, OTHER_ID)):
            # In either order: the value of one side is shared by all sessions of it.
            cluster.apply(*reflectors(ONE_ID, second)[:: -1 if number else 1])
            assert eventually(partial(reaches, "right", second == OTHER_ID))
        for name, peers in (("one", 2), ("two", 2)):
            rows = cluster.peers(name).values()
            assert [row["flaps"] for row in rows] == [0] * peers
