"""Memory over months in minutes: a daemon's RSS before and after peers that wear it out.

``python -m tests.bench.soak nodes`` lets 30,000 dynamic nodes come, announce a block and
go, and compares the daemon with a fresh one that has the same table. The other loads are
single peers that do what no limit on prefixes sees. All over sockets, on loopback.
"""

import argparse
import asyncio
import ipaddress
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import yaml

from bgpd.api.client import UnreachableError, call
from bgpd.wire.capabilities import (
    AddPathDirection,
    Capabilities,
    GracefulRestart,
)
from bgpd.wire.framing import KEEPALIVE
from bgpd.wire.open import OpenMessage, encode_open
from bgpd.wire.pack import pack_announce
from bgpd.wire.route_refresh import RefreshSubtype, RouteRefresh, encode_route_refresh
from bgpd.wire.update import end_of_rib
from rib.attributes import make_attributes, parse_as_path
from rib.family import IPV4_UNICAST
from rib.nlri import Nlri
from tests.bench.machine import machine

ROOT: Final = Path(__file__).parents[2]
ASN: Final = 64512
EXTERNAL: Final = 65001
OURS: Final = "127.60.0.1"
PORT: Final = 20_000 + os.getpid() % 10_000  # several may run beside each other
NETWORKS: Final = (127 << 24 | 64 << 16, 127 << 24 | 65 << 16, 127 << 24 | 66 << 16)
RESIDENTS: Final = 100
RESTART_TIME: Final = 5  # seconds that the routes of a graceful node stay
MEGABYTE: Final = 1 << 20
LIFE: Final = 1.0  # seconds of a node


def configuration(folder: Path) -> Path:
    """Write a reflector's configuration: clients, other internal peers, external ones."""
    options: tuple[dict[str, object], ...] = (
        {"name": "clients", "as": ASN, "client": True},
        {"name": "internal", "as": ASN},
        {
            "name": "external",
            "as": EXTERNAL,
            "import_policy": "all",
            "export_policy": "all",
        },
    )
    ranges = [
        {"prefix": f"{ipaddress.ip_address(at)}/16", "limit": 20000} | some
        for at, some in zip(NETWORKS, options, strict=True)
    ]
    wanted = {
        "bgp": {
            "as": ASN,
            "router_id": "10.0.0.1",
            "listen": {"addresses": [OURS], "port": PORT},
            "defaults": {
                "families": [{"name": "ipv4-unicast", "add_path": "both"}],
                "graceful_restart": True,
            },
        },
        "policies": {"all": {"default": "accept"}},
        "ranges": ranges,
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "control": {"path": str(folder / "control")},
        "log": {"level": "error"},
    }
    file = folder / "soak.yaml"
    file.write_text(yaml.safe_dump(wanted), encoding="utf-8")
    return file


class Daemon:
    """A daemon of some checkout."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.control = str(folder / "control")
        command = [sys.executable, "-m", "bgpd.cli.daemon"]
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [*command, "run", "--config", str(configuration(folder))],
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(root)},
            stdout=self._log,
            stderr=self._log,
        )

    def status(self) -> dict[str, Any]:
        """Return ``show status``; empty while the daemon does not answer."""
        try:
            for piece in call(self.control, "show-status", {}):
                return dict(piece)  # type: ignore[arg-type]
        except UnreachableError:
            pass
        return {}

    def resident(self) -> float:
        """Return the RSS in MB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        raise ProcessLookupError

    def lag(self) -> float:
        """Return the longest delay of the last minute, milliseconds."""
        return 1000 * (self.status().get("loop_lag") or 0)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self._log.close()


@contextmanager
def a_daemon(root: Path) -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory() as folder:
        daemon = Daemon(root, Path(folder))
        try:
            deadline = time.monotonic() + 30
            while not daemon.status():
                if daemon.process.poll() is not None:
                    sys.exit((Path(folder) / "log").read_text())
                if time.monotonic() > deadline:
                    raise TimeoutError
                time.sleep(0.1)
            yield daemon
        finally:
            daemon.end()


