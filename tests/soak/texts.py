"""Mutated texts against a running daemon: what its folder and its configuration may hold.

    python -m tests.soak.texts manifests --count 100000 --seed 1
    python -m tests.soak.texts configurations --count 10000 --seed 1

A node runs in a network namespace of its own, with a folder as its datastore. Manifests are
written into that folder by the hundred, with one sound object that changes each time and must
be taken in; configurations are reloaded one by one, and after some a sound one must be. Exit
code 1 where the daemon ends, where a sound text is rejected, or where something is reported
that should not be. Needs root.
"""

import argparse
import asyncio
import contextlib
import ctypes
import logging
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any, Final

import yaml

from bgpd.config.reading import Source
from bgpd.daemon.daemon import Daemon
from bgpd.daemon.errors import ReloadError
from bgpd.runtime.event_loop import run
from rib.nlri import parse_prefix
from tests.support.manifests import affinity, node, resource
from tests.support.mutations import mutated

CLONE_NEWNET: Final = 0x40000000  # linux/sched.h
PATIENCE: Final = 120.0  # seconds for a sound text to be taken
CHECKED: Final = 50  # configurations after which a sound one is reloaded
OWN: Final = "node-1"

MANIFESTS: Final[list[dict[str, Any]]] = [
    node("node-2", "10.0.0.2/24", asNumber=64513, labels={"rack": "a"}),
    node("node-3", "10.0.0.3/24", ipv6Address="fd00::3/64"),
    node("node-4", "10.0.0.4/24", routeReflectorClusterID="224.0.0.1", ipv4IPIPTunnelAddr="10.244.9.1"),
    node(OWN, "127.0.0.1/8"),
    resource("BGPConfiguration", "default", asNumber=64512, nodeToNodeMeshEnabled=True, logSeverityScreen="Info", serviceClusterIPs=[{"cidr": "10.96.0.0/12"}], communities=[{"name": "c", "value": "64512:7"}], prefixAdvertisements=[{"cidr": "10.244.0.0/16", "communities": ["c"]}], nodeMeshMaxRestartTime="120s", listenPort=11795, ignoredInterfaces=["eth9"], bindMode="NodeIP"),
    resource("BGPConfiguration", f"node.{OWN}", logSeverityScreen="Debug"),
    resource("BGPPeer", "rack", peerIP="10.0.0.9", asNumber=65010, nodeSelector="all()", keepOriginalNextHop=True, maxRestartTime="60s", ttlSecurity=2, filters=["f"], reachableBy="10.0.0.254", numAllowedLocalASNumbers=1, sourceAddress="UseNodeIP"),
    resource("BGPPeer", "selected", nodeSelector="rack == 'a'", peerSelector="has(rack)"),
    resource("BGPPeer", "local", node=OWN, peerIP="[fd00::9]:1179", asNumber="65000.1", nextHopMode="Self"),
    resource("BGPFilter", "f", exportV4=[{"action": "Accept", "cidr": "10.0.0.0/8", "matchOperator": "In", "prefixLength": {"min": 8, "max": 26}, "interface": "cali*", "source": "RemotePeers"}], importV6=[{"action": "Reject", "cidr": "fd00::/8", "matchOperator": "NotEqual"}]),
    resource("IPPool", "pods", cidr="10.244.0.0/16", ipipMode="CrossSubnet", natOutgoing=True, nodeSelector="all()", disableBGPExport=False),
    affinity("node-2", "10.244.2.0/26"),
    affinity(OWN, "10.244.1.0/26", "pendingDeletion"),
    {"apiVersion": "projectcalico.org/v3", "kind": "NodeList", "items": [node("node-5", "10.0.0.5/24"), node("node-6")]},
]  # fmt: skip


def configuration(folder: Path, **more: Any) -> dict[str, Any]:
    return {
        "node": {"name": OWN},
        "datastore": {
            "type": "folder",
            "path": str(folder / "manifests"),
            "removal_hold": 0,
        },
        "kubernetes": {"mode": "off", "endpoint_status": ""},
        "bgp": {"as": 64512, "router_id": "10.0.0.1", "listen": {"port": 11795}},
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "control": {"path": str(folder / "control.sock")},
        "bird": {"ipv4": "", "ipv6": ""},
        "log": {"level": "error"},
        **more,
    }


