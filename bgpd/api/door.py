"""Where clients come in: a listening socket, and the checks of a connection before it is served.

Connections wait in the kernel's queue until they are accepted, one a turn of the loop. One too
many gets an error in HTTP and is closed, and the server never sees it. The last
descriptors of the process belong to BGP: a client that would get one of them is rejected.
"""

import asyncio
import contextlib
import json
import logging
import resource
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from bgpd.api.protocol import ControlError, problem
from bgpd.texts.errors import text_of

if TYPE_CHECKING:  # asyncio has it anyway, with a loop that can do TLS
    from ssl import SSLContext

HANDSHAKE_TIME: Final = 10.0  # seconds for TLS
REJECTED_TIME: Final = 1.0  # seconds that a rejected client gets to read why
MAX_REJECTED: Final = 16  # of them at a time
ACCEPT_PAUSE: Final = 1.0  # seconds after a failure, which would come again at once

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """Limits of one place.

    Attributes:
        max_clients: Connections at a time; others get an error and are closed.
        reserved_files: Descriptors of the process that no client gets.
    """

    max_clients: int = 1100
    reserved_files: int = 64


class Connections(Protocol):
    """Serves connections."""

    def __call__(self) -> asyncio.Protocol:
        """Return what serves one more connection."""

    @property
    def count(self) -> int:
        """Connections that are served now."""

    async def close(self) -> None:
        """End them all."""


class Door:
    """Accepts connections on a listening socket until ``close``.

    Args:
        title: Of the place, for the log.
        sock: Listens, and does not block.
        connections: Returns who serves; asked when the first client is there, so that what
            serves need not be loaded before.
        limits: Of this place.
        tls: Returns what encrypts a connection; ``None`` for no TLS.
    """

    def __init__(
        self,
        title: str,
        sock: socket.socket,
        connections: Callable[[], Awaitable[Connections]],
        limits: DoorLimits | None = None,
        tls: "Callable[[], SSLContext] | None" = None,
    ) -> None:
        self._title = title
        self._sock = sock
        self._make = connections
        self._connections: Connections | None = None
        self._limits = limits or DoorLimits()
        self._tls = tls
        self._begun: set[asyncio.Task[None]] = set()
        self._rejected: deque[socket.socket] = deque()
        self._accepting: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The TCP port; 0 once it is closed."""
        return 0 if self._sock.fileno() < 0 else int(self._sock.getsockname()[1])

    @property
    def client_count(self) -> int:
        """Clients connected now."""
        served = 0 if self._connections is None else self._connections.count
        return len(self._begun) + served

    def open(self) -> None:
        """Begin to accept."""
        loop = asyncio.get_running_loop()
        self._accepting = loop.create_task(self._accept(), name=self._title)

    async def close(self) -> None:
        """Accept no more, and end all connections."""
        tasks = [*self._begun] + ([self._accepting] if self._accepting else [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sock in (self._sock, *self._rejected):
            sock.close()
        if self._connections is not None:
            await self._connections.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._sock)
            except OSError as error:
                _log.error(
                    "%(part)s: cannot accept a connection: %(reason)s",
                    {
                        "event": "accept-failed",
                        "part": self._title,
                        "reason": text_of(error),
                    },
                )
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            if rejection := self._rejection(connection):
                self._reject(connection, rejection)
            else:
                task = loop.create_task(self._begin(connection))
                self._begun.add(task)
                task.add_done_callback(self._begun.discard)
            await asyncio.sleep(0)  # a flood of them must not hold the loop

    def _rejection(self, connection: socket.socket) -> str:
        """Return why a client cannot be served; empty for nothing."""
        if self.client_count >= self._limits.max_clients:
            return f"too many clients ({self._limits.max_clients}); try again later"
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        # The kernel gives the lowest one that is free.
        if connection.fileno() >= most - self._limits.reserved_files:
            return "the process has too few file descriptors left; try again later"
        return ""

    def _reject(self, connection: socket.socket, reason: str) -> None:
        _log.warning(
            "%(part)s: rejected a client: %(reason)s",
            {"event": "client-rejected", "part": self._title, "reason": reason},
        )
        body = json.dumps(problem(ControlError("too-many-clients", reason))).encode()
        head = (
            "HTTP/1.1 503 Service Unavailable\r\n"
            "Content-Type: application/problem+json\r\n"
            f"Content-Length: {len(body)}\r\n"
            "Retry-After: 5\r\nConnection: close\r\n\r\n"
        )
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            if self._tls is None:
                connection.send(head.encode() + body)
            connection.shutdown(socket.SHUT_WR)
        # A client that is still sending when it is closed would never read the answer.
        self._rejected.append(connection)
        while len(self._rejected) > MAX_REJECTED:
            self._rejected.popleft().close()
        asyncio.get_running_loop().call_later(REJECTED_TIME, self._let_go, connection)

    def _let_go(self, connection: socket.socket) -> None:
        connection.close()
        with contextlib.suppress(ValueError):
            self._rejected.remove(connection)

    async def _begin(self, connection: socket.socket) -> None:
        """Hand a connection over to what serves it."""
        loop = asyncio.get_running_loop()
        try:
            if self._connections is None:
                self._connections = await self._make()
            tls = None if self._tls is None else self._tls()
            await loop.connect_accepted_socket(
                self._connections,
                connection,
                ssl=tls,
                ssl_handshake_timeout=None if tls is None else HANDSHAKE_TIME,
            )
        except asyncio.CancelledError:
            connection.close()
            raise
        except OSError as error:  # no TLS, or gone
            connection.close()
            _log.debug(
                "%(part)s: lost a client before it asked: %(reason)s",
                {
                    "event": "client-lost",
                    "part": self._title,
                    "reason": text_of(error),
                },
            )
        except Exception:  # noqa: BLE001  # one client, not the place
            connection.close()
            _log.exception(
                "%(part)s: cannot serve a client",
                {"event": "client-failed", "part": self._title},
            )


def tcp_socket(address: str, port: int, backlog: int) -> socket.socket:
    """Return a TCP socket that listens.

    Raises:
        OSError: The address or the port is unavailable.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        place = socket.getaddrinfo(
            address, port, family, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST
        )[0][4]
        sock.bind(place)
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock
