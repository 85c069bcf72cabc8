"""The daemon as a process: everything started in order, told to change, and stopped.

Order matters at start: the kernel's table is read first (what is there is adopted as
stale), then the datastore's first snapshot gives address, AS and own blocks, then sessions
come up, so that peers never see us without our routes.
"""

import asyncio
import logging
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bgpd.config.advice import advice
from bgpd.config.diff import find_steps, in_order, pending
from bgpd.config.kernel_moves import kernel_moves
from bgpd.config.settings import DaemonSettings, DatastoreKind, SpeakerSettings
from bgpd.daemon.config_reload import ConfigReload, capped
from bgpd.daemon.errors import MisconfigurationError, StartError
from bgpd.daemon.file_watch import FileWatch
from bgpd.daemon.listen_retry import ListenRetry
from bgpd.daemon.servers import Servers
from bgpd.daemon.startup_claim import StartupClaim, enter
from bgpd.kernel.access import open_kernel
from bgpd.kernel.forwarding import Forwarding
from bgpd.node.identity import identify, own_addresses, peers_with_as, with_as
from bgpd.node.kernel_plan import apply_to_kernel, is_calico_node
from bgpd.node.reconciler import Reconciler
from bgpd.node.removal_holds import Holds
from bgpd.pipeline.local_sources import calico_sources, plain_sources
from bgpd.runtime.event_loop import collect_at_rest
from bgpd.runtime.fault_border import FaultBorder
from bgpd.runtime.log_setup import set_up_logging
from bgpd.runtime.loop_lag import LagMeter
from bgpd.runtime.supervisor import Supervisor
from bgpd.session.settings import PeerSettings
from bgpd.speaker import limit_changes
from bgpd.speaker.peer_changes import foresee
from bgpd.speaker.peer_memory import PeerMemory
from bgpd.speaker.peer_memory_reader import memory_path, recall
from bgpd.speaker.previous_run import Mark, judge, this_kernel
from bgpd.speaker.reevaluation import follow_options
from bgpd.speaker.selection_deferral import Deferral, Report, caps_of
from bgpd.speaker.self_sessions import sessions_with_itself
from bgpd.speaker.speaker import FAMILIES, Speaker
from bgpd.worker.turns import collect, in_turns

if TYPE_CHECKING:  # a reflector without datastore shall not load Calico's models
    from bgpd.calico.desired import NodeDesired
    from bgpd.config.reading import Source
    from bgpd.node.datastore_follower import DatastoreFollower
    from bgpd.node.kubernetes_inputs import KubernetesInputs