class Node(asyncio.Protocol):
    """A peer that announces one block, and reads whatever comes."""

    def __init__(self, number: int, *, graceful: bool, add_path: bool) -> None:
        kind = number % len(NETWORKS)
        self.address = NETWORKS[kind] + 2 + number // len(NETWORKS)
        self.asn = EXTERNAL if kind == 2 else ASN
        self.number = number
        self.graceful = graceful
        self.add_path = add_path
        self.is_up = asyncio.get_running_loop().create_future()
        self.has_room = asyncio.Event()
        self.has_room.set()
        self.transport: asyncio.Transport
        self._read = 0

    @property
    def nlri(self) -> Nlri:
        return b"\x1a" + (10 << 24 | self.number << 6).to_bytes(4, "big")

    async def come(self) -> None:
        where = str(ipaddress.ip_address(self.address))
        await asyncio.get_running_loop().create_connection(
            lambda: self, OURS, PORT, local_addr=(where, 0)
        )
        await asyncio.wait_for(self.is_up, 30)

    def go(self) -> None:
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.transport.set_write_buffer_limits(MEGABYTE)
        caps = Capabilities(
            families=(IPV4_UNICAST,),
            has_route_refresh=True,
            has_enhanced_refresh=True,
            four_octet_as=self.asn,
            graceful_restart=GracefulRestart(
                restart_time=RESTART_TIME, families=((IPV4_UNICAST, True),)
            )
            if self.graceful
            else None,
            add_path=((IPV4_UNICAST, AddPathDirection.BOTH),) if self.add_path else (),
        )
        opened = OpenMessage(self.asn, 90, self.address, caps)
        self.transport.write(encode_open(opened))

    def data_received(self, data: bytes) -> None:
        self._read += len(data)
        if not self.is_up.done() and self._read >= 29 + 19:
            self.transport.write(KEEPALIVE + self.routes() + end_of_rib(IPV4_UNICAST))
            self.is_up.set_result(None)

    def pause_writing(self) -> None:
        self.has_room.clear()

    def resume_writing(self) -> None:
        self.has_room.set()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.is_up.done():
            self.is_up.set_exception(ConnectionError("closed early"))

    def routes(self) -> bytes:
        return self.announce([self.nlri], self.address.to_bytes(4, "big"))

    def announce(
        self,
        nlris: list[Nlri],
        next_hop: bytes,
        med: int | None = None,
        path_id: int = 1,
    ) -> bytes:
        is_external = self.asn != ASN
        block = make_attributes(
            next_hop=next_hop,
            as_path=parse_as_path(str(self.asn) if is_external else ""),
            local_pref=None if is_external else 100,
            med=med,
        )
        prefix = path_id.to_bytes(4, "big") if self.add_path else b""
        pieces = [prefix + nlri for nlri in nlris]
        return pack_announce(IPV4_UNICAST, block.octets, b"", pieces, 4096)


