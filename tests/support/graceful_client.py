"""A client that keeps routes over our restart (RFC 4724 4.2), light enough for hundreds."""

import asyncio
import contextlib
from collections.abc import Iterator

from bgpd.wire.capabilities import GracefulRestart
from bgpd.wire.framing import KEEPALIVE, Framer, MessageType
from bgpd.wire.update import end_of_rib
from rib.family import IPV4_UNICAST
from rib.nlri import Nlri
from tests.support.scripted_peer import an_open, an_update

_FAMILIES = (IPV4_UNICAST,)
_LEN = 4  # octets of a /24 in NLRI


class GracefulClient:
    """One client; its routes and those of all others are /24s.

    Attributes:
        held: What it has of others, stale or not.
        lost: Routes that it dropped although their owner still announces them.
        is_complete: End-of-RIB came on the present session.
    """

    def __init__(
        self, local: str, remote: str, port: int, asn: int, own: list[Nlri]
    ) -> None:
        self.own = own
        self.held: set[bytes] = set()
        self.lost: set[bytes] = set()
        self.is_up = self.is_complete = False
        self._where = local, remote, port
        self._fresh: set[bytes] = set()
        graceful = GracefulRestart(
            has_notification=True, restart_time=120, families=((IPV4_UNICAST, True),)
        )
        self._opening = an_open(asn, local, 0, _FAMILIES, graceful_restart=graceful)
        self._hello = an_update(own, local) + end_of_rib(IPV4_UNICAST)

    async def live(self, after: float = 0.0) -> None:
        """Have a session, until it is lost; try 5 times a second from ``after`` on."""
        await asyncio.sleep(after)
        local, remote, port = self._where
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(
                    remote, port, local_addr=(local, 0), limit=1 << 20
                )
                break
            await asyncio.sleep(0.2)
        framer, self._fresh = Framer(65535), set()
        try:
            writer.write(self._opening)
            while data := await reader.read(1 << 18):
                for kind, body in framer.feed(data):
                    self._take(kind, body, writer)
        except ConnectionError:
            pass
        finally:
            self.is_up = self.is_complete = False
            writer.transport.abort()

    def _take(self, kind: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if kind == MessageType.OPEN:
            writer.write(KEEPALIVE)
        elif kind == MessageType.KEEPALIVE and not self.is_up:
            self.is_up = True
            writer.write(self._hello)
        elif kind == MessageType.UPDATE:
            self._update(body)

    def _update(self, body: bytes) -> None:
        if body == b"\0\0\0\0":  # End-of-RIB: routes that were not advertised again go
            self.is_complete = True
            self.lost |= self.held - self._fresh
            self.held &= self._fresh
            return
        at = 2 + int.from_bytes(body[:2], "big")
        withdrawn = {*_prefixes(body[2:at])}
        self.lost |= self.held & withdrawn
        self.held -= withdrawn
        self._fresh -= withdrawn
        at += 2 + int.from_bytes(body[at : at + 2], "big")
        told = {*_prefixes(body[at:])}
        self._fresh |= told
        self.held |= told


def _prefixes(run: bytes) -> Iterator[bytes]:
    return (run[at : at + _LEN] for at in range(0, len(run), _LEN))
