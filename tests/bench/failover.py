"""A full table from two gateways, one of which dies: until a client has the other's routes.

``python -m tests.bench.failover --prefixes 1000000``; needs root, for each router runs in a
network namespace of its own. Two feeders announce the same prefixes, in UPDATEs of one to
eight with an attribute set each; a third client is told the better half. Then the better
feeder's connection is closed, and the clock runs until the client was told every prefix
again, with the other's next hop. Feeders and client are this one process, so that the
figures hold its own work as well: read the ratios.
"""

import argparse
import json
import os
import random
import selectors
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bgpd.wire.framing import KEEPALIVE, Framer, MessageType, encode_message
from rib.nlri import split
from tests.bench.scenarios import own_command

ASN: Final = 64512
ROUTER: Final = "172.16.0.1"
CLIENTS: Final = ("172.17.0.1", "172.17.0.2", "172.17.0.3")  # better, other, told
HOLD_TIME: Final = 240  # seconds
LIMIT: Final = 120.0  # seconds for one step
CHUNK: Final = 1 << 18  # octets
SETTLE: Final = 2.0  # seconds for a router to start

BIRD_PEER: Final = """protocol bgp {{
 local {router} as {asn}; neighbor {client} as {asn}; rr client; passive on; multihop;
 hold time 240; ipv4 {{ igp table igp4; import all; export all; }};
}}
"""
BIRD: Final = """router id {router};
protocol device {{}}
ipv4 table igp4;
protocol static {{ ipv4 {{ table igp4; }}; route 0.0.0.0/0 blackhole; }}
"""


def an_open(client: str) -> bytes:
    """Return an OPEN of IPv4 and four-octet AS numbers."""
    capabilities = b"\x01\x04\x00\x01\x00\x01\x41\x04" + ASN.to_bytes(4, "big")
    head = b"\x04" + ASN.to_bytes(2, "big") + HOLD_TIME.to_bytes(2, "big")
    parameter = bytes((2, len(capabilities))) + capabilities
    body = head + socket.inet_aton(client) + bytes((len(parameter),)) + parameter
    return encode_message(MessageType.OPEN, body)


def a_table(client: str, prefixes: int) -> bytes:
    """Return the UPDATEs of a feeder; the prefixes are the same for all feeders."""
    chance = random.Random(1)  # the same table each time
    messages, at = [], 0
    hop = b"\x40\x03\x04" + socket.inet_aton(client)
    while at < prefixes:
        count = min(prefixes - at, chance.randrange(1, 9))
        hops = chance.randrange(2, 7)
        path = b"".join(
            chance.randrange(1, 64000).to_bytes(4, "big") for _ in range(hops)
        )
        block = b"\x40\x01\x01\x00\x40\x02" + bytes((len(path) + 2, 2, hops)) + path
        block += hop + b"\x40\x05\x04\x00\x00\x00\x64"
        run = b"".join(
            b"\x18" + (0x010000 + number).to_bytes(3, "big")
            for number in range(at, at + count)
        )
        body = b"\0\0" + len(block).to_bytes(2, "big") + block + run
        messages.append(encode_message(MessageType.UPDATE, body))
        at += count
    return b"".join(messages)


def a_marker(client: str) -> bytes:
    """Return an UPDATE of 192.0.2.0/24, which is in no table."""
    block = b"\x40\x01\x01\x00\x40\x02\x00\x40\x03\x04" + socket.inet_aton(client)
    block += b"\x40\x05\x04\x00\x00\x00\x64"
    body = b"\0\0" + len(block).to_bytes(2, "big") + block + b"\x18\xc0\x00\x02"
    return encode_message(MessageType.UPDATE, body)


