"""A BGP peer that says exactly what a test tells it to, over a real socket."""

import asyncio
from collections.abc import Iterable
from typing import Self

from bgpd.wire.capabilities import Capabilities
from bgpd.wire.framing import KEEPALIVE, Framer, MessageType, encode_message
from bgpd.wire.notification import Notification, decode_notification
from bgpd.wire.open import OpenMessage, encode_open
from bgpd.wire.pack import pack_announce
from bgpd.wire.update import end_of_rib
from rib.attributes import make_attributes, parse_as_path
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import Nlri, parse_address

FAMILIES = (IPV4_UNICAST, IPV6_UNICAST)


def an_open(
    asn: int,
    router_id: str = "10.0.0.99",
    hold_time: int = 90,
    families: Iterable[Family] = FAMILIES,
    **capabilities: object,
) -> bytes:
    caps = Capabilities(
        families=tuple(families),
        four_octet_as=asn,
        **capabilities,  # type: ignore[arg-type]
    )
    number = int.from_bytes(parse_address(router_id), "big")
    return encode_open(OpenMessage(asn, hold_time, number, caps))


def an_update(
    nlris: list[Nlri], next_hop: str = "10.9.9.9", as_path: str = ""
) -> bytes:
    """Return the UPDATEs that announce IPv4 prefixes over iBGP."""
    attributes = make_attributes(
        next_hop=parse_address(next_hop),
        as_path=parse_as_path(as_path),
        local_pref=100,
    )
    return pack_announce(
        IPV4_UNICAST, attributes.octets, attributes.next_hop, nlris, 4096
    )


def a_withdrawal(run: bytes) -> bytes:
    return encode_message(
        MessageType.UPDATE, len(run).to_bytes(2, "big") + run + b"\0\0"
    )


class ScriptedPeer:
    """One connection to a speaker, made from ``local`` to ``remote``."""

    def __init__(self, local: str, remote: str, port: int) -> None:
        self._where = local, remote, port
        self._framer = Framer(65535)
        self._messages: list[tuple[int, bytes]] = []
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        local, remote, port = self._where
        self.reader, self.writer = await asyncio.open_connection(
            remote, port, local_addr=(local, 0), limit=1 << 20
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()
        await asyncio.sleep(0.01)

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def establish(self, opening: bytes) -> None:
        """Come up, and send End-of-RIB: we have no routes yet."""
        await self.establish_silently(opening)
        self.send(b"".join(map(end_of_rib, FAMILIES)))

    async def establish_silently(self, opening: bytes) -> None:
        """Come up, and say nothing of routes."""
        self.send(opening)
        await self.expect(MessageType.OPEN)
        await self.expect(MessageType.KEEPALIVE)
        self.send(KEEPALIVE)

    async def message(self, seconds: float = 5.0) -> tuple[int, bytes] | None:
        """Return the next message, type and body; ``None`` at the end of the stream."""
        async with asyncio.timeout(seconds):
            while not self._messages:
                try:
                    data = await self.reader.read(1 << 16)
                except ConnectionError:
                    return None
                if not data:
                    return None
                self._messages += self._framer.feed(data)
        return self._messages.pop(0)

    async def expect(self, kind: MessageType, seconds: float = 5.0) -> bytes:
        """Return the body of the next message of a type; others are skipped."""
        while True:
            message = await self.message(seconds)
            assert message is not None, f"closed before {kind.name}"
            if message[0] == kind:
                return message[1]

    async def ending(self, seconds: float = 5.0) -> Notification | None:
        """Read to the end; return the NOTIFICATION that stood there, if any."""
        found = None
        while (message := await self.message(seconds)) is not None:
            if message[0] == MessageType.NOTIFICATION:
                found = decode_notification(message[1])
        return found
