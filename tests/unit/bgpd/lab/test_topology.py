"""What a topology file may say, and how its errors read."""

from pathlib import Path

import pytest

from bgpd.lab.errors import TopologyError
from bgpd.lab.speaker import DatastoreSpec, speaker_of
from bgpd.lab.topology import load_topology, parse_topology

GOOD = """\
networks:
  lan:
nodes:
  one:
    addresses: [10.0.0.1/24, "fd00::1/64"]
    router: {kind: bird, as: 65001, neighbours: [{node: two, client: true}]}
    pods:
      - {name: a, address: 10.244.0.1, block: 10.244.0.0/26}
gateways:
  two:
    addresses: [10.0.0.2/24]
    router: {kind: frr, as: 65002}
"""


def test_a_good_file_is_read():
    topology = parse_topology(GOOD)
    assert list(topology.machines) == ["one", "two"]
    one = topology.machines["one"]
    assert topology.network_of(one) == "lan"
    assert (one.address(4), one.address(6)) == ("10.0.0.1", "fd00::1")
    assert one.router.neighbours[0].is_client
    assert str(one.pods[0].address) == "10.244.0.1"


def test_an_empty_file_is_an_empty_lab():
    assert parse_topology("").machines == {}


@pytest.mark.parametrize(
    ("old", "new", "line", "text"),
    [
        ("kind: bird", "kynd: bird", 6, "kynd: Extra inputs are not permitted"),
        ("kind: bird", "kind: quagga", 6, "kind: Input should be"),
        ("10.0.0.1/24", "10.0.0.300/24", 5, "nodes.one.addresses.0"),
        ("10.244.0.0/26", "10.244.0.1/26", 8, "has host bits set"),
        ("10.244.0.0/26", "10.244.9.0/26", 8, "10.244.0.1 is not in block"),
        ("node: two", "node: six", 1, "no neighbour node 'six'"),
        ("node: two", "address: 10.0.0.9", 6, "as is needed with address"),
        ("{node: two, client: true}", "{client: true}", 6, "exactly one of node and"),
        ("  two:", "  one:", 1, "names used twice: one"),
        ("10.0.0.2/24", "10.0.0.1/24", 1, "addresses used twice: 10.0.0.1"),
        ("as: 65001", "as: 0", 6, "greater than or equal to 1"),
        ("nodes:", "nodes: [", 5, "expected ',' or ']'"),
    ],
)
def test_an_error_names_file_line_and_key(old, new, line, text):
    with pytest.raises(TopologyError) as caught:
        parse_topology(GOOD.replace(old, new, 1), "lab.yaml")
    assert str(caught.value).startswith(f"lab.yaml:{line}: ")
    assert text in str(caught.value)


def test_all_errors_are_reported_at_once():
    bad = GOOD.replace("kind: bird", "kynd: bird").replace("as: 65002", "as: x")
    with pytest.raises(TopologyError) as caught:
        parse_topology(bad)
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_file_is_a_topology_error(tmp_path):
    with pytest.raises(TopologyError, match="No such file"):
        load_topology(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "path", sorted(Path("configs/labs").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_example_is_a_topology(path):
    topology = load_topology(path)
    assert topology.machines
    for name, machine in topology.machines.items():
        speaker = speaker_of(topology, name)
        is_router = machine.router.kind != "none"
        assert bool(speaker.neighbours or speaker.datastore) is is_router, name


GATEWAY = """\
networks: {lan: , wan: }
nodes:
  one:
    network: lan
    addresses: [10.0.0.1/24]
    router: {cluster: calico}
  store: {network: lan, addresses: [10.0.0.5/24]}
gateways:
  two:
    network: lan
    addresses: [10.0.0.2/24]
    links: [{network: wan, addresses: [10.1.0.2/24]}]
    routes: [{to: 0.0.0.0/0, via: 10.1.0.1}]
    sysctls: {ipv4/fib_multipath_use_neigh: "1"}
    router:
      kind: frr
      announce: [ospf, static]
      statics: [{to: 203.0.113.0/24, via: [10.1.0.8, 10.1.0.9]}]
      ospf: {networks: [wan], tag: 7, announce: [10.244.0.0/16]}
clusters:
  calico: {store: store, objects: [{kind: Node}]}
"""


def test_a_gateway_stands_on_several_networks_and_speaks_ospf():
    topology = parse_topology(GATEWAY)
    two = topology.machines["two"]
    assert topology.devices_of(two) == {"eth0": "lan", "eth1": "wan"}
    speaker = speaker_of(topology, "two")
    assert speaker.ospf is not None
    assert speaker.ospf.devices == ("eth1",)
    assert speaker.statics == {"203.0.113.0/24": ("10.1.0.8", "10.1.0.9")}
    assert speaker.announce == ("ospf", "static")


def test_a_node_of_a_cluster_knows_its_datastore():
    topology = parse_topology(GATEWAY)
    spec = DatastoreSpec("etcd", "http://10.0.0.5:2379")
    assert speaker_of(topology, "one").datastore == spec


def test_a_node_of_a_cluster_on_kubernetes_knows_its_credentials(tmp_path):
    text = GATEWAY.replace("{store: store,", "{store: store, datastore: kubernetes,")
    spec = speaker_of(parse_topology(text), "one", tmp_path).datastore
    path = tmp_path / "datastore-calico" / "kubeconfig"
    assert spec == DatastoreSpec("kubernetes", "https://10.0.0.5:6443", str(path))


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("network: wan, a", "network: moon, a", "two: no network 'moon'"),
        ("networks: [wan]", "networks: [sun]", "not on network 'sun' of its ospf"),
        ("kind: frr", "kind: gobgp", "ospf, statics and announce are not for gobgp"),
        ("cluster: calico", "cluster: cilium", "one: no cluster 'cilium'"),
        ("cluster: calico", "kind: calico-bird", "calico-bird needs cluster"),
        ("{cluster:", "{kind: frr, cluster:", "frr does not read a cluster's objects"),
        (
            "store: store,",
            "store: store, datastore: consul,",
            "clusters.calico.datastore",
        ),
        ("store: store,", "store: store, api_group: v2,", "'v1' or 'v3'"),
        ("store: store", "store: shop", "no machine 'shop' for its store"),
        ("10.1.0.2/24", "10.0.0.1/24", "addresses used twice: 10.0.0.1"),
        ("ipv4/fib", "../ipv4/fib", "sysctls"),
        ("via: 10.1.0.1}", "via: []}", "routes.0.via"),
    ],
)
def test_what_does_not_fit_together_is_reported(old, new, text):
    with pytest.raises(TopologyError) as caught:
        parse_topology(GATEWAY.replace(old, new, 1))
    assert text in str(caught.value)
