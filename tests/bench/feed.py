"""Feeders and readers in Python, for loads that ``compare.py`` does not have.

Sessions are blocking sockets until ``serve`` takes them over. What is sent is made before
the clock starts.
"""

import random
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Final

from bgpd.wire.framing import KEEPALIVE, Framer, MessageType, encode_message
from rib.nlri import split

ASN: Final = 64512
ROUTER: Final = "172.16.0.1"
HOLD_TIME: Final = 240  # seconds, unless a load asks for another
LIMIT: Final = 300.0  # seconds for one step
START_LIMIT: Final = 30.0  # seconds for a router to start
CHUNK: Final = 1 << 18  # octets


def client_address(number: int) -> str:
    """Return the address of a client; they count from 1."""
    return f"172.17.{number >> 8}.{number & 255}"


def an_open(client: str, hold_time: int, asn: int = ASN) -> bytes:
    """Return an OPEN of IPv4 and four-octet AS numbers; for an AS number of two octets."""
    capabilities = b"\x01\x04\x00\x01\x00\x01\x41\x04" + asn.to_bytes(4, "big")
    head = b"\x04" + asn.to_bytes(2, "big") + hold_time.to_bytes(2, "big")
    parameter = bytes((2, len(capabilities))) + capabilities
    body = head + socket.inet_aton(client) + bytes((len(parameter),)) + parameter
    return encode_message(MessageType.OPEN, body)


def an_update(
    hop: str,
    run: bytes,
    path: bytes = b"",
    communities: bytes = b"",
    large: bytes = b"",
) -> bytes:
    """Return an UPDATE that announces a run of NLRI; the others are attributes' values."""
    block = b"\x40\x01\x01\x00\x40\x02" + bytes((len(path),)) + path
    block += b"\x40\x03\x04" + socket.inet_aton(hop) + b"\x40\x05\x04\x00\x00\x00\x64"
    if communities:
        block += b"\xc0\x08" + bytes((len(communities),)) + communities
    if large:
        block += b"\xc0\x20" + bytes((len(large),)) + large
    body = b"\0\0" + len(block).to_bytes(2, "big") + block + run
    return encode_message(MessageType.UPDATE, body)


def a_table(hop: str, prefixes: int, sets: int = 0, grouping: int = 0) -> bytes:
    """Return the UPDATEs of a feeder; prefixes and AS paths are the same for all.

    Args:
        hop: Next hop of all of them.
        prefixes: How many, all /24.
        sets: Attribute sets that share them evenly; 0 for one for each one to eight.
        grouping: Other numbers than 0 have other AS paths, and the prefixes in another order
            at random, so that no run of one table is a run of another.
    """
    chance = random.Random(1 + grouping)  # the same table each time
    numbers: Sequence[int] = range(prefixes)
    if grouping:
        numbers = chance.sample(numbers, prefixes)
    messages, at, made = [], 0, 0
    while at < prefixes:
        made += 1
        end = prefixes * made // sets if sets else at + chance.randrange(1, 9)
        end = min(prefixes, end)
        hops = chance.randrange(2, 7)
        path = bytes((2, hops)) + b"".join(
            chance.randrange(1, 64000).to_bytes(4, "big") for _ in range(hops)
        )
        while at < end:
            stop = min(end, at + 1000)  # four octets each: a message has room for them
            run = b"".join(
                b"\x18" + (0x010000 + number).to_bytes(3, "big")
                for number in numbers[at:stop]
            )
            messages.append(an_update(hop, run, path))
            at = stop
    return b"".join(messages)


def own_routes(hop: str, first: int, prefixes: int, path: bytes = b"") -> bytes:
    """Return UPDATEs of one attribute set and /32s, counted from 100.0.0.0."""
    keys = [
        b"\x20" + (0x64000000 + number).to_bytes(4, "big")
        for number in range(first, first + prefixes)
    ]
    return b"".join(
        an_update(hop, b"".join(keys[at : at + 700]), path)
        for at in range(0, prefixes, 700)
    )


