"""The servers for observing a daemon: control socket, BIRD's sockets, HTTP."""

from typing import TYPE_CHECKING, Protocol

from bgpd.api.protocol import ControlError
from bgpd.daemon.errors import ReloadError, StartError
from bgpd.daemon.journal_keeper import JournalKeeper
from bgpd.runtime.loop_lag import LagMeter
from bgpd.runtime.supervisor import Supervisor
from bgpd.show.daemon_state import DaemonState, ProcessState
from bgpd.speaker.speaker import Speaker
from rib.family import IPV4_UNICAST, IPV6_UNICAST

if TYPE_CHECKING:  # the process makes this, which asks it
    import socket

    from bgpd.api.bird import BirdServer
    from bgpd.config.settings import DaemonSettings
    from bgpd.daemon.doors import Doors
    from bgpd.daemon.running import Running
    from bgpd.show.state import Configuration, DaemonView
    from bgpd.speaker.selection_deferral import Report


class ServedDaemon(DaemonState, ProcessState, Protocol):
    """The daemon whose servers these are: what can be seen of it, and done to it."""

    running: "Running | None"

    @property
    def settings(self) -> "DaemonSettings":
        """The settings in force."""

    @property
    def awaited(self) -> str:
        """What the start waits for; empty once it is over."""

    def warnings(self) -> list[str]:
        """Return what an operator should know now."""

    def recovery(self) -> "Report | None":
        """Return how far the recovery after our restart is; ``None`` when it is over."""

    def shut_down(self, *, flushes: bool, text: str) -> None:
        """End for good: peers drop our routes at once (``bgpd.show.actions.ShutDown``)."""

    @property
    def commit(self) -> "Configuration":
        """Plans and applies configurations that clients send."""

    async def reload_or_raise(self, *, allows_resets: bool = False) -> list[str]:
        """Read the configuration again and apply the difference; return what was done."""


class Servers:
    """Starts and ends what others ask a daemon through.

    Routing does not wait for monitoring: a server that cannot start now is tried
    again, unless another daemon has its place.

    Args:
        daemon: The daemon to report on.
        supervisor: Tries again.

    Attributes:
        journal_keeper: Keeps what happens.
    """

    def __init__(self, daemon: "ServedDaemon", supervisor: Supervisor) -> None:
        self._daemon = daemon
        self._supervisor = supervisor
        self.journal_keeper = JournalKeeper(daemon.settings.journal)
        self._doors: Doors | None = None
        self._has_control = False
        self._bird: list[BirdServer] = []

    async def serve_http(self, lag: LagMeter) -> None:
        """Serve metrics and health, already while the start waits for the datastore."""
        where = self._daemon.settings.metrics
        doors = self._made_doors(lag)

        async def serve() -> None:
            doors.open_metrics(where.address, where.port)

        await self._supervisor.begin(
            "metrics server", serve, meanwhile="metrics and health are unavailable"
        )

    async def serve_api(self, lag: LagMeter) -> None:
        """Serve the API on the address that is configured for it."""
        settings = self._daemon.settings.api
        doors = self._made_doors(lag)

        async def serve() -> None:
            doors.open_api(settings)

        await self._supervisor.begin(
            "API", serve, meanwhile=f"the API is unavailable on {settings.address}"
        )

    def warnings(self) -> list[str]:
        """Return what keeps clients out, a line each."""
        return [] if self._doors is None else self._doors.warnings()

    def _made_doors(self, lag: LagMeter) -> "Doors":
        from bgpd.daemon.doors import Doors  # noqa: PLC0415  # not every reflector

        if self._doors is None:
            self._doors = Doors(self._daemon, lag)
        return self._doors

    async def serve_clients(
        self, speaker: Speaker, lag: LagMeter, given: "socket.socket | None" = None
    ) -> None:
        """Open the control socket and BIRD's, as far as they are wanted.

        Args:
            speaker: What is served.
            lag: Measures the event loop.
            given: The control socket, where the service manager has made it.

        Raises:
            StartError: Another daemon has the control socket.
        """
        settings = self._daemon.settings
        bird = settings.bird
        bird_paths = (bird.ipv4_path, bird.ipv6_path, bird.looking_glass_path)
        is_asked = settings.control_path or settings.api.address
        if not (is_asked or any(bird_paths)):
            return
        view = self._view(speaker, lag)
        if is_asked:
            self._made_doors(lag).offer(view)
        if settings.control_path:
            await self.open_control(lag, given)
        if any(bird_paths):
            await self._serve_bird(view)

    def _view(self, speaker: Speaker, lag: LagMeter) -> "DaemonView":
        from bgpd.show.actions import DaemonActions  # noqa: PLC0415  # not every
        from bgpd.show.state import DaemonView, NoKernel  # noqa: PLC0415  # reflector

        daemon, running = self._daemon, self._daemon.running
        return DaemonView(
            speaker,
            speaker.loop.time(),
            process=daemon,
            kernel=daemon.forwarding or NoKernel(),
            cluster=daemon.cluster,
            actions=DaemonActions(speaker, self._reload, daemon.shut_down),
            configuration=daemon.commit,
            lag=lag,
            journal=self.journal_keeper.journal,
            draining=None if running is None else running.draining,
        )

    async def open_control(
        self, lag: LagMeter, given: "socket.socket | None" = None
    ) -> None:
        """Open the control socket, unless it is open: before there is a speaker, to say what is awaited.

        Args:
            lag: Measures the event loop.
            given: It, where the service manager has made it.

        Raises:
            StartError: Another daemon has it.
        """
        path = self._daemon.settings.control_path
        if self._has_control or not path:
            return
        self._has_control = True  # or the supervisor sees to it
        from bgpd.api.unix_socket import SocketTakenError  # noqa: PLC0415  # not all have one

        doors = self._made_doors(lag)
        taken: list[SocketTakenError] = []

        async def serve() -> None:
            try:
                doors.open_control(path, given)
            except SocketTakenError as error:
                taken.append(error)
                raise

        await self._supervisor.begin(
            "control socket", serve, meanwhile="pybgpctl cannot reach the daemon"
        )
        if taken:  # two daemons with one configuration: this one is too many
            raise StartError(str(taken[0])) from taken[0]

    async def _serve_bird(self, view: "DaemonView") -> None:
        from bgpd.api.bird import BirdServer  # noqa: PLC0415  # Calico's nodes alone
        from bgpd.show.bird import dialect  # noqa: PLC0415
        from bgpd.show.bird.commands import BirdCommands  # noqa: PLC0415

        settings = self._daemon.settings.bird
        version = settings.version
        for path, form in (
            (settings.ipv4_path, dialect.first(IPV4_UNICAST, version)),
            (settings.ipv6_path, dialect.first(IPV6_UNICAST, version)),
            (settings.looking_glass_path, dialect.second()),
        ):
            if not path:
                continue
            answers = BirdCommands(view, form, is_read_only=form.is_second)

            async def serve(path: str = path, answers: BirdCommands = answers) -> None:
                server = BirdServer(path, answers)
                await server.start()
                self._bird.append(server)

            families = " and ".join(map(str, form.families))
            await self._supervisor.begin(
                f"BIRD's socket for {families}",
                serve,
                meanwhile="birdcl and calicoctl cannot reach the daemon",
            )

    async def _reload(self, *, allows_resets: bool) -> list[str]:
        try:
            return await self._daemon.reload_or_raise(allows_resets=allows_resets)
        except ReloadError as error:
            raise ControlError("not-reloaded", str(error)) from error

    async def close(self) -> None:
        """Close them all."""
        for server in self._bird:
            await server.close()
        if self._doors is not None:
            await self._doors.close()
