"""The daemon as a process: it starts, changes and stops everything in order.

Order matters at start: the datastore's first snapshot gives address, AS and own blocks;
then the kernel's table is read (what is there is adopted as stale); then sessions come up,
so that peers never see us without our routes. ``Cluster`` is what follows the datastore, and
``Running`` what there is once it is known who we are; each has all its parts.
"""

import asyncio
import logging
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bgpd.config.settings import DaemonSettings, DatastoreKind
from bgpd.daemon.config_commit import ConfigCommit
from bgpd.daemon.config_reload import ConfigReload
from bgpd.daemon.errors import MisconfigurationError, StartError
from bgpd.daemon.journal_keeper import JournalKeeper
from bgpd.daemon.lifecycle_log import (
    log_idle,
    log_starting,
    log_stopped,
    log_stopping,
)
from bgpd.daemon.running import Running
from bgpd.daemon.servers import Servers
from bgpd.daemon.startup_claim import StartupClaim, claim_startup
from bgpd.daemon.transition import Transition
from bgpd.kernel.access import open_kernel
from bgpd.kernel.forwarding import Forwarding
from bgpd.node.identity import identify, with_as
from bgpd.node.kernel_plan import is_calico_node
from bgpd.runtime.event_loop import collect_at_rest
from bgpd.runtime.fault_border import FaultBorder
from bgpd.runtime.loop_lag import LagMeter
from bgpd.runtime.supervisor import Supervisor
from bgpd.speaker.selection_deferral import Report
from bgpd.speaker.speaker import Speaker
from bgpd.worker.turns import in_turns

if TYPE_CHECKING:  # a reflector without a datastore must not load Calico's models
    from bgpd.calico.desired import NodeDesired
    from bgpd.config.reading import Source
    from bgpd.daemon.cluster import Cluster

# Theory
# ------
# A restart must not be noticed: that decides the order in which things start and end.
#
#       claim the place    another daemon on the same control socket would fight for port 179
#       listen, unread     peers that call in the meantime wait in the kernel's queue
#       datastore          the first snapshot, or the saved state: who we are, our blocks
#       kernel             our routes of the previous run are adopted, none is removed
#       deferral           which peers keep our routes, and until when (RFC 4724 4.1)
#       tables             our own routes, before any session can ask for them
#       peers              sessions may come up
#
# The end is the reverse with one difference: `is_restart` says whether peers and the kernel are
# to keep what they have. SIGTERM is a restart if graceful restart is on, `shutdown` is an end for good.
#
# Invariants:
#
# * Before `running` is set there is no speaker, and after it none of its parts is missing.
# * Settings in force change only in `Transition`, by the difference of two settings; a
#   file that cannot be read changes nothing.
# * What only a start can change is pending: it is named in warnings until the next start.
# * Nothing that serves people (metrics, sockets, file watch) can end the daemon or delay its
#   start: the supervisor tries it again.
#
# Deliberately not here: what a change means for sessions (`bgpd.speaker.peer_changes`), for
# the kernel (`bgpd.kernel`) or for a node (`bgpd.node`). This module only says when.

EXIT_OK: Final = 0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """What stays behind at the end.

    Attributes:
        is_restart: Peers are to keep our routes.
        flushes: The kernel's routes go.
        text: For the peers' operators (RFC 9003).
    """

    is_restart: bool
    flushes: bool
    text: str = ""


