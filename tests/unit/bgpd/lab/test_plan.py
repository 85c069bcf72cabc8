"""From a topology to ip commands."""

from bgpd.lab.plan import host_device, plan, port_of
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


def test_a_host_route_has_the_metric_that_felix_would_give_it():
    topology = parse_topology("""
    nodes:
      one: {addresses: [10.0.0.1/24],
            pods: [{name: a, address: 10.244.0.1, metric: 1024}]}
    """)
    line = f"route add 10.244.0.1/32 dev {host_device('a')} metric 1024"
    assert line in plan(topology, "x-").setups["one"].lines


def test_loopback_addresses_stand_on_lo():
    assert "addr add 198.51.100.1/32 dev lo" in plan(TOPOLOGY, "x-").setups["two"].lines


def test_device_names_fit_the_kernel_and_differ():
    names = {host_device(f"pod-{n}") for n in range(100)}
    assert len(names) == 100
    assert all(len(name) == 15 and name.startswith("cali") for name in names)


TUNNELS = parse_topology("""
networks: {lan: , wan: }
nodes:
  one:
    network: lan
    addresses: [10.0.0.1/24]
    links: [{network: wan, addresses: [10.0.1.1/24]}]
    routes: [{to: 10.9.0.0/16, via: [10.0.0.8, 10.0.0.9]}, {to: 0.0.0.0/0, via: 10.0.1.9}]
    sysctls: {ipv4/fib_multipath_use_neigh: "1"}
    tunnel: 10.244.1.0
""")


def test_a_further_link_is_plugged_into_its_own_network():
    result = plan(TUNNELS, "x-")
    assert "link set p0x1 master br0 up" in result.setups["wan"].lines
    assert "addr add 10.0.1.1/24 dev eth1" in result.setups["one"].lines
    assert result.setups["one"].sysctls["ipv4/conf/eth1/rp_filter"] == "0"
    assert port_of(TUNNELS, "one", "eth1") == "p0x1"


def test_static_routes_come_last_when_devices_are_up():
    assert plan(TUNNELS, "x-").setups["one"].lines[-2:] == [
        "route add 10.9.0.0/16 nexthop via 10.0.0.8 nexthop via 10.0.0.9",
        "route add 0.0.0.0/0 via 10.0.1.9",
    ]


def test_sysctls_of_a_machine_are_written_with_the_others():
    sysctls = plan(TUNNELS, "x-").setups["one"].sysctls
    assert sysctls["ipv4/fib_multipath_use_neigh"] == "1"
    assert sysctls["ipv4/ip_forward"] == "1"


def test_a_tunnel_is_the_kernels_own_or_a_tun_device():
    made = "tuntap add dev tunl0 mode tun"
    ours = plan(TUNNELS, "x-").setups["one"].lines
    kernels = plan(TUNNELS, "x-", has_ipip=True).setups["one"].lines
    assert made in ours
    assert made not in kernels
    for lines in (ours, kernels):
        assert "addr add 10.244.1.0/32 dev tunl0" in lines
        assert "link set tunl0 mtu 1480 up" in lines