def withdrawals(prefixes: int) -> bytes:
    """Return the UPDATEs that withdraw a table of ``a_table``."""
    keys = [b"\x18" + (0x010000 + n).to_bytes(3, "big") for n in range(prefixes)]
    messages = []
    for at in range(0, prefixes, 1000):
        run = b"".join(keys[at : at + 1000])
        body = len(run).to_bytes(2, "big") + run + b"\0\0"
        messages.append(encode_message(MessageType.UPDATE, body))
    return b"".join(messages)


def marker_of(number: int = 1) -> bytes:
    """Return the NLRI of 192.0.2.``number``/32, which is in no table."""
    return b"\x20\xc0\x00\x02" + bytes((number,))


def a_marker(hop: str, number: int = 1) -> bytes:
    """Return an UPDATE of ``marker_of`` that number."""
    return an_update(hop, marker_of(number))


def _connected(address: str) -> socket.socket:
    """Connect to the router, which may still be starting."""
    until = time.monotonic() + START_LIMIT
    while True:
        try:
            return socket.create_connection(
                (ROUTER, 179), timeout=LIMIT, source_address=(address, 0)
            )
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


class Client:
    """One session with the router, established when it is made.

    Args:
        address: Its own.
        hold_time: Proposed, in seconds.
        asn: Its AS number.

    Attributes:
        unsent: What ``serve`` sends.
        told: Prefixes told since ``expect``.
    """

    def __init__(
        self, address: str, hold_time: int = HOLD_TIME, asn: int = ASN
    ) -> None:
        self.address = address
        self.sock = _connected(address)
        self.sock.sendall(an_open(address, hold_time, asn) + KEEPALIVE)
        self.framer = Framer()
        self.unsent = memoryview(b"")
        self.hop = b""
        self.is_counting = False
        self.told: set[bytes] = set()
        while all(kind != MessageType.KEEPALIVE for kind, _ in self._read()):
            continue

    def _read(self) -> Sequence[tuple[int, bytes]]:
        octets = self.sock.recv(CHUNK)
        if not octets:
            raise ConnectionError(f"{self.address}: the router closed the session")
        return self.framer.feed(octets)

    def expect(self, hop: str = "") -> None:
        """Gather the prefixes told from now on; with a next hop those alone."""
        self.hop = b"\x40\x03\x04" + socket.inet_aton(hop) if hop else b""
        self.is_counting = True
        self.told.clear()

    def receive(self) -> None:
        """Take what has come."""
        for kind, body in self._read():
            if kind == MessageType.NOTIFICATION:
                raise ConnectionError(f"{self.address}: NOTIFICATION {body.hex()}")
            if (
                kind != MessageType.UPDATE
                or not self.is_counting
                or body[:2] != b"\0\0"
            ):
                continue  # no withdrawal comes with routes here
            end = 4 + int.from_bytes(body[2:4], "big")
            if not self.hop or body.find(self.hop, 4, end) >= 0:
                self.told.update(split(body[end:]))

    def send(self) -> None:
        """Write some of what is to be sent."""
        self.unsent = self.unsent[self.sock.send(self.unsent[:CHUNK]) :]


def serve(clients: Sequence[Client], until_told: int, last: bytes = b"") -> float:
    """Send and receive until the last client has received so many prefixes; return seconds.

    Args:
        clients: The last one is the reader.
        until_told: How many.
        last: A prefix that must be among them; empty for any.

    Raises:
        TimeoutError: It was not.
    """
    started = time.monotonic()
    reader = clients[-1]
    for _ in turns(clients):
        if len(reader.told) >= until_told and (not last or last in reader.told):
            break
        if time.monotonic() > started + LIMIT:
            raise TimeoutError(f"{len(reader.told)} of {until_told} told")
    return time.monotonic() - started


def turns(clients: Sequence[Client], longest: float = 1.0) -> Iterator[None]:
    """Send and receive, a turn for each step of at most so many seconds."""
    with selectors.DefaultSelector() as selector:
        for client in clients:
            client.sock.setblocking(False)
            events = selectors.EVENT_READ
            events |= selectors.EVENT_WRITE if client.unsent else 0
            selector.register(client.sock, events, client)
        while True:
            for key, mask in selector.select(longest):
                if mask & selectors.EVENT_READ:
                    key.data.receive()
                if mask & selectors.EVENT_WRITE:
                    key.data.send()
                    if not key.data.unsent:
                        selector.modify(key.fileobj, selectors.EVENT_READ, key.data)
            yield
