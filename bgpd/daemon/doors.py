"""Where clients come in by HTTP: the control socket, and the addresses that the configuration names.

The sockets listen at once; what serves them is loaded by a thread, when the first client is there or
sessions have begun: it takes 0.2 s, for which neither sessions nor the first OPEN wait. Clients
wait in the kernel's queue meanwhile.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from bgpd.api.access import Entrance, OpenAccess, TokenAccess, TokenFile
from bgpd.api.birdwatcher import birdwatcher_paths
from bgpd.api.commands import TABLE
from bgpd.api.documents import API_DOCUMENTS, health_documents
from bgpd.api.door import Connections, Door, DoorLimits, tcp_socket
from bgpd.api.health import HealthSource
from bgpd.api.late_import import late_import
from bgpd.api.page import page_documents
from bgpd.api.paths import Document, Foreign, Paths
from bgpd.api.protocol import ControlError, Handler, Rights
from bgpd.api.unix_socket import inode_of, listening_socket, remove
from bgpd.runtime.loop_lag import LagMeter
from bgpd.show.daemon_state import DaemonState
from bgpd.texts.errors import text_of

if TYPE_CHECKING:  # loaded by a thread
    from ssl import SSLContext

    from bgpd.api.server import Api
    from bgpd.config.settings import ApiSettings, DaemonSettings
    from bgpd.show.state import Configuration, DaemonView

BACKLOG: Final = 1024
WARM_UP: Final = 1.0  # seconds after sessions have begun
_REASONS: Final = MappingProxyType(
    {
        errno.EADDRINUSE: "another program listens there",
        errno.EADDRNOTAVAIL: "no interface has the address yet",
        errno.EACCES: "a port below 1024 needs CAP_NET_BIND_SERVICE",
    }
)
REMOTE_LIMITS: Final = DoorLimits(reserved_files=128)


class DoorError(Exception):
    """An address is unavailable; the text says why."""


class Observed(DaemonState, Protocol):
    """The daemon that clients ask about."""

    @property
    def settings(self) -> "DaemonSettings":
        """The settings in force."""

    @property
    def node(self) -> str:
        """This node's name in the datastore; empty without."""

    @property
    def awaited(self) -> str:
        """What the start waits for; empty once it is over."""

    @property
    def commit(self) -> "Configuration":
        """The configuration in force."""

    def warnings(self) -> list[str]:
        """Return what an operator should know now."""


