"""A private cloud: two data centres, reflectors, gateways with OSPF, a cloud segment."""

import pytest

from bgpd.lab.lab import Lab
from tests.support.labs import (
    STEP_TIME,
    a_cluster,
    a_topology,
    all_reach_all,
    an_object,
    gateways,
    pinging,
    with_maker,
)
from tests.support.routers import eventually, needs, needs_root

pytestmark = [
    pytest.mark.root,
    pytest.mark.interop,
    pytest.mark.slow,
    pytest.mark.etcd,
    needs_root,
    needs("calico-bird"),
    needs("frr"),
]

CLOUD = "203.0.113.1"
CLOUD_SEGMENT = "203.0.113.0/24"
BLOCKS = {
    "1": ("10.1.11.0/26", "10.1.12.0/26"),
    "2": ("10.2.11.0/26", "10.2.12.0/26"),
}
OTHER = {"1": "2", "2": "1"}


def is_settled(lab: Lab) -> bool:
    """Whether all have what they will have, over both gateways where that is so.

    OSPF of gateways that came up takes its time after the first route is there, and a
    second loss meanwhile would be another test. In the second data centre the gateways
    are of two makers, which give routes another ORIGIN: its nodes take one of them.
    """
    for site, other in OTHER.items():
        for number in "12":
            ways = gateways(lab, f"gateway-{site}{number}")
            if not all("eth1" in ways.get(block, "") for block in BLOCKS[other]):
                return False
            wanted = {*BLOCKS[other], CLOUD_SEGMENT}
            if not wanted <= gateways(lab, f"node-{site}{number}").keys():
                return False
    doubled = [(f"node-1{n}", p) for n in "12" for p in (*BLOCKS["2"], CLOUD_SEGMENT)]
    doubled += [(f"gateway-1{n}", block) for n in "12" for block in BLOCKS["2"]]
    doubled += [("gateway-21", block) for block in BLOCKS["1"]]
    return all(";" in gateways(lab, name).get(prefix, "") for name, prefix in doubled)


def peers_up(lab: Lab, name: str, *addrs: str) -> bool:
    sessions = lab.routers[name].sessions()
    return all(addr in sessions and sessions[addr].is_established for addr in addrs)


def converge(lab: Lab) -> None:
    lab.start()
    assert eventually(lambda: is_settled(lab), STEP_TIME), {
        name: gateways(lab, name) for name in lab.routers
    }
    all_reach_all(lab, CLOUD)


def lose_a_reflector(lab: Lab, site: str) -> None:
    """Kill the first reflector of a site, then bring it back; nothing may be lost."""
    name, addr = f"reflector-{site}1", f"172.16.{site}.21"
    nodes = [f"node-{site}1", f"node-{site}2"]
    with pinging(lab, f"{name} dies", CLOUD) as pings:
        lab.routers[name].kill()
        for node in nodes:
            assert eventually(lambda n=node: not peers_up(lab, n, addr), STEP_TIME)  # type: ignore[misc]
    assert pings.lost == {}
    with pinging(lab, f"{name} is back", CLOUD) as pings:
        lab.start([name])
        for node in nodes:
            assert eventually(lambda n=node: peers_up(lab, n, addr), STEP_TIME)  # type: ignore[misc]
        assert eventually(lambda: is_settled(lab), STEP_TIME)
    assert pings.lost == {}


def lose_etcd(lab: Lab) -> None:
    """Kill etcd: all goes on. A node that restarts meanwhile is another matter."""
    store = lab.stores["dc1"]
    before = {name: gateways(lab, name) for name in lab.routers}
    with pinging(lab, "etcd of dc1 dies", CLOUD) as pings:
        store.kill()
    assert pings.lost == {}
    assert {name: gateways(lab, name) for name in lab.routers} == before
    with pinging(lab, "etcd is back with a new block", CLOUD) as pings:
        store.start()
        spec = {"node": "node-11", "cidr": "10.1.77.0/26", "state": "confirmed"}
        store.apply([an_object("BlockAffinity", "node-11-new", spec)])
        assert eventually(lambda: "10.1.77.0/26" in gateways(lab, "node-12"), STEP_TIME)
        assert eventually(lambda: "10.1.77.0/26" in gateways(lab, "node-22"), STEP_TIME)
    assert pings.lost == {}


def is_avoided(lab: Lab, addr: str) -> bool:
    """Whether no node of the first data centre goes through that gateway."""
    nodes = "node-11", "node-12"
    ways = [way for node in nodes for way in gateways(lab, node).values()]
    return not any(f"{addr} eth0" in way.split("; ") for way in ways)


def lose_a_gateways_daemons(lab: Lab) -> None:
    """Kill what runs on a gateway: its kernel forwards on until all have turned away."""
    with pinging(lab, "gateway-11's daemons die", CLOUD) as pings:
        lab.routers["gateway-11"].kill()
        assert eventually(lambda: is_avoided(lab, "172.16.1.1"), STEP_TIME)
        assert eventually(
            lambda: (
                "10.255.0.11 eth1"
                not in gateways(lab, "gateway-21").get(BLOCKS["1"][0], "")
            ),
            STEP_TIME,
        )
    assert pings.lost == {}
    lab.start(["gateway-11"])
    assert eventually(lambda: is_settled(lab), STEP_TIME)
    all_reach_all(lab, CLOUD)


def lose_a_gateway(lab: Lab) -> None:
    """Cut a gateway off: what went through it is lost until neighbours notice.

    How much that is the kernels' hashes say, which spread flows over both gateways.
    """
    assert not is_avoided(lab, "172.16.1.1")
    with pinging(lab, "gateway-11 loses its power", CLOUD) as pings:
        lab.set_link("gateway-11", is_up=False)
        assert eventually(lambda: is_avoided(lab, "172.16.1.1"), STEP_TIME)
        all_reach_all(lab, CLOUD)
    inside = {"pod-11 -> 10.1.12.1", "pod-21 -> 10.2.12.1"}
    assert not inside & pings.lost.keys(), "inside a data centre nothing is lost"
    with pinging(lab, "gateway-11 is back", CLOUD):
        lab.set_link("gateway-11", is_up=True)
        reflectors = "172.16.1.21", "172.16.1.22"
        assert eventually(
            lambda: peers_up(lab, "gateway-11", *reflectors) and is_settled(lab),
            STEP_TIME,
        )
    all_reach_all(lab, CLOUD)


def test_reflectors_and_etcd_are_lost_without_loss_and_a_gateway_until_it_is_noticed():
    with a_cluster(a_topology("two-data-centres")) as lab:
        converge(lab)
        lose_a_reflector(lab, "1")
        lose_etcd(lab)
        lose_a_gateways_daemons(lab)
        lose_a_gateway(lab)


def test_a_bird_reflector_serves_beside_ours():
    topology = a_topology("two-data-centres")
    with a_cluster(with_maker(topology, "reflector-22", "calico-bird")) as lab:
        converge(lab)
        with pinging(lab, "our reflector dies, BIRD's stays", CLOUD) as pings:
            lab.routers["reflector-21"].kill()
            for node in ("node-21", "node-22"):
                assert eventually(
                    lambda n=node: not peers_up(lab, n, "172.16.2.21"),  # type: ignore[misc]
                    STEP_TIME,
                )
        assert pings.lost == {}