CONFIGURED: Final[dict[str, Any]] = {
    "peer_groups": {"racks": {"as": 65010, "hold_time": 30, "families": ["ipv4-unicast"]}},
    "peers": [
        {"address": "127.0.0.9", "as": 64513, "import_policy": "p", "passive": True},
        {"address": "fd00::9", "group": "racks", "name": "tor", "password": "secret"},
        {"address": "127.0.0.10", "as": 64512, "client": True, "keepalive_time": 5},
    ],
    "ranges": [{"prefix": "127.1.0.0/16", "as": 64512, "limit": 10, "client": True}],
    "policies": {
        "p": {
            "default": "reject",
            "terms": [
                {
                    "name": "one",
                    "action": "accept",
                    "match": {
                        "prefixes": [{"prefix": "10.0.0.0/8", "ge": 9, "le": 24}],
                        "communities": ["64512:1"],
                        "as_path": "64513 .*",
                        "local_pref": {"min": 1, "max": 200},
                    },
                    "set": {
                        "local_pref": 200,
                        "communities": {"add": ["64512:2"]},
                        "prepend": [64512],
                    },
                }
            ],
        }
    },
    "graceful_restart": {"enabled": True, "stale_path_time": 100},
}  # fmt: skip


@dataclass
class Report:
    """What was seen."""

    texts: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    worst_turn: float = 0.0  # seconds by the wall
    worst_work: float = 0.0  # seconds of processor time in one turn
    late: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def line(self) -> str:
        memory = getrusage(RUSAGE_SELF).ru_maxrss >> 10
        return (
            f"{self.texts} texts, {self.refused} refused; worst turn of the loop"
            f" {self.worst_turn * 1000:.0f} ms, of it work {self.worst_work * 1000:.0f} ms;"
            f" {memory} MiB; faults: {len(self.faults)}"
        )


class Recorder(logging.Handler):
    """Keeps what a daemon must never log: that it failed unexpectedly."""

    def __init__(self, report: Report) -> None:
        super().__init__(logging.WARNING)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and len(self._report.faults) < 1000:
            text = logging.Formatter().formatException(record.exc_info)
            self._report.faults.append(f"{record.getMessage()[:300]}\n{text[-1500:]}")


class Node:
    """A running daemon, watched."""

    def __init__(self, folder: Path, report: Report) -> None:
        self.folder = folder
        self.report = report
        self.file = folder / "pybgpd.yaml"
        self.manifests = folder / "manifests"
        self.manifests.mkdir()
        self._number = 0

    @contextlib.asynccontextmanager
    async def running(self) -> Any:
        self.put("own.yaml", node(OWN, "127.0.0.1/8"))
        self.configure()
        source = Source(self.file, environment={})
        loaded = source.load()
        # Without watching the files: each reload is a request with an answer.
        self.daemon = Daemon(loaded.settings, source, ())
        logging.getLogger().addHandler(Recorder(self.report))
        task = asyncio.create_task(self.daemon.run())
        await asyncio.wait_for(self.daemon.started.wait(), PATIENCE)
        ticks = asyncio.create_task(self._tick())
        try:
            yield
            if task.done():
                self.report.faults.append(f"the daemon ended: {task}")
        finally:
            ticks.cancel()
            self.daemon.stopping.set()
            await task

    async def _tick(self) -> None:
        report, loop = self.report, asyncio.get_running_loop()
        last, worked = loop.time(), time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            now, cpu = loop.time(), time.thread_time()
            report.worst_turn = max(report.worst_turn, now - last)
            if cpu - worked > 0.1:
                report.late.append(
                    f"{(cpu - worked) * 1000:.0f} ms at text {report.texts}"
                )
            report.worst_work = max(report.worst_work, cpu - worked)
            last, worked = now, cpu

    def put(self, name: str, manifest: dict[str, Any]) -> None:
        write(self.manifests / name, yaml.safe_dump(manifest).encode())

    def configure(self, *prefixes: str) -> None:
        originated = {"originate": [{"prefix": each} for each in prefixes]}
        content = configuration(self.folder, routes=originated)
        write(self.file, yaml.safe_dump(content).encode())

    async def takes_an_object(self) -> bool:
        """Change a sound object; return whether it is taken in time."""
        self._number += 1
        block = f"10.77.{self._number & 255}.{self._number >> 8 << 6 & 255}/26"
        await asyncio.to_thread(self.put, "sound.yaml", affinity(OWN, block))
        nlri = parse_prefix(block)[1]

        def is_there() -> bool:
            desired = self.daemon.latest
            return desired is not None and any(
                b.nlri == nlri for b in desired.originated
            )

        return await holds(is_there)

    async def takes_a_configuration(self) -> bool:
        """Reload a sound configuration; return whether it is in force."""
        self._number += 1
        prefix = f"10.78.{self._number >> 8 & 255}.{self._number & 255}/32"
        await asyncio.to_thread(self.configure, prefix)
        await self.daemon.reload_or_raise()
        routes = self.daemon.settings.routes.originated
        return [route.nlri for route in routes] == [parse_prefix(prefix)[1]]


