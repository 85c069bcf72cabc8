"""What the daemon counts of messages, in every view, is what a capture of the wire holds.

The capture is taken at the peers' ends of the connections: octets as they come, divided
by the lengths in their headers.
"""

import asyncio
import re
import socket
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bgpd.wire.errors import CeaseSubcode
from bgpd.wire.framing import KEEPALIVE, MessageType, encode_message
from bgpd.wire.notification import cease, encode_notification
from bgpd.wire.pack import pack_announce, pack_withdraw
from bgpd.wire.route_refresh import RefreshSubtype, RouteRefresh, encode_route_refresh
from bgpd.wire.update import end_of_rib
from rib.attributes import make_attributes
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import parse_address
from tests.support.daemons import Daemon, write_yaml
from tests.support.scripted_peer import an_open
from tests.support.speakers import own_network, some_nlris

pytestmark = pytest.mark.slow
ASN = 64512
PORT, METRICS_PORT = 17921, 17922
LAST = "10.99.0.0/16"
KINDS = {int(kind): kind.name.lower().replace("_", "-") for kind in MessageType}


class Wire:
    """One peer's end: sends given messages in random pieces, and captures everything."""

    def __init__(self, local: str, remote: str, rng: Random) -> None:
        self.sent: Counter[str] = Counter()
        self.octets_sent = 0
        self.captured = b""
        self._rng = rng
        self._where = local, remote
        self._task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        local, remote = self._where
        reader, self._writer = await asyncio.open_connection(
            remote, PORT, local_addr=(local, 0)
        )
        self._task = asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(1 << 16):
            self.captured += data

    async def say(self, *messages: bytes) -> None:
        """Send whole messages; they are cut anywhere on the way."""
        octets = b"".join(messages)
        for message in messages:
            self.sent[KINDS[message[18]]] += 1
        self.octets_sent += len(octets)
        while octets:
            size = self._rng.randint(1, 400)
            self._writer.write(octets[:size])
            octets = octets[size:]
            if self._rng.random() < 0.1:
                await self._writer.drain()
                await asyncio.sleep(0)

    @property
    def received(self) -> Counter[str]:
        """Divide what was captured; a part at the end is not a message yet."""
        found: Counter[str] = Counter()
        at = 0
        while at + 19 <= len(self.captured):
            size = int.from_bytes(self.captured[at + 16 : at + 18], "big")
            if at + size > len(self.captured):
                break
            found[KINDS[self.captured[at + 18]]] += 1
            at += size
        return found

    async def end(self) -> None:
        self._writer.close()
        if self._task is not None:
            await asyncio.wait_for(self._task, 10)


def routes(rng: Random, family: Family, number: int) -> list[bytes]:
    """Return UPDATEs with routes of random attributes, and one that withdraws some."""
    hop = parse_address("192.0.2.1" if family == IPV4_UNICAST else "2001:db8::1")
    nlris = some_nlris(40, (30 + number) << 24, family)
    said = []
    for _ in range(rng.randint(1, 6)):
        attributes = make_attributes(
            next_hop=hop, local_pref=rng.randint(1, 3), med=rng.randint(0, 3)
        )
        some = rng.sample(nlris, rng.randint(1, 30))
        mp_hop = b"" if family == IPV4_UNICAST else hop
        said.append(pack_announce(family, attributes.octets, mp_hop, some, 4096))
    said.append(pack_withdraw(family, rng.sample(nlris, rng.randint(1, 10)), 4096))
    return said


def something(rng: Random, number: int) -> list[bytes]:
    """Return what a peer may say of itself: messages of a type chosen at random."""
    family = rng.choice((IPV4_UNICAST, IPV6_UNICAST))
    asked = [encode_route_refresh(RouteRefresh(family, s)) for s in RefreshSubtype]
    unknown = encode_message(5, b"\0\1\x09\1")
    longer = encode_message(5, b"\0\1\0\1\1\x80\0\0")
    return rng.choice(
        (
            [KEEPALIVE] * rng.randint(1, 3),
            routes(rng, family, number),
            asked[:1],
            [asked[1], *routes(rng, family, number), asked[2]],
            [unknown, KEEPALIVE, longer],
            [end_of_rib(family)],
        )
    )


def bird_answer(path: str, command: str) -> str:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(path)
        sock.sendall(command.encode() + b"\n")
        text = ""
        while not re.search(r"^0000 ?$", text.partition("\n")[2], re.MULTILINE):
            data = sock.recv(65536)
            if not data:
                break
            text += data.decode()
    return text


