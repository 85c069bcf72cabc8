"""Places of the API in a test's own process: real sockets, real HTTP."""

import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from ssl import SSLContext

from bgpd.api.access import Access, Entrance, OpenAccess
from bgpd.api.commands import TABLE
from bgpd.api.door import Connections, Door, DoorLimits, tcp_socket
from bgpd.api.paths import Document, Paths
from bgpd.api.protocol import Command, Handler, Rights
from bgpd.api.server import Api, ServerLimits
from bgpd.api.unix_socket import listening_socket, remove


class ApiPlace:
    """One place where clients come in.

    Args:
        where: Path of a unix socket, or an address for TCP on a port that the kernel chooses.
        handlers: What answers commands.
        commands: Those that are there.
        documents: Likewise.
        access: Decides what clients may do.
        limits: Of each client.
        door_limits: Of the place.
        tls: Returns what encrypts a connection by TCP.
    """

    def __init__(
        self,
        where: str | Path,
        handlers: Mapping[str, Handler],
        commands: Iterable[Command] = TABLE,
        *,
        documents: Iterable[Document] = (),
        access: Access | None = None,
        limits: ServerLimits | None = None,
        door_limits: DoorLimits | None = None,
        tls: Callable[[], SSLContext] | None = None,
    ) -> None:
        self.path = str(where) if "/" in str(where) else ""
        self.address = "" if self.path else str(where)
        self._handlers = handlers
        entrance = Entrance(
            "test socket", access or OpenAccess(Rights.FULL), Paths(commands, documents)
        )

        async def handlers_now() -> Mapping[str, Handler]:
            return handlers

        async def connections() -> Connections:
            return Api(handlers_now, limits).server(entrance)

        self._connections = connections
        self._door_limits = door_limits
        self._tls = tls
        self.door: Door

    async def start(self) -> None:
        sock = self._listening()
        self.door = Door(
            "test socket", sock, self._connections, self._door_limits, self._tls
        )
        self.door.open()

    def _listening(self) -> socket.socket:
        if self.path:
            return listening_socket(self.path, "test socket", "")
        return tcp_socket(self.address, 0, 128)

    @property
    def url(self) -> str:
        if self.path:
            return "http://localhost"
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{self.address}:{self.door.port}"

    async def close(self) -> None:
        await self.door.close()
        if self.path:
            remove(self.path)
