"""From a new block in etcd to the route in another node's kernel, beside BIRD.

Four nodes in full mesh. An event is one new block of the first node; it is over when the
kernel of the last node tells its listeners of the route. The clock starts before the datastore
(or BIRD's file) is written, so the writing counts too; how long that took until it was
answered is a row of its own.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from typing import Any, Final

from bgpd.lab.lab import Lab
from bgpd.lab.routers import DRIVERS
from bgpd.lab.routers.base import wait_until
from bgpd.lab.topology import RouterKind, Topology
from tests.bench.listener import READY

EVENTS: Final = 100
NODES: Final = 4
PAUSE: Final = 0.02  # seconds between two events
LIMIT: Final = 10.0  # seconds for one event
SOURCE, TARGET = "node-1", f"node-{NODES}"

Announce = Callable[[Lab, str], None]


def missing() -> str:
    """Return why this cannot run here; empty if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    return "" if shutil.which("etcd") else "etcd is not installed"


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    version = "projectcalico.org/v3"
    metadata = {"name": name}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _clustered(kind: RouterKind) -> Topology:
    addrs = {f"node-{n}": f"10.0.0.{n}/24" for n in range(1, NODES + 1)}
    objects = [_object("IPPool", "pods", {"cidr": "10.0.0.0/8"})]
    objects += [
        _object("Node", name, {"bgp": {"ipv4Address": addr}})
        for name, addr in addrs.items()
    ]
    nodes: dict[str, Any] = {
        name: {"addresses": [addr], "router": {"kind": kind, "cluster": "calico"}}
        for name, addr in addrs.items()
    }
    nodes["store"] = {"addresses": ["10.0.0.200/24"]}
    clusters = {"calico": {"store": "store", "objects": objects}}
    return Topology.model_validate({"nodes": nodes, "clusters": clusters})


def _plain() -> Topology:
    names = [f"node-{n}" for n in range(1, NODES + 1)]
    return Topology.model_validate(
        {
            "nodes": {
                name: {
                    "addresses": [f"10.0.0.{number}/24"],
                    "router": {
                        "kind": "bird",
                        "neighbours": [{"node": n} for n in names if n != name],
                    },
                }
                for number, name in enumerate(names, 1)
            }
        }
    )


def _into_etcd(lab: Lab, block: str) -> None:
    name = block.replace(".", "-").replace("/", "-")
    spec = {"node": SOURCE, "cidr": block, "state": "confirmed"}
    lab.stores["calico"].apply([_object("BlockAffinity", name, spec)])


def _into_birds_file(lab: Lab, block: str) -> None:
    lab.routers[SOURCE].originate(block)  # writes the file, then `birdc configure`


CASES: Final[tuple[tuple[str, RouterKind, Callable[[], Topology], Announce], ...]] = (
    ("ours, from etcd", "pybgpd", lambda: _clustered("pybgpd"), _into_etcd),
    (
        "BIRD, from etcd by the lab's confd",
        "calico-bird",
        lambda: _clustered("calico-bird"),
        _into_etcd,
    ),
    ("BIRD, from a file by birdc configure", "bird", _plain, _into_birds_file),
)


def rows(runs: int = EVENTS) -> Iterator[str]:
    """Yield the table, a line as soon as it is known."""
    yield f"new block to another node's kernel, {runs} events, {NODES} nodes"
    yield f"  {'':40}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}"
    for title, kind, topology, announce in CASES:
        if not DRIVERS[kind].is_installed():
            yield f"  {title:40}{'not installed':>20}"
            continue
        arrivals, writes = measure(topology(), announce, runs)
        yield f"  {title:40}{_figures(arrivals)}"
        yield f"  {'  the write alone':40}{_figures(writes)}"


def _figures(seconds: list[float]) -> str:
    p99 = statistics.quantiles(seconds, n=100, method="inclusive")[98]
    found = statistics.median(seconds), p99, max(seconds)
    return "".join(f"{1000 * figure:>10.1f}" for figure in found)


def measure(
    topology: Topology, announce: Announce, runs: int
) -> tuple[list[float], list[float]]:
    """Return the seconds of each event, and of each write alone.

    Raises:
        LabError: The lab did not come up, or an event never arrived.
    """
    blocks = [str(net) for net in IPv4Network("10.64.0.0/14").subnets(new_prefix=26)]
    arrivals, writes = [], []
    with Lab(topology) as lab:
        lab.start()
        for router in lab.routers.values():
            wait_until(lambda r=router: _is_full(r.sessions()), 30.0, "a full mesh")  # type: ignore[misc]
        with _listening(lab) as next_event:
            for block in blocks[: runs + 1]:
                started = time.monotonic()
                announce(lab, block)
                writes.append(time.monotonic() - started)
                arrivals.append(next_event(block) - started)
                time.sleep(PAUSE)
    # The first one opens connections and compiles expressions.
    return arrivals[1:], writes[1:]


def _is_full(sessions: dict[str, Any]) -> bool:
    up = [session for session in sessions.values() if session.is_established]
    return len(up) == NODES - 1


@contextmanager
def _listening(lab: Lab) -> Iterator[Callable[[str], float]]:
    """Yield what waits for a prefix in the target's kernel and returns when it came."""
    argv = lab.namespace(TARGET).argv([sys.executable, "-m", "tests.bench.listener"])
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        lines = process.stdout
        if lines is None or lines.readline().strip() != READY:
            raise RuntimeError("the listener did not start")

        def next_event(prefix: str) -> float:
            for line in lines:
                moment, _, text = line.strip().partition(" ")
                if text == prefix:
                    return float(moment)
            raise RuntimeError(f"no route to {prefix}")

        try:
            yield next_event
        finally:
            process.kill()
