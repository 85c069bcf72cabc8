"""From a topology to ip commands."""

from bgpd.lab.plan import host_device, plan
from bgpd.lab.topology import parse_topology

TOPOLOGY = parse_topology("""
networks: {lan: , wan: }
nodes:
  one:
    network: lan
    addresses: [10.0.0.1/24, "fd00::1/64"]
    pods: [{name: a, address: 10.244.0.1}, {name: b, address: "fd10::1"}]
gateways:
  two: {network: wan, addresses: [10.0.1.2/24], loopback: [198.51.100.1/32]}
""")


def test_every_name_becomes_a_namespace():
    assert sorted(plan(TOPOLOGY, "x-").namespaces) == [
        "a",
        "b",
        "lan",
        "one",
        "two",
        "wan",
    ]


def test_links_are_made_between_namespaces_and_never_outside():
    links = plan(TOPOLOGY, "x-").links
    assert len(links) == 4
    assert all(line.count(" netns x-") == 2 for line in links)


def test_each_machine_is_on_the_bridge_of_its_network():
    setups = plan(TOPOLOGY, "x-").setups
    assert "link set p0 master br0 up" in setups["lan"].lines
    assert "link set p1 master br0 up" in setups["wan"].lines


def test_a_pod_has_a_host_route_and_no_subnet():
    setups = plan(TOPOLOGY, "x-").setups
    device = host_device("a")
    assert f"route add 10.244.0.1/32 dev {device}" in setups["one"].lines
    assert "addr add 10.244.0.1/32 dev eth0" in setups["a"].lines
    assert "route add default via 169.254.1.1 dev eth0" in setups["a"].lines
    assert f"route add fd10::1/128 dev {host_device('b')}" in setups["one"].lines


def test_loopback_addresses_stand_on_lo():
    assert "addr add 198.51.100.1/32 dev lo" in plan(TOPOLOGY, "x-").setups["two"].lines


def test_device_names_fit_the_kernel_and_differ():
    names = {host_device(f"pod-{n}") for n in range(100)}
    assert len(names) == 100
    assert all(len(name) == 15 and name.startswith("cali") for name in names)
