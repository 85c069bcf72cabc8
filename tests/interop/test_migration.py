"""A node goes from BIRD to us and back while its neighbour keeps BIRD: no route is lost."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.daemons import Daemon, write_yaml
from tests.support.pairs import a_bird, two_networks
from tests.support.routers import eventually, needs
from tests.support.watched_kernels import Node, watched

pytestmark = [needs("bird"), pytest.mark.timeout(300)]
ADDRESSES = ("10.0.1.11", "10.0.1.12")
BLOCKS = ("10.244.11.0/26", "10.244.12.0/26")
STEADY = 5.0  # seconds after a hand-over in which a late withdrawal would be seen


def bird_of(number: int) -> str:
    """Return what confd makes of a mesh of two, for BIRD 2."""
    own, other = ADDRESSES[number], ADDRESSES[1 - number]
    return f"""
        router id {own}; log stderr all;
        protocol device {{ scan time 1; }}
        protocol direct {{ ipv4; }}
        protocol kernel {{
          persist; scan time 1; graceful restart; merge paths on; metric 0;
          ipv4 {{ export where source != RTS_DEVICE; }};
        }}
        protocol static {{ ipv4; route {BLOCKS[number]} blackhole; }}
        protocol bgp Mesh_{other.replace(".", "_")} {{
          local {own} as 64512; neighbor {other} as 64512; multihop;
          graceful restart on;
          connect delay time 1; connect retry time 1; error wait time 1, 2;
          ipv4 {{ import all; export where net ~ [ 10.244.0.0/16+ ]; add paths on; }};
        }}
    """


def ours(folder: Path) -> Path:
    """Write the same for the first node."""
    own, other = ADDRESSES
    return write_yaml(
        folder / "pybgpd.yaml",
        {
            "bgp": {
                "as": 64512,
                "router_id": own,
                "defaults": {"local_address": own, "connect_retry_time": 1},
            },
            "peers": [{"name": "node-12", "address": other, "as": 64512}],
            "routes": {"originate": [{"prefix": BLOCKS[0], "blackhole": True}]},
            "graceful_restart": {"sweep_time": 60},
            "control": {"path": str(folder / "control.sock")},
        },
    )


def both_forward(nodes: list[Node]) -> bool:
    return all(node.has(block) for node in nodes for block in BLOCKS)


def test_a_node_moves_from_bird_to_us_and_back(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    prefixes = tuple(f"{address}/24" for address in ADDRESSES)
    with (
        two_networks("move", *prefixes) as enters,
        watched(enters, tmp_path) as nodes,
        a_bird(folders[1], bird_of(1), *enters[1]),
    ):
        # As kubelet ends a pod without grace: BIRD has no time for a NOTIFICATION.
        with a_bird(folders[0], bird_of(0), *enters[0], end=signal.SIGKILL):
            assert eventually(lambda: both_forward(nodes), timeout=60)
        assert both_forward(nodes)
        file = ours(folders[0])
        start = ("run", "--config", str(file))
        with Daemon(folders[0], *start, prefix=enters[0]) as daemon:
            daemon.until(lambda: daemon.are_up(ADDRESSES[1]), 60)
            daemon.until_logged("restart completed", 60)
            daemon.until(
                lambda: (
                    not daemon.ask("show-fib", state="stale")
                    and {row["prefix"] for row in daemon.ask("show-fib")} == set(BLOCKS)
                )
            )
            time.sleep(STEADY)
            assert both_forward(nodes)
            assert [node.lost() for node in nodes] == [[], []]
            assert "established" in daemon.log()
            daemon.signal(signal.SIGTERM)
            assert daemon.ended() == 0
        assert both_forward(nodes)
        with a_bird(folders[0], bird_of(0), *enters[0], recovers=True):
            assert eventually(
                lambda: "Established" in protocols(enters[0], folders[0]), timeout=60
            )
            assert eventually(lambda: both_forward(nodes))
            time.sleep(STEADY)
            assert both_forward(nodes)
            assert [node.lost() for node in nodes] == [[], []]


def protocols(enter: tuple[str, ...], folder: Path) -> str:
    socket = str(folder / "bird.ctl")
    outcome = subprocess.run(
        [*enter, "/usr/sbin/birdc", "-s", socket, "show", "protocols"],
        capture_output=True,
        text=True,
        check=False,
    )
    return outcome.stdout
