"""The servers by which a daemon is looked at: control socket, BIRD's sockets, HTTP."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from bgpd.api.protocol import ControlError
from bgpd.daemon.errors import ReloadError, StartError
from bgpd.daemon.lag import LagMeter
from bgpd.daemon.speaker import Speaker

if TYPE_CHECKING:  # the process makes this, which asks it
    from bgpd.api.bird import BirdServer
    from bgpd.api.control import ControlServer
    from bgpd.api.http import HttpServer
    from bgpd.daemon.process import Daemon
    from bgpd.daemon.views.common import DaemonView
    from bgpd.datastore.kubernetes import ApiStatus

_log = logging.getLogger(__name__)


def _kubernetes(daemon: "Daemon") -> "Callable[[], ApiStatus] | None":
    sides = daemon.sides
    return None if sides is None else lambda: sides.status


class Servers:
    """Starts and ends what others ask a daemon through.

    Args:
        daemon: What is asked about.

    Attributes:
        faults: Servers that could not be had although the daemon runs.
    """

    def __init__(self, daemon: "Daemon") -> None:
        self.faults: list[str] = []
        self._daemon = daemon
        self._http: HttpServer | None = None
        self._control: ControlServer | None = None
        self._bird: list[BirdServer] = []

    async def serve_http(self, lag: LagMeter) -> None:
        """Serve metrics and health, already while the start waits for the datastore."""
        from bgpd.api.http import HttpError, HttpServer  # noqa: PLC0415  # 0.2 s
        from bgpd.daemon.insight import DaemonInsight  # noqa: PLC0415

        where = self._daemon.settings.metrics
        insight = DaemonInsight(self._daemon, lag, self._daemon.warnings)
        server = HttpServer(insight, where.address, where.port)
        try:
            await server.start()
        except HttpError as error:
            # Routing does not wait for those who watch it.
            self.faults.append(str(error))
            _log.error("%s", error)
            return
        self._http = server

    async def serve_clients(self, speaker: Speaker, lag: LagMeter | None) -> None:
        """Open the control socket and BIRD's, as far as they are wanted.

        Raises:
            StartError: The control socket cannot be made, or another daemon has it.
        """
        settings = self._daemon.settings
        bird = settings.bird
        if not (settings.control_path or bird.ipv4_path or bird.ipv6_path):
            return
        view = self._view(speaker, lag)
        if settings.control_path:
            await self._serve_control(view)
        if bird.ipv4_path or bird.ipv6_path:
            await self._serve_bird(view)

    def _view(self, speaker: Speaker, lag: LagMeter | None) -> "DaemonView":
        from bgpd.daemon.actions import DaemonActions  # noqa: PLC0415  # not every
        from bgpd.daemon.views.common import DaemonView  # noqa: PLC0415  # reflector

        daemon = self._daemon
        forwarding, cluster = daemon.forwarding, daemon.cluster
        return DaemonView(
            speaker,
            speaker.loop.time(),
            fib=forwarding.fib if forwarding is not None else None,
            datastore=cluster.datastore if cluster is not None else None,
            warnings=daemon.warnings,
            actions=DaemonActions(speaker, self._reload, daemon.shut_down),
            loop_lag=lag.worst if lag is not None else None,
            asn=daemon.own_as,
            node=daemon.settings.node_name,
            desired=lambda: daemon.desired,
            kubernetes=_kubernetes(daemon),
            kernel_policies=forwarding.policies if forwarding is not None else None,
            tunnel_fault=forwarding.tunnel_fault if forwarding is not None else None,
            changed_at=lambda: daemon.changed_at or speaker.loop.time(),
            links=forwarding.links if forwarding is not None else None,
            recovery=daemon.recovery,
        )

    async def _serve_control(self, view: "DaemonView") -> None:
        from bgpd.api.control import ControlServer  # noqa: PLC0415  # not every reflector
        from bgpd.api.unix import UnixSocketError  # noqa: PLC0415  # has one
        from bgpd.daemon.views.table import commands  # noqa: PLC0415

        control = ControlServer(self._daemon.settings.control_path, commands(view))
        try:
            await control.start()
        except UnixSocketError as error:
            raise StartError(str(error)) from error
        self._control = control

    async def _serve_bird(self, view: "DaemonView") -> None:
        from bgpd.api.bird import BirdServer  # noqa: PLC0415  # Calico's nodes alone
        from bgpd.api.unix import UnixSocketError  # noqa: PLC0415
        from bgpd.daemon.bird.answers import BirdAnswers  # noqa: PLC0415
        from rib.family import IPV4_UNICAST, IPV6_UNICAST  # noqa: PLC0415

        settings = self._daemon.settings.bird
        for path, family in (
            (settings.ipv4_path, IPV4_UNICAST),
            (settings.ipv6_path, IPV6_UNICAST),
        ):
            if not path:
                continue
            answers = BirdAnswers(view, family, settings.version)
            server = BirdServer(path, answers)
            try:
                await server.start()
            except UnixSocketError as error:
                # Routing does not wait for those who watch it.
                self.faults.append(str(error))
                _log.error("%s", error)
                continue
            self._bird.append(server)

    def _reload(self) -> list[str]:
        try:
            return self._daemon.reload_or_tell()
        except ReloadError as error:
            raise ControlError("not-reloaded", str(error)) from error

    async def close(self) -> None:
        """Close them all."""
        for server in (*self._bird, self._control, self._http):
            if server is not None:
                await server.close()