class Doors:
    """The places where clients come in by HTTP, and what serves them.

    Args:
        daemon: What they ask about.
        lag: Measures its event loop.
    """

    def __init__(self, daemon: Observed, lag: LagMeter) -> None:
        self._daemon = daemon
        self._lag = lag
        self._health: HealthSource | None = None
        self._doors: list[Door] = []
        self._tokens: list[TokenFile] = []
        self._control = ("", 0)  # its path and inode
        self._loading: asyncio.Task[Api] | None = None
        self._view: DaemonView | None = None
        self._warm_up: asyncio.TimerHandle | None = None

    def offer(self, view: "DaemonView") -> None:
        """Answer commands about a daemon; before this there are metrics and health alone."""
        self._view = view
        loop = asyncio.get_running_loop()
        self._warm_up = loop.call_later(WARM_UP, self._begin_loading)

    def open_control(self, path: str, given: socket.socket | None = None) -> None:
        """Listen on the control socket.

        Args:
            path: Where it is.
            given: It, where the service manager has made it, which also removes it.

        Raises:
            SocketTakenError: Another daemon has it.
            UnixSocketError: It cannot be made.
        """
        title = "control socket"
        sock = given
        if sock is None:
            hint = "; choose another path with --control"
            sock = listening_socket(path, title, hint)
            self._control = path, inode_of(path)
        documents: tuple[Document | Foreign, ...] = (
            *API_DOCUMENTS,
            *health_documents(self._health_source),
            *birdwatcher_paths(self._started_view),
            *page_documents(),
        )
        access = OpenAccess(Rights.FULL)
        self._open(Entrance(title, access, Paths(TABLE, documents)), sock)

    def open_metrics(self, address: str, port: int) -> None:
        """Serve metrics and health on an address.

        Raises:
            DoorError: It is unavailable.
        """
        try:
            sock = tcp_socket(address, port, BACKLOG)
        except OSError as error:
            raise DoorError(
                f"cannot serve metrics on {address} port {port}: {_reason(error)}"
            ) from error
        paths = Paths((), health_documents(self._health_source))
        access = OpenAccess(Rights.NONE)
        self._open(Entrance("metrics server", access, paths), sock, REMOTE_LIMITS)

    def open_api(self, settings: "ApiSettings") -> None:
        """Serve the API on an address.

        Raises:
            DoorError: The address is unavailable, or the certificate.
        """
        from bgpd.api.tls import ServerTls  # noqa: PLC0415  # few have one

        address, port = settings.address, settings.port
        try:
            tls = None
            if settings.cert_file:
                tls = ServerTls(settings.cert_file, settings.key_file)
            sock = tcp_socket(address, port, BACKLOG)
        except OSError as error:
            raise DoorError(
                f"cannot serve the API on {address} port {port}: {_reason(error)}"
            ) from error
        read = TokenFile(settings.read_token_file)
        full = TokenFile(settings.full_token_file)
        self._tokens = [read, full]
        loopback = Rights[settings.loopback.upper()]
        documents = health_documents(self._health_source, metrics_rights=Rights.READ)
        foreign = birdwatcher_paths(self._started_view)
        paths = Paths(TABLE, (*API_DOCUMENTS, *documents, *foreign, *page_documents()))
        self._open(
            Entrance("API", TokenAccess(read, full, loopback), paths),
            sock,
            DoorLimits(settings.max_clients, REMOTE_LIMITS.reserved_files),
            tls,
        )

    def warnings(self) -> list[str]:
        """Return what keeps clients out, a line each."""
        for token in self._tokens:
            token.look()
        return [f"token {token.fault}" for token in self._tokens if token.fault]

    def _open(
        self,
        entrance: Entrance,
        sock: socket.socket,
        limits: DoorLimits | None = None,
        tls: "Callable[[], SSLContext] | None" = None,
    ) -> None:
        async def connections() -> Connections:
            api = await asyncio.shield(self._begin_loading())
            server: Connections = api.server(entrance)
            return server

        door = Door(entrance.title, sock, connections, limits, tls)
        door.open()
        self._doors.append(door)

    def _begin_loading(self) -> "asyncio.Task[Api]":
        """Load what serves, once; return the task that does."""
        if self._loading is None or (
            self._loading.done() and self._loading.exception() is not None
        ):
            self._loading = asyncio.get_running_loop().create_task(self._load())
        return self._loading

    async def _load(self) -> "Api":
        server = await late_import("bgpd.api.server")
        api: Api = server.Api(self._handlers, starting=self._starting_handlers)
        return api

    async def _starting_handlers(self) -> "Mapping[str, Handler]":
        """Return what answers while the start waits for something."""
        module = await late_import("bgpd.show.starting_status")
        return {"show-status": module.starting_handler(self._daemon, self._lag)}

    async def _handlers(self) -> "Mapping[str, Handler]":
        """Return what answers commands.

        Raises:
            ControlError: The start waits for something; the text says for what.
        """
        view = await self._started_view()
        commands = await late_import("bgpd.show.commands")
        handlers: Mapping[str, Handler] = commands.handlers(view)
        return handlers

    async def _started_view(self) -> "DaemonView":
        """Return the daemon once it is there.

        Raises:
            ControlError: The start waits for something; the text says for what.
        """
        if self._view is None:
            awaited = self._daemon.awaited
            text = f"the daemon is waiting for its datastore: {awaited}"
            raise ControlError(
                "not-started", text if awaited else "the daemon is starting"
            )
        return self._view

    async def _health_source(self) -> HealthSource:
        if self._health is None:
            health = await late_import("bgpd.show.health")
            self._health = health.DaemonHealth(
                self._daemon,
                self._lag,
                self._daemon.warnings,
                self._daemon.settings.metrics.peers,
            )
        return self._health

    async def close(self) -> None:
        """Stop listening, end all connections, and remove the socket if it is still ours."""
        if self._warm_up is not None:
            self._warm_up.cancel()
        doors, self._doors = self._doors, []
        for door in doors:
            await door.close()
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        path, inode = self._control
        if inode and inode_of(path) == inode:
            remove(path)


def _reason(error: OSError) -> str:
    """Return why an address is unavailable; a file at fault is named by its own error."""
    text = _REASONS.get(error.errno or 0) if error.filename is None else None
    return text or text_of(error)
