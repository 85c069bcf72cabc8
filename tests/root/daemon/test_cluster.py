"""Two nodes of a cluster follow changed objects, live, down to the kernel."""

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bgpd.lab.demo_cluster import affinity, an_object
from tests.support.cluster_lab import (
    ADDRS,
    BLOCKS,
    Cluster,
    a_node,
    a_pool,
    running_cluster,
    settings,
)
from tests.support.routers import eventually, needs_root

pytestmark = [pytest.mark.root, pytest.mark.slow, needs_root]


@pytest.fixture(name="cluster")
def running(tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(tmp_path) as cluster:
        assert eventually(lambda: cluster.kernel("one", BLOCKS["two"]))
        yield cluster


def test_priorities_cross_the_cluster_as_local_pref(cluster: Cluster) -> None:
    (route,) = cluster.kernel("one", BLOCKS["two"])
    assert (route["protocol"], route["metric"]) == ("bird", 1024)
    assert route["gateway"] == ADDRS["two"]
    (row,) = [
        row
        for row in cluster.router("one").ask("show-routes", prefix=BLOCKS["two"])
        if row["source"] == "ibgp"
    ]
    assert row["attributes"]["local_pref"] == 2147483647 - 1024
    (own,) = cluster.kernel("one", BLOCKS["one"])
    assert own["type"] == "blackhole"
    assert cluster.differences("one") == []


def test_a_workload_of_another_block_is_announced_and_one_of_an_own_is_not(
    cluster: Cluster,
) -> None:
    two = cluster.lab.namespace("two")
    two.run(["ip", "link", "add", "cali1", "type", "veth", "peer", "name", "w1"])
    two.run(["ip", "link", "set", "cali1", "up"])
    two.run(["ip", "link", "set", "w1", "up"])
    for addr, metric in (
        ("10.244.2.5", "1024"),
        ("10.244.9.9", "1024"),
        ("10.244.2.6", "512"),
    ):
        two.run(["ip", "route", "add", f"{addr}/32", "dev", "cali1", "metric", metric])
    # The borrowed one, and the one that moves: its metric is lower than usual.
    assert eventually(lambda: cluster.kernel("one", "10.244.9.9"))
    assert eventually(lambda: cluster.kernel("one", "10.244.2.6"))
    (moving,) = cluster.kernel("one", "10.244.2.6")
    assert moving["metric"] == 512
    assert cluster.kernel("one", "10.244.2.5") == []
    two.run(["ip", "link", "del", "cali1"])
    assert eventually(lambda: not cluster.kernel("one", "10.244.9.9"))


def test_a_pool_goes_through_the_tunnel_and_back_without_a_session_reset(
    cluster: Cluster,
) -> None:
    cluster.apply(settings(programClusterRoutes="Enabled"), a_pool(ipipMode="Always"))

    def device(prefix: str) -> str:
        routes = cluster.kernel("one", prefix)
        return str(routes[0].get("dev")) if routes else ""

    assert eventually(lambda: device(BLOCKS["two"]) == "tunl0")
    (route,) = cluster.kernel("one", BLOCKS["two"])
    assert route["gateway"] == ADDRS["two"]
    assert "onlink" in route["flags"]
    addrs = cluster.lab.namespace("one").run(
        ["ip", "-4", "-o", "addr", "show", "tunl0"]
    )
    assert "10.244.1.63/32" in addrs
    cluster.apply(a_pool(ipipMode="CrossSubnet"))
    assert eventually(lambda: device(BLOCKS["two"]) == "eth0")
    cluster.apply(a_pool(ipipMode="Always"), settings())
    # 3.33 and later: without the setting IPIP routes are Felix'.
    assert eventually(lambda: device(BLOCKS["two"]) == "")
    cluster.apply(a_pool())
    assert eventually(lambda: device(BLOCKS["two"]) == "eth0")
    assert cluster.peers("one")[ADDRS["two"]]["flaps"] == 0


def test_another_as_number_of_the_cluster_is_followed(cluster: Cluster) -> None:
    cluster.apply(settings(asNumber=64600))
    wanted = {"local_as": 64600, "remote_as": 64600}
    for name, other in (("one", "two"), ("two", "one")):
        assert eventually(partial(cluster.is_up, name, ADDRS[other], **wanted))
    assert eventually(lambda: cluster.kernel("one", BLOCKS["two"]))
    assert eventually(lambda: cluster.differences("one") == [])


def test_another_port_of_a_node_is_listened_on_and_connected_to(
    cluster: Cluster,
) -> None:
    cluster.apply(
        settings("node.two", listenPort=1790), settings("node.one", listenPort=1791)
    )
    ports = {"one": 1791, "two": 1790}

    def listens(name: str) -> bool:
        rows = cluster.router(name).ask("show-status")
        return {each["port"] for each in rows[0]["listening"]} == {ports[name]}

    for name in ports:
        assert eventually(partial(listens, name))
    assert eventually(lambda: cluster.is_up("one", ADDRS["two"]))
    assert eventually(lambda: cluster.kernel("two", BLOCKS["one"]))


def test_another_address_of_a_node_moves_its_session_and_its_routes(
    cluster: Cluster,
) -> None:
    two = cluster.lab.namespace("two")
    two.run(["ip", "addr", "add", "172.2.2.22/24", "dev", "eth0"])
    cluster.apply(a_node("two", "172.2.2.22"))
    assert eventually(lambda: cluster.is_up("one", "172.2.2.22"))
    assert eventually(
        lambda: (
            [route["gateway"] for route in cluster.kernel("one", BLOCKS["two"])]
            == ["172.2.2.22"]
        )
    )
    assert list(cluster.peers("one")) == ["172.2.2.22"]
    status = cluster.router("two").ask("show-status")[0]
    assert status["router_id"] == "172.2.2.22"


def test_a_filter_that_comes_and_goes_changes_routes_alone(cluster: Cluster) -> None:
    rule = {"action": "Reject", "cidr": BLOCKS["two"], "matchOperator": "Equal"}
    keep_out = an_object("BGPFilter", "keep-out", {"importV4": [rule]})
    peer = {"peerSelector": "all()", "filters": ["keep-out"]}
    cluster.apply(keep_out, an_object("BGPPeer", "all", peer))
    assert eventually(lambda: not cluster.kernel("one", BLOCKS["two"]))
    assert eventually(lambda: not cluster.kernel("two", "10.244.9.9"))
    assert cluster.kernel("two", BLOCKS["one"])
    cluster.apply(an_object("BGPFilter", "keep-out", {}))
    assert eventually(lambda: cluster.kernel("one", BLOCKS["two"]))
    assert cluster.peers("one")[ADDRS["two"]]["flaps"] == 0
    assert cluster.peers("one")[ADDRS["two"]]["name"] == "Global_172_2_2_12"


def test_a_bad_object_is_shown_and_the_rest_goes_on(cluster: Cluster) -> None:
    bad = an_object("BGPPeer", "bad", {"peerIP": "nonsense", "asNumber": 0})
    cluster.apply(bad, an_object("BGPPeer", "also", {"peerIP": "172.2.2.99"}))

    def warnings() -> str:
        status = cluster.router("one").ask("show-status")[0]
        return "\n".join(status["warnings"])

    assert eventually(lambda: "spec.asNumber" in warnings())
    assert "also" in warnings()
    assert cluster.is_up("one", ADDRS["two"])
    assert any(row["part"] == "object" for row in cluster.differences("one"))


def test_bird_s_client_sees_the_node(cluster: Cluster) -> None:
    router = cluster.router("one")

    def birdcl(*words: str) -> str:
        done = subprocess.run(
            ["/usr/sbin/birdcl", "-s", str(router.folder / "bird.ctl"), *words],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return done.stdout

    rows = birdcl("show", "protocols").splitlines()
    (mesh,) = [row.split() for row in rows if row.startswith("Mesh_172_2_2_12")]
    assert mesh[1] == "BGP"
    assert mesh[5] == "Established"
    route = birdcl("show", "route", BLOCKS["two"]).splitlines()[1]
    assert route.startswith(f"{BLOCKS['two']:<18s} via 172.2.2.12 on eth0 [Mesh_")
    assert "blackhole [static1" in birdcl("show", "route", BLOCKS["one"])
    assert "dev eth0 [direct1" in birdcl("show", "route", "172.2.2.0/24")
    assert BLOCKS["one"] in birdcl("show", "route", "export", "Mesh_172_2_2_12")
    assert "eth0 Up" in birdcl("show", "interfaces")
    assert router.folder.joinpath("bird6.ctl").is_socket()


def test_an_emptied_datastore_takes_no_route_along(
    cluster: Cluster, tmp_path: Path
) -> None:
    def holds() -> list[dict[str, Any]]:
        held: list[dict[str, Any]] = cluster.router("one").ask("show-status")[0][
            "removal_holds"
        ]
        return held

    files = {file: file.read_bytes() for file in (tmp_path / "objects").glob("*.yaml")}
    for file in files:
        file.unlink()
    assert eventually(holds)
    assert holds()[0]["objects"] == len(files)
    assert cluster.is_up("one", ADDRS["two"])
    assert cluster.peers("one")[ADDRS["two"]]["flaps"] == 0
    assert cluster.kernel("one", BLOCKS["two"])
    (own,) = cluster.kernel("one", BLOCKS["one"])
    assert own["type"] == "blackhole"
    assert cluster.kernel("two", BLOCKS["one"])
    for file, content in files.items():
        file.write_bytes(content)
    assert eventually(lambda: not holds())
    assert cluster.differences("one") == []


def test_a_block_that_both_nodes_claim_is_announced_by_one_of_them(
    cluster: Cluster,
) -> None:
    def holes() -> dict[str, list[str]]:
        """Return what each node has for the block: its own, or the way to the other."""
        return {
            name: [
                row.get("type", "") or row["gateway"]
                for row in cluster.kernel(name, "10.244.7.0/26")
            ]
            for name in ADDRS
        }

    def claims(one: str, two: str, whose: str = "") -> None:
        for name, state in (("one", one), ("two", two)):
            claim = affinity("10.244.7.0/26", name)
            claim["spec"]["state"] = state
            cluster.apply(claim)
        if whose:
            spec = {"cidr": "10.244.7.0/26", "affinity": whose, "allocations": [None]}
            cluster.apply(an_object("IPAMBlock", "b", spec))

    ones = {"one": ["blackhole"], "two": [ADDRS["one"]]}
    twos = {"one": [ADDRS["two"]], "two": ["blackhole"]}
    claims("confirmed", "confirmed")
    assert eventually(lambda: holes() == ones)
    claims("pendingDeletion", "confirmed")
    assert eventually(lambda: holes() == twos)
    claims("confirmed", "confirmed", "host:one")
    assert eventually(lambda: holes() == ones)
    claims("confirmed", "confirmed", "host:two")
    assert eventually(lambda: holes() == twos)
    for name in ADDRS:
        status = cluster.router(name).ask("show-status")[0]
        (told,) = [line for line in status["warnings"] if "10.244.7.0/26" in line]
        assert "belongs to node two, not to node one" in told
    assert cluster.differences("two") == [] or all(
        row["part"] == "object" for row in cluster.differences("two")
    )