EXIT_OK: Final = 0
SHOWN_WARNINGS: Final = 200  # about objects; `calico diff` shows all
DATASTORE_NOTICE: Final = (
    5.0  # seconds of waiting for the datastore before it is mentioned
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """What is left behind at the end.

    Attributes:
        is_restart: Peers shall keep our routes.
        flushes: The kernel's routes go.
        text: For the peers' operators (RFC 9003).
    """

    is_restart: bool
    flushes: bool
    text: str = ""


class Daemon:
    """One running daemon.

    Args:
        settings: What it shall do.
        source: What is read again; ``None`` where there is nothing to read.
        files: What the settings came from; a change of one reloads.
        must_listen: A port that cannot be had ends the start; otherwise the daemon goes
            on with the connections it makes itself.
        entrance: What was claimed already, and listens; else ``run`` sees to it.
    """

    def __init__(
        self,
        settings: DaemonSettings,
        source: "Source | None" = None,
        files: tuple[Path, ...] = (),
        *,
        must_listen: bool = False,
        entrance: StartupClaim | None = None,
    ) -> None:
        self.settings = settings
        self._started_with = settings
        self._pending: tuple[str, ...] = ()
        self._entrance = entrance
        self.speaker: Speaker | None = None
        self.reconciler: Reconciler | None = None
        self.forwarding: Forwarding | None = None
        self.cluster: DatastoreFollower | None = None
        self.sides: KubernetesInputs | None = None
        self.holds: Holds | None = None
        self.border = FaultBorder()
        self.started = asyncio.Event()
        self._ending: Ending | None = None
        self.reloading = ConfigReload(source, files, self._apply_reloaded)
        self._must_listen = must_listen
        self._stop = asyncio.Event()
        self.desired: NodeDesired | None = None
        self.changed_at = 0.0
        self._identity: SpeakerSettings | None = None
        self._first_desired = asyncio.Event()
        self._supervisor = Supervisor()
        self._advice: tuple[str, ...] = ()
        self._servers = Servers(self, self._supervisor)
        self._listening: ListenRetry | None = None
        self._lag: LagMeter | None = None
        self._deferral: Deferral | None = None
        self._mark = Mark(settings.control_path)
        self._memory: PeerMemory | None = None

    async def run(self) -> int:
        """Run until a signal says stop; return the exit code.

        Raises:
            StartError: It cannot start.
            FibError: The kernel's table cannot be had.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.reloading.ask)
        if self._entrance is None:
            self._entrance = enter(self.settings)
        self._lag = LagMeter(loop, collect_at_rest)
        try:
            if self.settings.metrics.address:
                await self._servers.serve_http(self._lag)
            await self._start(loop)
            await self._stop.wait()
        finally:
            await self._close()
        return EXIT_OK

    @property
    def is_started(self) -> bool:
        """Whether everything was there and sessions may come up."""
        return self.started.is_set()

    @property
    def listen_faults(self) -> list[str]:
        """Why it does not listen where it should."""
        return [] if self._listening is None else self._listening.faults

    @property
    def stopping(self) -> asyncio.Event:
        """Set when the end begins."""
        return self._stop

    # -- start --------------------------------------------------------------------------

    async def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.settings.datastore.kind is not DatastoreKind.NONE:
            self._follow_datastore()
            if not await self._wait_for_datastore():
                return
        identity = identify(self.settings, self.desired)
        if identity is None:
            raise MisconfigurationError(
                "no router ID: set bgp.router_id, or use a datastore that has the "
                "node's address"
            )
        self._identity = identity
        speaker = self.speaker = Speaker(
            loop,
            identity.router_id,
            asn=identity.asn,
            cluster_id=identity.cluster_id,
            decision=identity.decision,
        )
        speaker.shared.set_own_addresses(own_addresses(identity, self.desired))
        speaker.context.stale_path_time = self.settings.restart.stale_path_time
        is_node = self.settings.datastore.kind is not DatastoreKind.NONE
        origins = calico_sources() if is_node else plain_sources()
        reconciler = self.reconciler = Reconciler(speaker, origins)
        needs_view = is_calico_node(self.settings)
        kernel = await open_kernel(self.settings, needs_view=needs_view)
        forwarding = self.forwarding = Forwarding(
            speaker, self.settings, origins, kernel
        )
        self._apply_kernel_plan()
        forwarding.start()
        self._begin_recovery(speaker, forwarding)
        speaker.listener.hold(
            {} if self._entrance is None else self._entrance.hand_over()
        )
        self._listen(speaker, identity)
        if self._must_listen and self.listen_faults:
            raise StartError(self.listen_faults[0])
        await self._servers.serve_clients(speaker, self._lag)
        if self.desired is not None:
            reconciler.apply_routes(self.desired)
        self._apply_settings(reconciler, with_as(self.settings, identity.asn))
        if self.desired is not None:
            reconciler.apply_node(self.desired)
        await reconciler.settled()
        speaker.listener.open()  # from here on it is known who is a peer
        if self._deferral is not None:
            self._deferral.peers_are_known()
        if self.reloading.files:
            watch = FileWatch(lambda: self.reloading.files, self.reloading.reload)
            self._supervisor.keep(
                "file watch", watch.follow, meanwhile="SIGHUP reloads the configuration"
            )
        self.started.set()
        _log.info("started: router id %s, AS %d", identity.router_id, identity.asn)

    @property
    def pending_keys(self) -> int:
        """How many changed keys wait for the next start."""
        return len(self._pending)

    def warnings(self) -> list[str]:
        """Return what an operator should know now."""
        lines = [*self.listen_faults, *self._supervisor.faults, *self.border.warnings()]
        lines += self._restart_lines()
        if self._listening is not None:
            lines += self._listening.missing()
        lines += self.reloading.warnings()
        if self._pending:
            keys = ", ".join(self._pending)
            lines.append(
                f"changes to these keys take effect only at the next start: {keys}"
            )
        lines += self._advice
        if self.forwarding is not None:
            lines += self.forwarding.places.warnings()
        if self.reconciler is not None:
            lines += self.reconciler.faults()
        if (speaker := self.speaker) is not None:
            lines += speaker.warnings()
            lines += limit_changes.lines(speaker.peers.values())
            view = None if self.forwarding is None else self.forwarding.view
            lines += sessions_with_itself(
                speaker.peers.values(),
                speaker.listener.addresses,
                () if view is None else view.addresses(),
            )
        if self.cluster is not None:
            lines += self.cluster.warning_lines(SHOWN_WARNINGS)
        if self.holds is not None:
            lines += self.holds.warnings()
        return lines

    def _restart_lines(self) -> list[str]:
        report = self.recovery()
        if report is None or not report.is_certain:
            return []
        what = "peers' routes and End-of-RIB are" if report.untold else "End-of-RIB is"
        line = f"waiting for {report.progress.waiting_count} peers"
        return [f"our restart is not complete: {what} deferred, {line}"]

    def _begin_recovery(self, speaker: Speaker, forwarding: Forwarding) -> None:
        """Find out whether this is a restart, and what must wait if so (RFC 4724 4.1)."""
        times = self.settings.restart
        start = judge(
            FAMILIES,
            has_kernel=forwarding.fib is not None,
            found=forwarding.adoption.found(),
            mark=self._mark.read(),
            kernel=this_kernel(),
        )
        path = memory_path(self.settings.control_path) if times.is_enabled else None
        remembered = recall(path) if start.is_certain and start.is_restart else None
        discovered = () if self.desired is None else self.desired.peers
        self._deferral = Deferral(
            speaker,
            caps_of(times, start, remembered, (*self.settings.peers, *discovered)),
            sweep=forwarding.adoption.sweep,
            preserved=start.preserved if times.is_enabled else frozenset(),
            remembered=remembered,
            is_certain=start.is_certain,
        )
        if times.is_enabled:
            self._mark.write()
        self._memory = PeerMemory(speaker, path, remembered)

    def _listen(self, speaker: Speaker, identity: SpeakerSettings) -> None:
        """Listen where the identity says, and nowhere else."""
        if self._listening is None:
            self._listening = ListenRetry(speaker.listener)
        self._listening.follow(identity.listen_addresses, identity.listen_port)

    # -- datastore ----------------------------------------------------------------------

    def _follow_datastore(self) -> None:
        from bgpd.datastore import DatastoreError  # noqa: PLC0415  # the same
        from bgpd.node.datastore_follower import (  # noqa: PLC0415  # Calico's models: 0.2 s
            DatastoreFollower,
            make_datastore,
        )
        from bgpd.node.kubernetes_inputs import KubernetesInputs  # noqa: PLC0415  # the same

        settings = self.settings
        try:
            datastore, claimed = make_datastore(
                settings.datastore,
                settings.node_name,
                all_blocks=settings.routes.holds_cluster_routes,
            )
        except DatastoreError as error:
            raise MisconfigurationError(str(error)) from error
        self.sides = KubernetesInputs(
            settings.kubernetes,
            settings.node_name,
            removal_hold=settings.datastore.removal_hold,
        )
        self.cluster = DatastoreFollower(
            datastore,
            settings.node_name,
            self._template(),
            self._deliver,
            calico=settings.calico,
            border=self.border,
            sides=self.sides,
            removal_hold=settings.datastore.removal_hold,
            claimed=claimed,
        )
        self.holds = Holds((self.cluster.datastore, self.sides.guard))
        holds = "keeping what was read before"
        self._supervisor.keep("datastore", self.cluster.follow, meanwhile=holds)
        self._supervisor.keep("local workloads", self.sides.follow, meanwhile=holds)

    def _template(self) -> PeerSettings:
        return self.settings.speaker.defaults

    async def _deliver(self, desired: "NodeDesired") -> None:
        """Become what the datastore says; what cannot be done keeps nothing else back."""
        if not self._first_desired.is_set() and not desired.is_known:
            _log.warning(
                "waiting: the datastore has no BGP settings for node %r yet",
                desired.name,
            )
            return
        self.desired = desired
        self.changed_at = asyncio.get_running_loop().time()
        if not self._first_desired.is_set():
            self._first_desired.set()
        elif self.reconciler is not None:
            with self.border.around("the node's identity"):
                self._apply_identity()
            self._apply_kernel_plan()
            with self.border.around("the node's sessions and routes"):
                self.reconciler.apply_node(desired)
            await self.reconciler.settled()

    def cluster_desired(self) -> "NodeDesired | None":
        """Return what this node must be, with all findings about objects."""
        if self.desired is None or self.cluster is None:
            return self.desired
        return replace(self.desired, warnings=self.cluster.warnings())

    def _apply_kernel_plan(self) -> None:
        """Let the kernel's part follow what the node must be."""
        if self.forwarding is not None:
            apply_to_kernel(self.forwarding, self.settings, self.desired, self.border)

    async def _wait_for_datastore(self) -> bool:
        """Wait until the datastore knows this node; false if told to stop first."""
        waits = [
            asyncio.ensure_future(self._first_desired.wait()),
            asyncio.ensure_future(self._stop.wait()),
        ]
        try:
            while True:
                done, _ = await asyncio.wait(
                    waits, timeout=DATASTORE_NOTICE, return_when=asyncio.FIRST_COMPLETED
                )
                if done:
                    return self._first_desired.is_set()
                status = self.cluster.status if self.cluster else None
                reason = status.last_error if status is not None else ""
                _log.warning("waiting for the datastore: %s", reason or "no answer yet")
        finally:
            for wait in waits:
                wait.cancel()

    # -- change and end -----------------------------------------------------------------

    def own_as(self) -> int:
        """Return our AS number; 0 before it is known."""
        return 0 if self._identity is None else self._identity.asn

    def recovery(self) -> Report | None:
        """Return how far the recovery after our restart is; ``None`` when it is over."""
        return None if self._deferral is None else self._deferral.report

    async def reload_or_tell(self) -> list[str]:
        """Read the configuration again and apply the difference; return what was done.

        Raises:
            ReloadError: It has errors, or there is none to read; nothing changed.
        """
        return await self.reloading.reload_or_tell()

    async def _apply_reloaded(self, new: DaemonSettings) -> list[str]:
        """Apply changed settings, in slices; return the steps."""
        old = self.settings
        steps = in_order(await in_turns(collect(find_steps(old, new))))
        if (speaker := self.speaker) is not None:
            steps = await in_turns(collect(foresee(speaker, steps, new)))
        lines = await in_turns(collect(map(str, steps)))
        lines += kernel_moves(self._started_with.fib, new.fib)
        for line in capped(lines):
            _log.info("reload: %s", line)
        self.settings = new
        self._pending = pending(self._started_with, new)
        self.changed_at = asyncio.get_running_loop().time()
        if self.holds is not None:
            self.holds.set_hold_time(new.datastore.removal_hold)
        if old.log != new.log:
            set_up_logging(new.log)
        reconciler, identity = self.reconciler, self._identity
        if reconciler is not None and identity is not None:
            self._apply_identity()
            ours = await in_turns(collect(peers_with_as(new.peers, identity.asn)))
            filled = replace(new, peers=tuple(ours))
            self._apply_settings(reconciler, with_as(filled, identity.asn))
            await reconciler.settled()
        self._apply_kernel_plan()
        return lines

    def _apply_settings(self, reconciler: Reconciler, settings: DaemonSettings) -> None:
        """Let what the file says of peers and routes hold; our AS is in it."""
        self._advice = advice(settings)
        reconciler.apply_settings(settings)

    def _apply_identity(self) -> None:
        """Follow a change of who we are: only a new router id resets sessions."""
        speaker, identity = self.speaker, identify(self.settings, self.desired)
        if speaker is None or identity is None:
            return
        speaker.shared.set_own_addresses(own_addresses(identity, self.desired))
        before, self._identity = self._identity, identity
        if identity == before:
            return
        if self.reconciler is not None and before and before.asn != identity.asn:
            self._apply_settings(self.reconciler, with_as(self.settings, identity.asn))
        speaker.set_identity(identity.router_id, identity.cluster_id, identity.asn)
        follow_options(speaker.context, speaker.shared, identity.decision)
        self._listen(speaker, identity)

    def shut_down(self, *, flushes: bool, text: str) -> None:
        """End for good: peers drop our routes at once.

        Args:
            flushes: The kernel's routes go, too.
            text: For the peers' operators (RFC 9003).
        """
        self._ending = Ending(is_restart=False, flushes=flushes, text=text)
        self._stop.set()

    def _usual_ending(self) -> Ending:
        """Return what a signal leaves behind: who forwards no longer is kept by nobody."""
        has_kernel = self._started_with.fib.is_enabled
        flushes = has_kernel and not self.settings.fib.persist
        return Ending(
            is_restart=self.settings.restart.is_enabled and not flushes,
            flushes=flushes,
        )

    async def _close(self) -> None:
        """End in the order of the start, reversed; routes stay for a successor."""
        await self._supervisor.close()
        await self._servers.close()
        await self.reloading.close()
        if self._listening is not None:
            self._listening.close()
        if self.sides is not None:
            await self.sides.close()
        if self._lag is not None:
            self._lag.close()
        if self._deferral is not None:
            self._deferral.close()
        ending = self._ending or self._usual_ending()
        if self._memory is not None:
            await self._memory.close(forgets=not ending.is_restart)
        forwarding = self.forwarding
        if forwarding is not None and not ending.flushes:
            # What becomes of the sessions must not reach the kernel any more.
            await forwarding.close(flush=False)
        if self.speaker is not None:
            await self.speaker.close(is_restart=ending.is_restart, text=ending.text)
        if forwarding is not None and ending.flushes:
            await forwarding.close(flush=True)
        if ending.flushes:
            self._mark.remove()
        if self._entrance is not None:
            self._entrance.close()
