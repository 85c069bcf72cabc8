"""Neighbours' names resolved to addresses and AS numbers."""

from bgpd.lab.speaker import speaker_of
from bgpd.lab.topology import parse_topology

TOPOLOGY = parse_topology("""
nodes:
  one:
    addresses: [10.0.0.1/24, "fd00::1/64"]
    router:
      as: 65001
      cluster_id: 9.9.9.9
      neighbours: [{node: two}, {node: two, families: [ipv6]}, {address: 10.0.0.9, as: 7}]
  two:
    addresses: [10.0.0.2/24, "fd00::2/64"]
    router: {as: 65002, router_id: 2.2.2.2}
""")


def test_a_neighbour_is_found_by_name_or_address():
    four, six, far = speaker_of(TOPOLOGY, "one").neighbours
    assert (four.addr, four.remote_as, four.local_addr) == (
        "10.0.0.2",
        65002,
        "10.0.0.1",
    )
    assert (six.addr, six.local_addr) == ("fd00::2", "fd00::1")
    assert six.other_local_addr == "10.0.0.1"
    assert (far.addr, far.remote_as) == ("10.0.0.9", 7)


def test_the_router_id_is_the_first_ipv4_address_unless_told():
    assert speaker_of(TOPOLOGY, "one").router_id == "10.0.0.1"
    assert speaker_of(TOPOLOGY, "one").cluster_id == "9.9.9.9"
    assert speaker_of(TOPOLOGY, "two").router_id == "2.2.2.2"


def test_options_of_a_neighbour_and_of_a_router_are_passed_on():
    topology = parse_topology("""
nodes:
  one:
    addresses: [10.0.0.1/24]
    router:
      preserving: true
      neighbours:
        - {address: 10.0.0.9, as: 7, add_path: true, extended_message: false,
           four_octet_as: false}
""")
    one = speaker_of(topology, "one")
    (neighbour,) = one.neighbours
    assert one.is_preserving
    assert neighbour.has_add_path
    assert not neighbour.has_extended_message
    assert not neighbour.has_four_octet_as


def test_a_machine_on_several_networks_speaks_from_its_address_on_the_neighbours():
    topology = parse_topology("""
    networks: {lan: , wan: }
    nodes:
      near: {network: lan, addresses: [10.0.0.1/24], router: {}}
      far: {network: wan, addresses: [10.0.1.1/24], router: {}}
    gateways:
      tor:
        network: lan
        addresses: [10.0.0.254/24]
        links: [{network: wan, addresses: [10.0.1.254/24]}]
        router:
          neighbours: [{node: near}, {node: far}, {address: 192.0.2.1, as: 1}]
    """)
    found = [n.local_addr for n in speaker_of(topology, "tor").neighbours]
    assert found == ["10.0.0.254", "10.0.1.254", "10.0.0.254"]