class Daemon:
    """One running daemon.

    Args:
        settings: Its settings.
        source: What a reload reads; ``None`` without a file.
        files: What the settings came from; a change of one reloads.
        must_listen: An unavailable port ends the start; otherwise the daemon goes
            on with the connections it makes itself.
        startup_claim: What was claimed already, and listens; else ``run`` sees to it.

    Attributes:
        border: Around parts of a plan that may be at fault, counted.
        started: Set when everything was there and sessions may come up.
        reloading: How the configuration is read again.
        commit: How configurations that clients send are planned, applied and confirmed.
        cluster: What follows the datastore; ``None`` without one.
        running: ``None`` until our identity is known.
    """

    def __init__(
        self,
        settings: DaemonSettings,
        source: "Source | None" = None,
        files: tuple[Path, ...] = (),
        *,
        must_listen: bool = False,
        startup_claim: StartupClaim | None = None,
    ) -> None:
        self.border = FaultBorder()
        self.started = asyncio.Event()
        transition = Transition(settings, self)
        self.reloading = ConfigReload(source, files, transition.put_in_force)
        self.commit = ConfigCommit(
            self.reloading, transition, None if source is None else source.file
        )
        self.cluster: Cluster | None = None
        self.running: Running | None = None
        self._must_listen = must_listen
        self._startup_claim = startup_claim
        self._stop = asyncio.Event()
        self._ending: Ending | None = None
        self._supervisor = Supervisor()
        self._servers = Servers(self, self._supervisor)

    async def run(self) -> int:
        """Run until a signal says stop; return the exit code.

        Raises:
            StartError: It cannot start.
            FibError: The kernel's table is unavailable.
        """
        loop = asyncio.get_running_loop()
        log_starting(self.settings, self.reloading.files)

        def stop(number: signal.Signals) -> None:
            log_stopping(number.name)
            if self._stop.is_set() and self.running is not None:
                self.running.stop_draining()  # the second: it is urgent
            self._stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop, number)
        loop.add_signal_handler(signal.SIGHUP, self.reloading.ask)
        self.journal_keeper.start(loop)
        startup_claim = self._startup_claim or claim_startup(self.settings)
        lag = LagMeter(loop, collect_at_rest)
        try:
            if self.settings.metrics.address:
                await self._servers.serve_http(lag)
            if self.settings.api.address:
                await self._servers.serve_api(lag)
            await self._start(startup_claim, lag)
            await self._stop.wait()
            ending = self._ending or self._usual_ending()
            if self.running is not None and not ending.is_restart:
                seconds = self.settings.drain.at_shutdown
                await self.running.drain_before_end(seconds, ending.text)
        finally:
            await self._close()
            lag.close()
            startup_claim.close()
            self.journal_keeper.close()
        return EXIT_OK

    # -- start --------------------------------------------------------------------------

    async def _start(self, startup_claim: StartupClaim, lag: LagMeter) -> None:
        if self.settings.datastore.kind is not DatastoreKind.NONE:
            from bgpd.daemon.cluster import Cluster  # noqa: PLC0415  # not every daemon

            cluster = self.cluster = Cluster(self.settings, self._follow, self.border)
            cluster.keep(self._supervisor)
            await self._servers.open_control(lag, startup_claim.control)
            if not await cluster.wait(self._stop):
                return
        running = self.running = await self._become()
        self.journal_keeper.attach(running.speaker)
        # The sockets listen since the process began; peers that connected wait in their queues
        # until `open`, when the speaker can tell whether it knows them.
        running.speaker.listener.hold(startup_claim.hand_over())
        running.listen()
        if self._must_listen and self.listen_faults:
            raise StartError(self.listen_faults[0])
        await self._servers.serve_clients(running.speaker, lag, startup_claim.control)
        # Our own routes before any session: a peer must not see us without them.
        if (desired := self.latest) is not None:
            running.reconciler.apply_routes(desired)
        await in_turns(running.speaker.policies.prepare(self.settings.policies))
        running.apply_settings(with_as(self.settings, running.identity.asn))
        if (desired := self.latest) is not None:
            running.reconciler.apply_node(desired)
        await running.reconciler.settled()
        running.speaker.listener.open()  # from here on it is known who is a peer
        log_idle(startup_claim.inherited - set(running.speaker.listener.addresses))
        running.deferral.peers_are_known()
        if self.reloading.files:
            from bgpd.daemon.file_watch import (  # noqa: PLC0415  # the datastores come with it
                FileWatch,
            )

            watch = FileWatch(
                lambda: self.reloading.files,
                self.reloading.reload,
                lambda: self.settings.reload.watches,
            )
            self._supervisor.keep(
                "file watch", watch.follow, meanwhile="SIGHUP reloads the configuration"
            )
        self.started.set()
        identity = running.identity
        _log.info(
            "started: router id %(router_id)s, AS %(as)d",
            {
                "event": "started",
                "router_id": identity.router_id,
                "as": identity.asn,
            },
        )

    async def _become(self) -> Running:
        """Make all that needs to know who we are.

        Raises:
            MisconfigurationError: Nothing says who.
            FibError: The kernel's table is unavailable.
        """
        if identify(self.settings, self.latest) is None:
            raise MisconfigurationError(
                "no router ID: set bgp.router_id, or use a datastore that has the "
                "node's address"
            )
        needs_view = is_calico_node(self.settings)
        kernel = await open_kernel(self.settings, needs_view=needs_view)
        # The datastore may have said more meanwhile; never less than a router id.
        desired = self.latest
        identity = identify(self.settings, desired) or self.settings.speaker
        speaker = Speaker(
            asyncio.get_running_loop(),
            identity.router_id,
            asn=identity.asn,
            cluster_id=identity.cluster_id,
            decision=identity.decision,
            resolver=kernel.ways,
        )
        return Running(
            speaker,
            kernel,
            self.settings,
            identity=identity,
            desired=desired,
            border=self.border,
        )

    # -- what can be seen ---------------------------------------------------------------

    @property
    def settings(self) -> DaemonSettings:
        """The settings in force."""
        return self.commit.in_force.settings

    @property
    def node(self) -> str:
        """This node's name in the datastore; empty without."""
        return self.settings.node_name

    @property
    def changed_at(self) -> float:
        """When what the daemon must be last changed, on the loop's clock; 0 for never."""
        cluster_at = 0.0 if self.cluster is None else self.cluster.changed_at
        return max(cluster_at, self.commit.in_force.changed_at)

    @property
    def journal_keeper(self) -> JournalKeeper:
        """Keeps what happens."""
        return self._servers.journal_keeper

    @property
    def latest(self) -> "NodeDesired | None":
        """What the datastore wants of this node; ``None`` without one."""
        return None if self.cluster is None else self.cluster.latest

    @property
    def speaker(self) -> Speaker | None:
        """Tables and peers; ``None`` until our identity is known."""
        return None if self.running is None else self.running.speaker

    @property
    def forwarding(self) -> Forwarding | None:
        """The kernel's part; likewise."""
        return None if self.running is None else self.running.forwarding

    @property
    def is_started(self) -> bool:
        """Whether everything was there and sessions may come up."""
        return self.started.is_set()

    @property
    def awaited(self) -> str:
        """What the start waits for; empty once it is over."""
        return "" if self.cluster is None else self.cluster.awaited

    @property
    def listen_faults(self) -> list[str]:
        """Why it does not listen where it should."""
        return [] if self.running is None else self.running.listening.faults

    @property
    def stopping(self) -> asyncio.Event:
        """Set when the end begins."""
        return self._stop

    @property
    def pending_keys(self) -> int:
        """How many changed keys wait for the next start."""
        return len(self.commit.in_force.pending)

    def own_as(self) -> int:
        """Return our AS number; 0 before it is known."""
        return 0 if self.running is None else self.running.identity.asn

    def recovery(self) -> Report | None:
        """Return how far the recovery after our restart is; ``None`` when it is over."""
        return None if self.running is None else self.running.recovery()

    def mrt_figures(self) -> list[tuple[str, int, int, int, int]]:
        """Return what became of MRT records: kind, files, records, dropped ones, errors."""
        return [] if self.running is None else self.running.evidence.mrt_figures()

    def warnings(self) -> list[str]:
        """Return what an operator should know now."""
        running, cluster = self.running, self.cluster
        lines = [*self.listen_faults, *self._supervisor.faults, *self.border.warnings()]
        lines += self._servers.warnings()
        if running is not None:
            lines += running.recovery_lines() + running.listening.missing()
        lines += self.commit.warnings() + self.reloading.warnings()
        if running is not None:
            lines += [*running.advice, *running.lines()]
        if cluster is not None:
            lines += cluster.lines()
        return lines

    # -- change and end -----------------------------------------------------------------

    async def _follow(self, desired: "NodeDesired") -> None:
        """Become what the datastore says; before there is anything, it is kept."""
        if self.running is not None:
            await self.running.follow(self.settings, desired)

    async def reload_or_raise(self, *, allows_resets: bool = False) -> list[str]:
        """Read the configuration again and apply the difference; return what was done.

        Args:
            allows_resets: Whatever ``reload.resets`` says.

        Raises:
            ReloadError: It has errors, or there is none to read; nothing changed.
        """
        return await self.reloading.reload_or_raise(allows_resets=allows_resets)

    def shut_down(self, *, flushes: bool, text: str) -> None:
        """End for good: peers drop our routes at once.

        Args:
            flushes: The kernel's routes go, too.
            text: For the peers' operators (RFC 9003).
        """
        log_stopping("the command shutdown")
        self._ending = Ending(is_restart=False, flushes=flushes, text=text)
        self._stop.set()

    def _usual_ending(self) -> Ending:
        """Return what a signal leaves behind: no peer keeps routes of a node that stops forwarding."""
        has_kernel = self.commit.in_force.first.fib.is_enabled
        flushes = has_kernel and not self.settings.fib.persist
        return Ending(
            is_restart=self.settings.restart.is_enabled and not flushes,
            flushes=flushes,
        )

    async def _close(self) -> None:
        """End in the order of the start, reversed."""
        time, outcome = asyncio.get_running_loop().time, "no routes in the kernel"
        began = time()
        await self._supervisor.close()
        await self._servers.close()
        await self.commit.close()
        await self.reloading.close()
        if self.running is not None:
            self.running.close_inputs()
        if self.cluster is not None:
            await self.cluster.close()
        if self.running is not None:
            ending = self._ending or self._usual_ending()
            await self.running.close(
                is_restart=ending.is_restart, flushes=ending.flushes, text=ending.text
            )
            if self.running.forwarding.fib is not None:
                outcome = f"kernel routes {'removed' if ending.flushes else 'kept'}"
        log_stopped(time() - began, outcome)
