"""What one command that touches a whole cluster does to a node: lag, sessions, log lines.

``python -m tests.bench.bursts --nodes 5000``; needs etcd. A daemon follows a real etcd, with
sessions of hold time 3 s to another daemon. Each burst is written by several clients at once,
as fast as etcd takes it. The figures are the daemon's own: the longest delay of its event
loop, the time until all was applied, processor time, lines of its log, and sessions that
were lost.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bgpd.api.client import UnreachableError, call
from bgpd.datastore.etcd import EtcdWriter
from bgpd.datastore.manifests import item_of
from tests.bench.sampled import FILE_VARIABLE
from tests.etcd.servers import cluster
from tests.support.daemons import write_yaml
from tests.support.manifests import affinity, node, resource

SAMPLED: Final = "tests.bench.sampled"
WRITERS: Final = 8
LAG_WINDOW: Final = 61.0  # seconds after which the lag meter has forgotten
PORT: Final = 17940
OWN, PEERS = "127.0.77.1", ("127.0.77.2", "127.0.77.3")
LIMIT: Final = 300.0  # seconds for one burst

Items = dict[str, bytes]


class Tested:
    """A daemon as a process, asked by its control socket.

    Args:
        folder: For its files.
        content: Its configuration.
        code: Folder of the packages to run; what is checked out by default.
    """

    def __init__(
        self,
        folder: Path,
        content: dict[str, Any],
        code: Path,
        module: str = "bgpd.cli.daemon",
    ) -> None:
        folder.mkdir()
        self.stalls = folder / "stalls"
        self.log = folder / "log"
        self.control = str(folder / "control")
        content["control"] = {"path": self.control}
        file = write_yaml(folder / "pybgpd.yaml", content)
        command = [
            sys.executable,
            "-m",
            module,
            "run",
            "--config",
            str(file),
        ]
        environment = {
            **os.environ,
            "PYTHONPATH": str(code),
            FILE_VARIABLE: str(self.stalls),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=code, env=environment, stdout=log, stderr=log
            )

    def ask(self, command: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        try:
            for piece in call(self.control, command, {}):
                rows += piece if isinstance(piece, list) else [dict(piece)]
        except (UnreachableError, OSError):
            return []
        return rows

    def status(self) -> dict[str, Any]:
        """Return ``show status``, once it is answered.

        Raises:
            RuntimeError: The daemon ended.
        """
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(self.log.read_text()[-2000:])
            rows = self.ask("show-status")
            if rows:
                return rows[0]
            time.sleep(0.1)

    def sessions(self) -> tuple[int, int]:
        """Return how many of the real sessions are up, and their flaps."""
        rows = [row for row in self.ask("show-peers") if row["address"] in PEERS]
        up = sum(row["state"].lower() == "established" for row in rows)
        return up, sum(row.get("flaps") or 0 for row in rows)

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> str:
        """End it; return the longest turns of a sampled one."""
        self.process.terminate()
        self.process.wait(30)
        return self.stalls.read_text() if self.stalls.exists() else ""

    def lines(self) -> int:
        return self.log.read_bytes().count(b"\n")


def settings(addresses: list[str], **more: Any) -> dict[str, Any]:
    return {
        "bgp": {
            "as": 64512,
            "router_id": addresses[0],
            "listen": {"addresses": addresses, "port": PORT},
            "defaults": {"port": PORT, "connect_retry_time": 1, "hold_time": 3},
        },
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        **more,
    }


def others(count: int, **more: Any) -> list[dict[str, Any]]:
    """Return nodes whose sessions wait for the other end: nothing is connected to."""
    return [
        node(
            f"n{i:05}",
            f"127.{100 + i // 60000}.{i // 250 % 240}.{1 + i % 250}/8",
            **more,
        )
        for i in range(count)
    ]


def annotated(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for manifest in manifests:
        manifest["metadata"]["annotations"] = {"touched": str(time.time())}
    return manifests


def bursts(count: int) -> Iterator[tuple[str, Items]]:
    """Yield title and keys to write of each burst."""
    junk = "/calico/resources/v3/projectcalico.org/nodes"
    plain = others(count)
    yield "nodes created", dict(map(item_of, plain))
    yield "nodes annotated", dict(map(item_of, annotated(others(count))))
    labelled = others(count, labels={"touched": "now"})
    yield "nodes labelled", dict(map(item_of, labelled))
    peers = [
        resource("BGPPeer", f"p{i:05}", nodeSelector=f"rack == 'r{i}'", asNumber=64513)
        | {
            "spec": {
                "nodeSelector": f"rack == 'r{i}'",
                "peerIP": f"127.99.{i // 250}.{1 + i % 250}",
                "asNumber": 64513,
            }
        }
        for i in range(count)
    ]
    yield "BGPPeers of others created", dict(map(item_of, peers))
    blocks = [
        affinity(f"n{i:05}", f"10.{i // 1024}.{i // 4 % 256}.{i % 4 * 64}/26")
        for i in range(count)
    ]
    yield "affinities of others created", dict(map(item_of, blocks))
    bad = others(count, asNumber="none")
    yield "nodes with a bad field", dict(map(item_of, bad))
    yield "nodes repaired", dict(map(item_of, plain))
    yield "junk keys", {f"{junk}/{i:05}/x/y": b"{" for i in range(count)}
    restart = resource("BGPConfiguration", "default", nodeMeshMaxRestartTime="60s")
    yield "all peers changed by one object", dict([item_of(restart)])


def _neighbour(own: str, address: str) -> dict[str, Any]:
    return {
        "name": f"real-{address}",
        "address": address,
        "as": 64512,
        "local_address": own,
    }


@contextmanager
def run_daemons(
    folder: Path, datastore: dict[str, Any], code: Path
) -> Iterator[Tested]:
    """Yield a daemon that follows ``datastore``, with sessions to two others."""
    here = Path(__file__).parents[2]
    mine = settings(
        [OWN],
        node={"name": "own"},
        datastore=datastore,
        routes={"cluster": True},
        peers=[_neighbour(OWN, address) for address in PEERS],
    )
    ours = Tested(folder / "own", mine, code, SAMPLED)
    far = [
        Tested(folder / each, settings([each], peers=[_neighbour(each, OWN)]), here)
        for each in PEERS
    ]
    try:
        yield ours
    finally:
        for each in (ours, *far):
            each.process.kill()
            each.process.wait()


async def write(writer: EtcdWriter, items: Items) -> int:
    """Write keys by several clients at once; return the last revision."""
    pairs = list(items.items())
    parts = [dict(pairs[n::WRITERS]) for n in range(WRITERS)]
    return max(await asyncio.gather(*(writer.put(part) for part in parts if part)))


async def measure(count: int, code: Path, only: str, *, is_quick: bool) -> None:
    """Print a row for each burst, then the longest turns of the loop."""
    with tempfile.TemporaryDirectory() as name, cluster(Path(name) / "etcd") as store:
        folder = Path(name)
        await store.start()
        writer = EtcdWriter(store.settings)
        await writer.apply([node("own", f"{OWN}/8")])
        etcd = {"type": "etcd", "endpoints": [store.servers[0].endpoint]}
        with run_daemons(folder, etcd, code) as ours:
            while ours.sessions()[0] < len(PEERS):  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.2)
            say(
                "burst", "written", "applied", "lag ms", "cpu s", "lines", "flaps", "up"
            )
            for title, items in bursts(count):
                if only and only not in title and title != "nodes created":
                    continue
                if not is_quick:
                    await asyncio.sleep(LAG_WINDOW)
                await one(title, items, writer, ours)
            say("longest turns", ours.end().strip())


async def one(title: str, items: Items, writer: EtcdWriter, ours: Tested) -> None:
    cpu, lines, (_, flaps) = ours.cpu(), ours.lines(), ours.sessions()
    started = time.monotonic()
    revision = await write(writer, items)
    written = time.monotonic() - started
    while time.monotonic() - started < LIMIT:
        status = ours.status()
        if status["datastore"]["applied_revision"] >= revision:
            break
        await asyncio.sleep(0.1)
    applied = time.monotonic() - started
    await asyncio.sleep(1.0)
    status, (up, flaps_now) = ours.status(), ours.sessions()
    say(
        title,
        f"{written:.2f}",
        f"{applied:.2f}",
        f"{1000 * (status['loop_lag'] or 0):.0f}",
        f"{ours.cpu() - cpu:.2f}",
        str(ours.lines() - lines),
        str(flaps_now - flaps),
        f"{up} of {status['peers']['total']}",
    )


def say(title: str, *figures: str) -> None:
    sys.stdout.write(f"{title:34}" + "".join(f"{each:>12}" for each in figures) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--code", type=Path, default=Path(__file__).parents[2])
    parser.add_argument("--only", default="", help="bursts with this in their title")
    parser.add_argument("--quick", action="store_true", help="lag of all bursts so far")
    arguments = parser.parse_args()
    sys.stdout.write(json.dumps({"nodes": arguments.nodes}) + "\n")
    asyncio.run(
        measure(
            arguments.nodes, arguments.code, arguments.only, is_quick=arguments.quick
        )
    )


if __name__ == "__main__":
    main()
