"""Listening sockets, and whose connection an accepted one is.

The kernel checks MD5 signatures before a connection is accepted, so keys are set on the
listening sockets: one per peer, or one for a whole prefix.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

from bgpd.net.connection import Connection, Inbox
from bgpd.net.sockets import (
    SocketError,
    family_of,
    listening_socket,
    network,
    set_md5_key,
)

BACKLOG: Final = 4096  # thousands of clients return at once after a reflector's restart

_log = logging.getLogger(__name__)


class Listener:
    """Listens on any number of addresses.

    Args:
        loop: Accepts.
        inbox: Shared by all connections.
        accept: Takes each connection, or closes it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        inbox: Inbox,
        accept: Callable[[Connection], None],
    ) -> None:
        self._loop = loop
        self._inbox = inbox
        self._accept = accept
        self._sockets: dict[tuple[str, int], socket.socket] = {}
        self._servers: dict[tuple[str, int], asyncio.AbstractServer] = {}
        self._keys: dict[str, str] = {}

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        return list(self._servers)

    async def listen(self, addr: str, port: int) -> None:
        """Listen on one more address.

        Raises:
            SocketError: The kernel refused; the text says why.
        """
        if (addr, port) in self._servers:
            return
        sock = listening_socket(addr, port, is_free=True)
        for who, key in self._keys.items():
            self._set_key(sock, who, key)
        server = await self._loop.create_server(
            lambda: Connection(self._inbox, self._accept), sock=sock, backlog=BACKLOG
        )
        self._sockets[addr, port] = sock
        self._servers[addr, port] = server
        _log.info("listening on %s port %d", addr, port)

    def ignore(self, addr: str, port: int) -> None:
        """Stop listening on one address; accepted connections live on."""
        self._sockets.pop((addr, port), None)
        server = self._servers.pop((addr, port), None)
        if server is not None:
            server.close()

    def set_key(self, who: str, key: str) -> None:
        """Demand MD5 signatures of an address or a prefix; an empty key ends that.

        Raises:
            SocketError: The kernel refused; the text says why.
        """
        if self._keys.get(who, "") == key:
            return
        if key:
            self._keys[who] = key
        else:
            del self._keys[who]
        for sock in self._sockets.values():
            self._set_key(sock, who, key)

    def _set_key(self, sock: socket.socket, who: str, key: str) -> None:
        if family_of(who) != sock.family:
            return
        if "/" not in who:
            set_md5_key(sock, who, key)
            return
        prefix = network(who)
        set_md5_key(sock, str(prefix.network_address), key, prefix.prefixlen)

    def close(self) -> None:
        """Stop listening everywhere."""
        for addr, port in list(self._servers):
            self.ignore(addr, port)


__all__ = ["BACKLOG", "Listener", "SocketError"]