async def holds(condition: Any) -> bool:
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.02)
    return True


def write(path: Path, octets: bytes) -> None:
    draft = path.with_name(f".{path.name}")
    draft.write_bytes(octets)
    draft.replace(path)


class Writer:
    """Mutates and writes in a process of its own, since it must not be part of the measurement.

    Args:
        what: ``manifests`` or ``configurations``.
        seed: All follows from it.
        folder: The node's.
    """

    def __init__(self, what: str, seed: int, folder: Path) -> None:
        self._arguments = ("write", what, str(seed), str(folder))

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.soak.texts",
            *self._arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    async def write(self, count: int) -> list[str]:
        """Write so many texts; return which mutations made them."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(b"%d\n" % count)
        return (await stdout.readline()).decode().split()

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


def write_for_ever(what: str, seed: int, folder: Path) -> None:
    """Write as many mutated texts as each line of the standard input asks for."""
    if what == "manifests":
        sound = [yaml.safe_dump(each).encode() for each in MANIFESTS]
        paths = [
            folder / "manifests" / f"m{number:04d}.yaml" for number in range(10_000)
        ]
    else:
        content = configuration(folder, **CONFIGURED)
        sound = [yaml.safe_dump(content, sort_keys=False).encode()]
        paths = [folder / "pybgpd.yaml"]
    texts = mutated(seed, sound)
    for line in sys.stdin:
        kinds = []
        for path, (kind, octets) in zip(paths, islice(texts, int(line)), strict=False):
            kinds.append(kind)
            write(path, octets)
        print(*kinds, flush=True)  # noqa: T201  # the answer


async def soak_manifests(at: Node, writer: Writer, count: int, batch: int) -> None:
    report = at.report
    while report.texts < count:
        kinds = await writer.write(min(batch, count - report.texts))
        report.kinds.update(kinds)
        report.texts += len(kinds)
        if not await at.takes_an_object():
            report.faults.append(f"a sound object was rejected at {report.texts}")
            return
        assert at.daemon.cluster is not None
        report.refused += len(at.daemon.cluster.status.warnings)
        tell_now_and_then(report)


async def soak_configurations(at: Node, writer: Writer, count: int, _: int) -> None:
    report = at.report
    while report.texts < count:
        report.kinds.update(await writer.write(1))
        report.texts += 1
        try:
            await at.daemon.reload_or_raise()
        except ReloadError:
            report.refused += 1
        if report.texts % CHECKED == 0:
            if not await at.takes_a_configuration():
                report.faults.append(f"a sound file was rejected at {report.texts}")
            tell_now_and_then(report)


_told_at = time.monotonic()


def tell_now_and_then(report: Report) -> None:
    global _told_at  # noqa: PLW0603  # of this script alone
    if time.monotonic() > _told_at + 20:
        _told_at = time.monotonic()
        print(report.line(), flush=True)  # noqa: T201  # its progress


def enter_namespace() -> None:
    """Have a network of our own: mutated addresses must reach no host."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare; this needs root")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def soak(what: str, count: int, seed: int, batch: int) -> Report:
    """Run it, and report."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="pybgpd-soak-") as name:
        at = Node(Path(name), report)
        writer = Writer(what, seed, at.folder)
        work = soak_manifests if what == "manifests" else soak_configurations

        async def main() -> int:
            async with at.running():
                await writer.start()
                await work(at, writer, count, batch)
                await writer.close()
            return 0

        run(main())
    return report


def main() -> int:
    if sys.argv[1:2] == ["write"]:
        write_for_ever(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("manifests", "configurations"))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=500, help="files written at once")
    options = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())
    enter_namespace()
    report = soak(options.what, options.count, options.seed, options.batch)
    for fault, count in Counter(report.faults).most_common(20):
        print(f"{count} times: {fault}\n")  # noqa: T201
    print(*report.late[:20], sep="\n")  # noqa: T201
    print(report.line())  # noqa: T201
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
