"""The daemon as a process: everything started in order, told to change, and stopped.

Order matters at start: the kernel's table is read first (what is there is adopted as
stale), then the datastore's first snapshot gives address, AS and own blocks, then sessions
come up, so that peers never see us without our routes.
"""

import asyncio
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bgpd.config.diff import Step, diff
from bgpd.config.errors import ConfigError
from bgpd.config.settings import DaemonSettings, DatastoreKind
from bgpd.daemon.cluster import ClusterFollower
from bgpd.daemon.forwarding import Forwarding
from bgpd.daemon.reconcile import Reconciler
from bgpd.daemon.speaker import Speaker
from bgpd.net.sockets import SocketError
from bgpd.session.negotiation import RestartState

if TYPE_CHECKING:
    from bgpd.calico.state import NodeDesired

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1

_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared, not bound

_log = logging.getLogger(__name__)

Reload = Callable[[], DaemonSettings]


class StartError(Exception):
    """The daemon cannot start; the text is for the user."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this speaker is.

    Attributes:
        router_id: Dotted text.
        cluster_id: Dotted text; empty is the router id.
        asn: AS number.
    """

    router_id: str
    cluster_id: str
    asn: int


class Daemon:
    """One running daemon.

    Args:
        settings: What it shall do.
        reload: Reads the settings again; ``None`` where there is nothing to read.
        must_listen: A port that cannot be had ends the start; otherwise the daemon goes
            on with the connections it makes itself.
    """

    def __init__(
        self,
        settings: DaemonSettings,
        reload: Reload | None = None,
        *,
        must_listen: bool = False,
    ) -> None:
        self.settings = settings
        self.speaker: Speaker
        self.reconciler: Reconciler
        self.forwarding: Forwarding
        self.cluster: ClusterFollower | None = None
        self._reload = reload
        self._must_listen = must_listen
        self._stop = asyncio.Event()
        self._is_restart = True
        self._listen_faults: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Run until a signal says stop; return the exit code.

        Raises:
            StartError: It cannot start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        try:
            if not await self._start(loop):
                return EXIT_OK
            await self._stop.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._close()
        return EXIT_OK