class Client:
    """One session with the router, established when it is made."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.sock = socket.create_connection(
            (ROUTER, 179), timeout=LIMIT, source_address=(address, 0)
        )
        self.sock.sendall(an_open(address) + KEEPALIVE)
        self.framer = Framer()
        self.unsent = memoryview(b"")
        self.hop = b""
        self.told: set[bytes] = set()
        while all(kind != MessageType.KEEPALIVE for kind, _ in self._read()):
            continue

    def _read(self) -> list[tuple[int, bytes]]:
        octets = self.sock.recv(CHUNK)
        if not octets:
            raise ConnectionError(f"{self.address}: the router closed the session")
        return self.framer.feed(octets)

    def expect(self, hop: str) -> None:
        """Gather the prefixes told with this next hop from now on."""
        self.hop = b"\x40\x03\x04" + socket.inet_aton(hop)
        self.told.clear()

    def receive(self) -> None:
        """Take what has come."""
        for kind, body in self._read():
            if kind == MessageType.NOTIFICATION:
                raise ConnectionError(f"{self.address}: NOTIFICATION {body.hex()}")
            end = 4 + int.from_bytes(body[2:4], "big") if len(body) > 4 else 0
            # A withdrawal in front of the attributes does not come with routes here.
            if self.hop and body[:2] == b"\0\0" and body.find(self.hop, 4, end) >= 0:
                self.told.update(split(body[end:]))

    def send(self) -> None:
        """Write some of what is to be sent."""
        self.unsent = self.unsent[self.sock.send(self.unsent[:CHUNK]) :]


def serve(clients: list[Client], until_told: int) -> float:
    """Send and receive until the last client was told so many prefixes; seconds.

    Raises:
        TimeoutError: It was not.
    """
    started = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for client in clients:
            client.sock.setblocking(False)
            events = selectors.EVENT_READ
            events |= selectors.EVENT_WRITE if client.unsent else 0
            selector.register(client.sock, events, client)
        while len(clients[-1].told) < until_told:
            if time.monotonic() > started + LIMIT:
                raise TimeoutError(f"{len(clients[-1].told)} of {until_told} told")
            for key, mask in selector.select(1.0):
                if mask & selectors.EVENT_READ:
                    key.data.receive()
                if mask & selectors.EVENT_WRITE:
                    key.data.send()
                    if not key.data.unsent:
                        selector.modify(key.fileobj, selectors.EVENT_READ, key.data)
    return time.monotonic() - started


def measure(prefixes: int) -> dict[str, float]:
    """Load the router of this namespace; return seconds to learn and to move."""
    better, other, told = (Client(address) for address in CLIENTS)
    better.unsent = memoryview(a_table(better.address, prefixes))
    told.expect(better.address)
    learn = serve([better, other, told], prefixes)
    other.unsent = memoryview(
        a_table(other.address, prefixes) + a_marker(other.address)
    )
    told.expect(other.address)
    serve(
        [better, other, told], 1
    )  # its last: the router has taken all that came before it
    told.expect(other.address)
    better.sock.close()
    return {"learn_s": learn, "move_s": serve([other, told], prefixes)}


def bird_command(folder: Path) -> list[str]:
    """Write BIRD's configuration and return its command line."""
    peers = (
        BIRD_PEER.format(router=ROUTER, asn=ASN, client=client) for client in CLIENTS
    )
    config = folder / "bird.conf"
    text = BIRD.format(router=ROUTER) + "".join(peers)
    config.write_text(text, encoding="utf-8")
    return ["bird", "-f", "-c", str(config), "-s", str(folder / "bird.ctl")]


def our_command(_: Path) -> list[str]:
    """Return the command line of our reflector."""
    values = {
        "listen": ROUTER,
        "port": 179,
        "asn": ASN,
        "router_id": ROUTER,
        "range": "172.17.0.0/16",
        "fib": "off",
    }
    return shlex.split(own_command().format(**values))


ROUTERS: Final = {"bird": bird_command, "ours": our_command}


def peak_memory(pid: int) -> int:
    """Return the most memory a process had so far, in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


@contextmanager
def a_namespace() -> Iterator[list[str]]:
    """Yield the command that runs another in a network namespace of its own."""
    name = f"failover-{os.getpid()}"
    inside = ["ip", "netns", "exec", name]
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for command in (
            "ip link set lo up",
            "ip route add local 172.16.0.0/15 dev lo",
        ):
            subprocess.run([*inside, *command.split()], check=True)
        yield inside
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


def run_once(router: str, prefixes: int) -> dict[str, float]:
    """Return the figures of one router, started for this run alone.

    Raises:
        RuntimeError: The load failed; the text is its last words.
    """
    with a_namespace() as inside, tempfile.TemporaryDirectory() as folder:
        daemon = subprocess.Popen(
            [*inside, "taskset", "-c", "1", *ROUTERS[router](Path(folder))],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(SETTLE)
            load = [sys.executable, "-m", "tests.bench.failover", "--inside"]
            done = subprocess.run(
                [*inside, "taskset", "-c", "0", *load, "--prefixes", str(prefixes)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(done.stderr[-400:])
            figures: dict[str, float] = json.loads(done.stdout)
            return {**figures, "peak_kb": peak_memory(daemon.pid)}
        finally:
            daemon.terminate()
            daemon.wait(LIMIT)


def main() -> None:
    """Print medians, and ratios to the first router."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prefixes", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        sys.stdout.write(json.dumps(measure(arguments.prefixes)))
        return
    routers = [name for name in ROUTERS if name != "bird" or shutil.which("bird")]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in routers}
    for _ in range(arguments.runs):
        for name in routers:
            runs[name].append(run_once(name, arguments.prefixes))
    for key in runs[routers[0]][0]:
        medians = [statistics.median(run[key] for run in runs[n]) for n in routers]
        cells = (
            f"{name} {median:.3f} ({median / medians[0]:.2f}x)"
            for name, median in zip(routers, medians, strict=True)
        )
        sys.stdout.write(f"{key:10}{'  '.join(cells)}\n")


if __name__ == "__main__":
    main()