class Views:
    """All that the daemon shows of a peer's messages."""

    def __init__(self, daemon: Daemon, folder: Path, host: str) -> None:
        self._daemon = daemon
        self._folder = folder
        self._host = host

    def row(self, addr: str) -> dict[str, Any]:
        return self._daemon.ask("show-peer", peer=addr)[0]

    def metric(self, name: str, addr: str) -> int:
        http = HTTPConnection(self._host, METRICS_PORT, timeout=10)
        with closing(http):
            http.request("GET", "/metrics")
            text = http.getresponse().read().decode()
        pattern = rf'^{name}{{[^}}]*address="{addr}"[^}}]*}} (\S+)$'
        (value,) = re.findall(pattern, text, re.MULTILINE)
        return int(float(value))

    def bird_updates(self, addr: str) -> tuple[int, int]:
        """Return what BIRD's words say, which they do of an established session."""
        text = bird_answer(str(self._folder / "bird.ctl"), "show protocols all")
        (block,) = [b for b in re.split(r"(?m)^.?1002.", text) if f" {addr}\n" in b]
        (received,) = re.findall(r"Import updates: +(\d+)", block)
        (sent,) = re.findall(r"Export updates: +(\d+)", block)
        return int(received), int(sent)

    def counted(self, addr: str, *, is_up: bool) -> dict[str, Any]:
        """Return all figures of a peer."""
        row = self.row(addr)
        kinds = row["messages"].items()
        metric = "pybgpd_peer_messages_{}_total".format
        return {
            "sent": Counter({kind: n["sent"] for kind, n in kinds}),
            "received": Counter({kind: n["received"] for kind, n in kinds}),
            "totals": (row["messages_in"], row["messages_out"]),
            "metrics": (
                self.metric(metric("received"), addr),
                self.metric(metric("sent"), addr),
            ),
            "bird": self.bird_updates(addr) if is_up else (),
        }


async def until(predicate: Any, what: Any) -> None:
    """Wait for the daemon, which runs beside; at the end say what differs."""
    for _ in range(600):
        if await asyncio.to_thread(predicate):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(what())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("ends", ["peer", "daemon"])
def test_what_is_counted_is_what_was_on_the_wire(
    tmp_path: Path, seed: int, ends: str
) -> None:
    network, rng = own_network(), Random(seed)
    content = {
        "bgp": {
            "as": ASN,
            "router_id": "10.0.0.1",
            "listen": {"addresses": [f"{network}.1"], "port": PORT},
            "defaults": {"families": ["ipv4-unicast", "ipv6-unicast"]},
        },
        "peers": [
            {
                "name": f"p{n}",
                "address": f"{network}.{n}",
                "as": ASN,
                "client": True,
                "passive": True,
            }
            for n in (2, 3)
        ],
        "routes": {"originate": [{"prefix": LAST}, {"prefix": "10.1.0.0/16"}]},
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "control": {"path": str(tmp_path / "control.sock")},
        "metrics": {"listen": f"{network}.1:{METRICS_PORT}"},
        "bird": {"ipv4": str(tmp_path / "bird.ctl"), "ipv6": str(tmp_path / "b6.ctl")},
    }
    file = write_yaml(tmp_path / "pybgpd.yaml", content)
    with Daemon(tmp_path, "run", "--config", str(file)) as daemon:
        daemon.until_logged("listening on")
        views = Views(daemon, tmp_path, f"{network}.1")
        asyncio.run(talk(daemon, views, network, rng, ends))


async def talk(
    daemon: Daemon, views: Views, network: str, rng: Random, ends: str
) -> None:
    wires = {
        addr: Wire(addr, f"{network}.1", rng)
        for addr in (f"{network}.2", f"{network}.3")
    }
    for number, wire in enumerate(wires.values(), 2):
        await wire.connect()
        opening = an_open(
            ASN,
            router_id=f"10.0.0.{number}",
            has_route_refresh=True,
            has_enhanced_refresh=True,
        )
        await wire.say(opening, KEEPALIVE)
    await until(lambda: daemon.are_up(*wires), daemon.peers)
    for addr, wire in wires.items():
        await asyncio.to_thread(daemon.ask, "reset", peer=addr, kind="soft-in")
        await wire.say(encode_route_refresh(RouteRefresh(IPV4_UNICAST)))
    for _ in range(12):
        for number, wire in enumerate(wires.values()):
            await wire.say(*something(rng, number))
        if rng.random() < 0.3:
            await asyncio.to_thread(
                daemon.ask, "reset", peer=rng.choice([*wires]), kind="soft-in"
            )
    await until(
        lambda: all(
            views.row(addr)["octets_received"] == wire.octets_sent
            for addr, wire in wires.items()
        ),
        lambda: {addr: views.row(addr)["octets_received"] for addr in wires},
    )
    for addr, wire in wires.items():
        await compare(views, addr, wire, is_up=True)
    if ends == "daemon":
        for addr in wires:
            await asyncio.to_thread(daemon.ask, "reset", peer=addr, kind="session")
    else:
        for wire in wires.values():
            reason = cease(CeaseSubcode.ADMINISTRATIVE_SHUTDOWN)
            await wire.say(encode_notification(reason))
    for addr, wire in wires.items():
        await wire.end()
        await compare(views, addr, wire, is_up=False)
        assert wire.received["route-refresh"]


async def compare(views: Views, addr: str, wire: Wire, *, is_up: bool) -> None:
    """See that every figure of a peer is that of the capture, once all has arrived."""

    def both() -> tuple[dict[str, Any], dict[str, Any]]:
        told, said = wire.received, wire.sent
        totals = (said.total(), told.total())
        wanted = {
            "sent": told,
            "received": said,
            "totals": totals,
            "metrics": totals,
            "bird": (said["update"], told["update"]) if is_up else (),
        }
        return views.counted(addr, is_up=is_up), wanted

    def is_equal() -> bool:
        counted, wanted = both()
        return counted == wanted

    await until(is_equal, both)
