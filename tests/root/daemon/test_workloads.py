"""Workloads whose routes decide where Calico leaves it to them, on two running nodes."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from bgpd.lab.demo_cluster import Object, affinity, an_object
from bgpd.lab.plan import host_device
from bgpd.lab.topology import Pod
from tests.support.cluster_lab import (
    ADDRS,
    BLOCKS,
    Cluster,
    a_node,
    a_pool,
    running_cluster,
    settings,
)
from tests.support.routers import eventually, needs, needs_root

pytestmark = [pytest.mark.root, pytest.mark.slow, needs_root]

FIXED = {"-4": "10.244.200.5/32", "-6": "fd11::9/128"}
SIX = {"one": "fd00::11", "two": "fd00::12"}


def addr(prefix: str) -> str:
    return prefix.partition("/")[0]


@pytest.fixture(name="single")
def blocks_of_one_address(tmp_path: Path) -> Iterator[Cluster]:
    """Node one has the affinities of two single addresses."""
    nodes = [a_node(name, ipv6Address=f"{SIX[name]}/64") for name in ADDRS]
    v6_pool = an_object("IPPool", "six", {"cidr": "fd11::/64", "blockSize": 128})
    blocks = [affinity(block, "one") for block in FIXED.values()]
    with running_cluster(tmp_path, v6_pool, *nodes, *blocks) as cluster:
        for name, six in SIX.items():
            cluster.namespace(name, f"-6 addr add {six}/64 dev eth0 nodad")
        assert eventually(lambda: cluster.is_up("one", SIX["two"]), 20)
        assert eventually(lambda: cluster.kernel("two", BLOCKS["one"]))
        yield cluster


def test_a_block_of_one_address_is_left_to_the_route_of_its_workload(
    single: Cluster,
) -> None:
    def kernel(name: str) -> list[tuple[str | None, ...]]:
        """Return gateway, device and maker of the routes of both addresses."""
        return [
            (
                row.get("gateway") or row.get("type"),
                row.get("dev"),
                row["protocol"],
            )
            for version, prefix in FIXED.items()
            for row in single.kernel(name, addr(prefix), version)
        ]

    # No workload uses the addresses: the datastore alone makes no announcement.
    for name in ADDRS:
        assert kernel(name) == []
    assert single.router("two").ask("show-routes", prefix=FIXED["-4"]) == []

    for prefix in FIXED.values():
        single.workload("one", addr(prefix), "cali4" if "." in prefix else "cali6")
    via_one = [(ADDRS["one"], "eth0", "bird"), (SIX["one"], "eth0", "bird")]
    assert eventually(lambda: kernel("two") == via_one)

    single.namespace("one", "link del cali4", "link del cali6")
    assert eventually(lambda: kernel("two") == [])

    for prefix in FIXED.values():
        single.workload("two", addr(prefix), "cali4" if "." in prefix else "cali6")
    via_two = [(ADDRS["two"], "eth0", "bird"), (SIX["two"], "eth0", "bird")]
    assert eventually(lambda: kernel("one") == via_two)
    assert single.differences("one") == []


# -- routers among the workloads ----------------------------------------------------------

CHILD = "10.123.7.0/24"
ROUTER = "10.244.1.17"
NODE_SIDE = "169.254.1.1"
DEVICE = host_device("router")
ROUTER_CONF = f"""
router id {ROUTER};
protocol device {{}}
protocol static {{ ipv4; route {CHILD} blackhole; }}
protocol bgp node {{
  local {ROUTER} as 65401; neighbor {NODE_SIDE} as 64512; multihop; connect retry time 1;
  ipv4 {{ import none; export all; }};
}}
"""


@contextmanager
def bird_in(cluster: Cluster, machine: str, folder: Path, text: str) -> Iterator[None]:
    """Run BIRD on a machine of the lab that has no router of the topology."""
    conf = folder / f"{machine}.conf"
    conf.write_text(text, encoding="utf-8")
    paths = ["-s", str(folder / f"{machine}.ctl"), "-P", str(folder / f"{machine}.pid")]
    with (folder / f"{machine}.log").open("wb") as log:
        argv = ["/usr/sbin/bird", "-f", "-c", str(conf), *paths]
        child = cluster.lab.namespace(machine).popen(argv, log)
        try:
            yield
        finally:
            child.kill()
            child.wait()


@pytest.fixture(name="routed")
def with_a_router_pod(tmp_path: Path) -> Iterator[Cluster]:
    """Node one has a workload that announces a prefix of an IPIP pool by itself."""
    status = tmp_path / "felix" / "endpoint-status"
    status.mkdir(parents=True)
    endpoint = {
        "ifaceName": DEVICE,
        "ipv4Nets": [f"{ROUTER}/32"],
        "ipv6Nets": [],
        "bgpPeerName": "router",
    }
    (status / "router").write_text(json.dumps(endpoint), encoding="utf-8")
    peer = {"localWorkloadSelector": "app == 'router'", "asNumber": 65401}
    with running_cluster(
        tmp_path,
        a_pool(ipipMode="Always"),
        an_object("IPPool", "child", {"cidr": "10.123.0.0/16", "ipipMode": "Always"}),
        settings(programClusterRoutes="Enabled"),
        an_object("BGPPeer", "router", peer),
        config={"kubernetes": {"endpoint_status": str(tmp_path / "felix")}},
    ) as cluster:
        pod = Pod.model_validate({"name": "router", "address": ROUTER, "metric": 1024})
        cluster.lab.add_pod("one", pod)
        cluster.namespace("one", f"addr add {NODE_SIDE}/32 dev {DEVICE}")
        with bird_in(cluster, "router", tmp_path, ROUTER_CONF):
            assert eventually(lambda: cluster.is_up("one", ROUTER), 30)
            yield cluster


@needs("bird")
def test_a_prefix_behind_a_local_workload_leads_there_and_through_no_tunnel(
    routed: Cluster,
) -> None:
    def way() -> list[tuple[str, str]]:
        found = routed.kernel("one", CHILD)
        return [(row.get("gateway", ""), row.get("dev", "")) for row in found]

    there = [(ROUTER, DEVICE)]
    assert eventually(lambda: way() == there)
    # Another program may make the routes to other nodes; only we make this one.
    for pool, routes in (
        ({"ipipMode": "CrossSubnet"}, "Enabled"),
        ({"ipipMode": "Always"}, "EnabledNoEncapOnly"),
        ({"vxlanMode": "Always"}, "Enabled"),
        ({}, "Disabled"),
    ):
        child = an_object("IPPool", "child", {"cidr": "10.123.0.0/16", **pool})
        routed.apply(child, settings(programClusterRoutes=routes))
        time.sleep(0.5)  # both are events of their own
        assert eventually(lambda: way() == there), (pool, routes)


@needs("bird")
def test_a_way_that_turns_from_the_network_to_a_workload_leaves_the_tunnel(
    routed: Cluster,
) -> None:
    def device() -> str:
        return "".join(row.get("dev", "") for row in routed.kernel("one", CHILD))

    assert eventually(lambda: device() == DEVICE)
    # Felix has not written the workload's route yet: the address is reached otherwise.
    routed.namespace("one", f"route replace {ROUTER}/32 via {ADDRS['two']} metric 7")
    assert eventually(lambda: device() == "tunl0")
    routed.namespace("one", f"route del {ROUTER}/32 via {ADDRS['two']} metric 7")
    assert eventually(lambda: device() == DEVICE)


# -- workloads that move ------------------------------------------------------------------

SWITCH = "172.2.2.100"
MOVING = "10.244.9.5"


@pytest.fixture(name="switched")
def with_a_switch(tmp_path: Path) -> Iterator[Cluster]:
    """Both nodes peer with a switch, and mark what is elevated for it."""
    mark = {
        "action": "Accept",
        "priority": 512,
        "operations": [{"addCommunity": {"value": "65000:512"}}],
    }
    marking = an_object("BGPFilter", "mark", {"exportV4": [mark]})
    peer = {"peerIP": SWITCH, "asNumber": 65100, "filters": ["mark"]}
    neighbours = [{"address": each, "as": 64512} for each in ADDRS.values()]
    router = {"kind": "bird", "as": 65100, "neighbours": neighbours}
    machines: dict[str, Object] = {
        "switch": {"addresses": [f"{SWITCH}/24"], "router": router}
    }
    to_switch = an_object("BGPPeer", "switch", peer)
    with running_cluster(tmp_path, marking, to_switch, machines=machines) as cluster:
        for name in ADDRS:
            assert eventually(partial(cluster.is_up, name, SWITCH))
        yield cluster


@needs("bird")
def test_a_switch_learns_a_workload_s_new_place_while_the_old_one_has_it(
    switched: Cluster,
) -> None:
    def told() -> dict[str, tuple[str, ...]]:
        """Return the communities that each node tells the switch."""
        routes = switched.lab.routers["switch"].routes().get(f"{MOVING}/32", [])
        return {route.from_addr or "": route.communities for route in routes}

    one, two = ADDRS["one"], ADDRS["two"]
    switched.workload("one", MOVING, "cali1", 1024)
    assert eventually(lambda: told() == {one: (), two: ()})
    switched.workload("two", MOVING, "cali1", 512)
    elevated = ("65000:512",)
    # What node one learns of node two goes before the workload that it still has.
    assert eventually(lambda: told() == {one: elevated, two: elevated})
    (best,) = [
        row
        for row in switched.router("two").ask("show-routes", prefix=f"{MOVING}/32")
        if row["is_best"]
    ]
    assert best["source"] == "kernel"
    switched.namespace("one", "link del cali1")
    assert eventually(lambda: len(told()) == 2)
    assert told()[two] == elevated
    # It is an ordinary one once the move is over.
    switched.namespace("two", f"route replace {MOVING}/32 dev cali1 metric 1024")
    switched.namespace("two", f"route del {MOVING}/32 dev cali1 metric 512")
    assert eventually(lambda: told() == {one: (), two: ()})
