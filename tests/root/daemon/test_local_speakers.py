"""Sessions that end on the node itself: other programs' speakers, and our own alone."""

import contextlib
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bgpd.lab.demo_cluster import an_object
from tests.support.cluster_lab import ADDRS, Cluster, running_cluster, settings
from tests.support.routers import eventually, needs, needs_root

pytestmark = [
    pytest.mark.root,
    pytest.mark.interop,
    pytest.mark.slow,
    needs_root,
    needs("bird"),
    needs("gobgp"),
    needs("exabgp"),
]

NODE = ADDRS["one"]
BRIDGE = "172.30.0.1"
# Who speaks where, and what it announces.
SPEAKERS = {
    "bird": ("127.0.0.2", 1179, 65010, "203.0.113.1/32"),
    "exabgp": ("127.0.0.3", 1179, 65011, "203.0.113.2/32"),
    "gobgp": (NODE, 1180, 65012, "203.0.113.3/32"),
    "bridged": (BRIDGE, 1181, 65013, "203.0.113.4/32"),
}


def bird(folder: Path, name: str) -> list[str]:
    addr, port, asn, prefix = SPEAKERS[name]
    conf = folder / f"{name}.conf"
    conf.write_text(
        f"""router id 10.9.9.{port % 100};
protocol device {{}}
protocol static {{ ipv4; route {prefix} blackhole; }}
protocol bgp node {{
  local {addr} port {port} as {asn}; neighbor {NODE} as 64512; multihop; strict bind on;
  passive on; ipv4 {{ import none; export all; }};
}}
""",
        encoding="utf-8",
    )
    places = ["-s", str(folder / f"{name}.ctl"), "-P", str(folder / f"{name}.pid")]
    return ["/usr/sbin/bird", "-f", "-c", str(conf), *places]


def exabgp(folder: Path) -> list[str]:
    addr, _, asn, prefix = SPEAKERS["exabgp"]
    conf = folder / "exa.conf"
    conf.write_text(
        f"""neighbor {NODE} {{
  router-id 10.9.9.3; local-address {addr}; local-as {asn}; peer-as 64512;
  family {{ ipv4 unicast; }}
  static {{ route {prefix} next-hop {addr}; }}
}}
""",
        encoding="utf-8",
    )
    settings = ("daemon.user=root", "api.cli=false", "tcp.bind=")
    return ["env", *(f"exabgp.{each}" for each in settings), "exabgp", str(conf)]


def gobgpd(folder: Path) -> list[str]:
    addr, port, asn, _ = SPEAKERS["gobgp"]
    conf = folder / "gobgp.toml"
    conf.write_text(
        f"""[global.config]
as = {asn}
router-id = "10.9.9.4"
port = {port}
local-address-list = ["{addr}"]
[[neighbors]]
[neighbors.config]
neighbor-address = "{NODE}"
peer-as = 64512
[neighbors.transport.config]
passive-mode = true
[neighbors.ebgp-multihop.config]
enabled = true
multihop-ttl = 64
""",
        encoding="utf-8",
    )
    return ["gobgpd", "-f", str(conf), "--pprof-disable", "--api-hosts", "127.0.0.1:50"]


@contextlib.contextmanager
def programs(cluster: Cluster, *argvs: list[str], folder: Path) -> Iterator[None]:
    children: list[subprocess.Popen[bytes]] = []
    with (folder / "programs.log").open("wb") as log:
        try:
            one = cluster.lab.namespace("one")
            children.extend(one.popen(argv, log) for argv in argvs)
            yield
        except AssertionError as error:
            error.add_note((folder / "programs.log").read_text("utf-8", "replace"))
            raise
        finally:
            for child in children:
                child.kill()
                child.wait()


@pytest.fixture(name="cluster")
def with_local_speakers(tmp_path: Path) -> Iterator[Cluster]:
    peers = [
        an_object(
            "BGPPeer",
            name,
            {"node": "one", "peerIP": f"{addr}:{port}", "asNumber": asn},
        )
        for name, (addr, port, asn, _) in SPEAKERS.items()
    ]
    pool = an_object("IPPool", "balancers", {"cidr": "203.0.113.0/24"})
    # What the autodetection of an address takes where it takes a bridge.
    ghost = {"bgp": {"ipv4Address": f"{BRIDGE}/24"}}
    with running_cluster(
        tmp_path, pool, *peers, an_object("Node", "ghost", ghost)
    ) as cluster:
        cluster.namespace(
            "one",
            "link add docker9 type bridge",
            f"addr add {BRIDGE}/24 dev docker9",
            "link set docker9 up",
        )
        commands = [bird(tmp_path, "bird"), exabgp(tmp_path), gobgpd(tmp_path)]
        commands.append(bird(tmp_path, "bridged"))
        with programs(cluster, *commands, folder=tmp_path):
            yield cluster


def rows(cluster: Cluster, name: str, prefix: str) -> list[dict[str, Any]]:
    return cluster.router(name).ask("show-routes", prefix=prefix)


def test_speakers_on_the_node_are_heard_and_their_routes_end_there(
    cluster: Cluster, tmp_path: Path
) -> None:
    ask = ["gobgp", "-p", "50", "global", "rib", "add", SPEAKERS["gobgp"][3]]
    for addr, *_ in SPEAKERS.values():
        assert eventually(partial(cluster.is_up, "one", addr), 30), addr
    cluster.lab.namespace("one").run(ask)
    for name, (_, _, _, prefix) in SPEAKERS.items():
        assert eventually(partial(rows, cluster, "two", prefix)), name
        (told,) = rows(cluster, "two", prefix)
        assert told["attributes"]["next_hop"] == NODE, name
        assert told["is_best"], name
        host = prefix.split("/")[0]
        assert eventually(partial(cluster.kernel, "two", host))
        (route,) = cluster.kernel("two", host)
        assert route["gateway"] == NODE
        (mine,) = rows(cluster, "one", prefix)
        assert mine["is_best"]
        assert cluster.kernel("one", host) == []
    # The bridge's address is another node's, says its object: that one is not there.
    status = cluster.router("one").ask("show-status")[0]
    assert not [line for line in status["warnings"] if "Node_" in line]


def test_a_session_with_ourselves_is_reported(tmp_path: Path) -> None:
    ghost = an_object("Node", "ghost", {"bgp": {"ipv4Address": f"{BRIDGE}/24"}})
    itself = {"node": "one", "peerIP": NODE, "asNumber": 65010}
    with running_cluster(
        tmp_path, ghost, an_object("BGPPeer", "itself", itself)
    ) as cluster:

        def warnings() -> str:
            return "\n".join(cluster.router("one").ask("show-status")[0]["warnings"])

        assert eventually(lambda: "spec.peerIP" in warnings())
        assert "own address and port" in warnings()
        assert "docker9" not in warnings()
        cluster.namespace(
            "one",
            "link add docker9 type bridge",
            f"addr add {BRIDGE}/24 dev docker9",
            "link set docker9 up",
        )
        assert eventually(lambda: "docker9" in warnings())
        place = f"{BRIDGE} is an address of this machine, on docker9"
        who = "Mesh_172_30_0_1 (mesh with ghost)"
        assert (
            f"{who}: {place}, where this daemon itself listens at port 179"
            in warnings()
        )
        cluster.apply(settings("node.ghost", listenPort=1790))
        assert eventually(lambda: "at port 1790" in warnings())
        assert f"{place}, and no other BGP speaker answers at port 1790" in warnings()
        cluster.namespace("one", "link del docker9")
        assert eventually(lambda: "docker9" not in warnings())