async def settle(daemon: Daemon, peers: int, seconds: float = 60) -> None:
    """Wait until so many peers are left and nothing is under way, and a little longer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = await asyncio.to_thread(daemon.status)
        if (
            status.get("peers", {}).get("total") == peers
            and not status["background_jobs"]
        ):
            break
        await asyncio.sleep(0.5)
    await asyncio.sleep(25)  # two turns of housekeeping


def kind_of(number: int, arguments: argparse.Namespace) -> dict[str, bool]:
    return {
        "graceful": arguments.graceful,
        "add_path": arguments.add_path and number % 2 == 0,
    }


async def settle_in(arguments: argparse.Namespace) -> list[Node]:
    residents = [Node(n, **kind_of(n, arguments)) for n in range(RESIDENTS)]
    for resident in residents:
        await resident.come()
    return residents


async def nodes(daemon: Daemon, arguments: argparse.Namespace) -> None:
    """Let nodes come and go beside the residents."""
    residents = await settle_in(arguments)
    await asyncio.sleep(2)
    say(daemon, "the residents are there")
    failed = 0

    async def live(number: int) -> None:
        nonlocal failed
        node = Node(number, **kind_of(number, arguments))
        try:
            await node.come()
            await asyncio.sleep(LIFE)
        except (OSError, TimeoutError):
            failed += 1
        if hasattr(node, "transport"):
            node.go()

    loop = asyncio.get_running_loop()
    begun = loop.time()
    step = arguments.seconds / arguments.count
    under_way: set[asyncio.Task[None]] = set()
    for n in range(arguments.count):
        late = loop.time() - begun - n * step
        if late < 0:
            await asyncio.sleep(-late)
        task = loop.create_task(live(RESIDENTS + n))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        if n and n % 5000 == 0:
            peers = (await asyncio.to_thread(daemon.status))["peers"]["total"]
            lag = await asyncio.to_thread(daemon.lag)
            say(daemon, f"{n} nodes, {peers} peers now", lag)
    await asyncio.gather(*under_way)
    say(daemon, f"{arguments.count} nodes in {loop.time() - begun:.0f} s")
    if failed:
        sys.stdout.write(f"  {failed} did not come up\n")
    await settle(daemon, RESIDENTS, 120)
    say(daemon, "they are gone", lag=await asyncio.to_thread(daemon.lag))
    for resident in residents:
        resident.go()


async def fresh(daemon: Daemon, arguments: argparse.Namespace) -> None:
    """Only the residents."""
    residents = await settle_in(arguments)
    await settle(daemon, RESIDENTS)
    say(daemon, "a fresh one with the same table")
    for resident in residents:
        resident.go()


async def pour(node: Node, octets: bytes) -> None:
    """Send, no faster than the daemon reads."""
    node.transport.write(octets)
    await node.has_room.wait()


Load = Callable[[Daemon, argparse.Namespace], Awaitable[None]]


def single(step: Callable[[Node, int], bytes], *, add_path: bool = False) -> Load:
    """Return a load of one peer that lasts as long as the user asked for."""

    async def run(daemon: Daemon, arguments: argparse.Namespace) -> None:
        # A second one listens, so that there is a group to advertise to.
        listener = Node(3, graceful=False, add_path=True)
        node = Node(0, graceful=False, add_path=add_path)
        await listener.come()
        await node.come()
        await asyncio.sleep(1)
        say(daemon, "at first")
        until = time.monotonic() + arguments.seconds
        said = time.monotonic()
        number = 0
        for number in count():
            await pour(node, step(node, number))
            await asyncio.sleep(0)
            if time.monotonic() > said + arguments.seconds / 4:
                said = time.monotonic()
                say(daemon, f"step {number}", await asyncio.to_thread(daemon.lag))
            if time.monotonic() > until or node.transport.is_closing():
                break
        say(daemon, f"step {number}", await asyncio.to_thread(daemon.lag))
        await settle(daemon, 2, 20)
        say(daemon, "at rest", await asyncio.to_thread(daemon.lag))
        node.go()
        await settle(daemon, 1, 20)
        say(daemon, "without the peer")
        listener.go()

    return run


def a_refresh(node: Node, number: int) -> bytes:
    """Begin a refresh that never ends, and tell many blocks again."""
    begin = encode_route_refresh(RouteRefresh(IPV4_UNICAST, RefreshSubtype.BEGIN))
    blocks = (
        node.announce([node_nlri(n)], b"\x0a\0\0\x01", med=n + (number % 7) * 100_000)
        for n in range(10_000)
    )
    return begin + b"".join(blocks)


def an_attribute(node: Node, number: int) -> bytes:
    """Tell the same thousand prefixes by blocks that were never seen before."""
    first = number * 1000
    return b"".join(
        node.announce([node_nlri(n)], b"\x0a\0\0\x01", med=first + n)
        for n in range(1000)
    )


def a_next_hop(node: Node, number: int) -> bytes:
    """Tell the same thousand prefixes through next hops that were never seen before."""
    first = 11 << 24 | (number * 1000 & 0xFFFFFF)
    return b"".join(
        node.announce([node_nlri(n)], (first + n).to_bytes(4, "big"))
        for n in range(1000)
    )


def an_identifier(node: Node, number: int) -> bytes:
    """Tell a prefix under identifiers that were never seen before, and withdraw it."""
    first = number * 100
    told = b"".join(
        node.announce([node_nlri(n)], b"\x0a\0\0\x01", path_id=first + n + 1)
        for n in range(100)
    )
    gone = b"".join(
        (first + n + 1).to_bytes(4, "big") + node_nlri(n) for n in range(100)
    )
    size = 23 + len(gone)
    head = b"\xff" * 16 + size.to_bytes(2, "big") + b"\x02"
    return told + head + len(gone).to_bytes(2, "big") + gone + b"\0\0"


def node_nlri(number: int) -> Nlri:
    return b"\x18" + (20 << 16 | number).to_bytes(3, "big")


LOADS: Final[dict[str, Load]] = {
    "nodes": nodes,
    "fresh": fresh,
    "refreshes": single(a_refresh),
    "attributes": single(an_attribute),
    "next-hops": single(a_next_hop),
    "identifiers": single(an_identifier, add_path=True),
}


def say(daemon: Daemon, what: str, lag: float | None = None) -> None:
    shown = "" if lag is None else f"  lag {lag:.0f} ms"
    sys.stdout.write(f"{daemon.resident():9.1f} MB  {what}{shown}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("load", choices=LOADS)
    parser.add_argument("--count", type=int, default=30_000, help="of nodes")
    parser.add_argument("--seconds", type=float, default=420)
    parser.add_argument("--graceful", action="store_true", help="routes outlive nodes")
    parser.add_argument("--add-path", action="store_true", help="every second node")
    parser.add_argument("--root", type=Path, default=ROOT, help="of another checkout")
    arguments = parser.parse_args()
    sys.stdout.write(f"{machine()}\n")
    with a_daemon(arguments.root) as daemon:
        asyncio.run(LOADS[arguments.load](daemon, arguments))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
