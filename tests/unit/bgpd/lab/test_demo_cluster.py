"""The demonstration's cluster, as the nodes themselves would read it."""

import pytest

from bgpd.calico import ClusterState, Snapshot
from bgpd.datastore.manifests import item_of
from bgpd.lab import demo_cluster as cluster


def desired(name, *objects):
    state = ClusterState()
    state.apply(Snapshot(1, dict(item_of(item) for item in objects)))
    return state.desired(name)


def test_it_starts_as_a_mesh_of_four():
    node = desired("node-11", *cluster.base())
    assert node.asn == cluster.ASN
    assert {p.remote_addr for p in node.peers} == {
        addr for name, (addr, _) in cluster.NODES.items() if name != "node-11"
    }
    assert node.warnings == ()


def test_the_reflectors_stand_beside_the_mesh_then_alone():
    objects = [*cluster.base(), *cluster.reflectors()]
    reflectors = set(cluster.REFLECTORS.values())
    both = {p.remote_addr for p in desired("node-11", *objects).peers}
    assert both > reflectors
    objects.append(cluster.settings(is_mesh=False))
    node = desired("node-11", *objects)
    assert {p.remote_addr for p in node.peers} == reflectors
    assert node.warnings == ()


@pytest.mark.parametrize(
    ("gateway", "asn", "is_client"),
    [(cluster.INNER_GATEWAY, cluster.ASN, True), (cluster.OUTER_GATEWAY, 65000, False)],
)
def test_the_reflectors_alone_peer_with_gateways(gateway, asn, is_client):
    objects = [*cluster.base(), *cluster.reflectors()]
    objects.append(cluster.gateway_peer(gateway, asn))
    addr = gateway[1]
    (peer,) = [
        p for p in desired("reflector-21", *objects).peers if p.remote_addr == addr
    ]
    assert (peer.remote_as, peer.is_client) == (asn, is_client)
    nodes = desired("node-12", *objects).peers
    assert addr not in {p.remote_addr for p in nodes}


def test_blocks_are_where_the_table_says():
    for name, (_, blocks) in cluster.NODES.items():
        assert len(desired(name, *cluster.base()).originated) == len(blocks)


@pytest.mark.parametrize("datastore", [None, "etcd", "kubernetes"])
def test_the_topology_is_consistent(datastore):
    topology = cluster.topology("frr", "bird", datastore, "/manifests")
    assert set(cluster.NODES) | set(cluster.REFLECTORS) < set(topology.machines)
    has_servers = datastore is not None
    assert (cluster.DATASTORE[0] in topology.machines) is has_servers
    assert [c.datastore for c in topology.clusters.values()] == [
        datastore
    ] * has_servers
    pods = [pod.name for m in topology.machines.values() for pod in m.pods]
    assert sorted(pods) == sorted(cluster.PODS)
