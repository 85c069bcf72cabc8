"""What runs once it is known who we are: sessions, tables, routes in the kernel.

Everything is there when this is. What the settings and the datastore want of it comes as
values, as often as they change.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bgpd.config.advice import advice
from bgpd.config.settings import DaemonSettings, DatastoreKind, SpeakerSettings
from bgpd.daemon.evidence_keeper import EvidenceKeeper
from bgpd.daemon.listen_retry import ListenRetry
from bgpd.daemon.node_mark import follow_mark
from bgpd.kernel.access import KernelAccess
from bgpd.kernel.forwarding import Forwarding
from bgpd.kernel.propagation_meter import PropagationMeter
from bgpd.node.identity import identify, own_addresses, peers_with_as, with_as
from bgpd.node.kernel_plan import apply_to_kernel
from bgpd.node.reconciler import Reconciler
from bgpd.pipeline.local_sources import calico_sources, plain_sources
from bgpd.runtime.fault_border import FaultBorder
from bgpd.speaker import limit_changes
from bgpd.speaker.drain_orders import SUFFIX as DRAINS
from bgpd.speaker.drain_orders import DrainOrigin
from bgpd.speaker.peer_memory import PeerMemory
from bgpd.speaker.peer_memory_reader import memory_path, read_memory
from bgpd.speaker.previous_run import RunMarker, evaluate, this_kernel
from bgpd.speaker.reevaluation import follow_options
from bgpd.speaker.selection_deferral import (
    Report,
    SelectionDeferral,
    deferral_limits_of,
)
from bgpd.speaker.self_sessions import sessions_with_itself
from bgpd.speaker.shared_import_checks import octets_of
from bgpd.speaker.speaker import FAMILIES, Speaker
from bgpd.worker.turns import collect, in_turns

if TYPE_CHECKING:  # a reflector without a datastore must not load Calico's models
    from bgpd.calico.desired import NodeDesired
    from bgpd.daemon.drain_keeper import DrainKeeper
    from bgpd.preview.preview import ChangePreview
    from bgpd.speaker.draining import Draining


@dataclass(slots=True)
class _Kept:
    """What a run keeps for the next one, in files beside the control socket."""

    mark: RunMarker
    memory: PeerMemory | None = None
    drains: "DrainKeeper | None" = None
    held_mark: str = ""


class Running:
    """A speaker with all its surroundings; sessions come up with ``apply_settings``.

    Args:
        speaker: Made for ``identity``.
        kernel: Opened; closed with this.
        settings: In force now.
        identity: Who we are.
        desired: What the datastore wants of this node; ``None`` without one.
        border: Around parts of a plan that may be at fault.

    Attributes:
        speaker: Tables and peers.
        reconciler: Brings them to what is wanted.
        forwarding: The kernel's part.
        identity: Who we are now.
        listening: Where we listen, and try to.
        deferral: What waits because of our restart.
        advice: What the settings' author may not have meant.
        evidence: What is recorded.
    """

    def __init__(
        self,
        speaker: Speaker,
        kernel: KernelAccess,
        settings: DaemonSettings,
        *,
        identity: SpeakerSettings,
        desired: "NodeDesired | None",
        border: FaultBorder,
    ) -> None:
        self.speaker = speaker
        self.identity = identity
        self.advice: tuple[str, ...] = ()
        self._border = border
        self._kept = _Kept(RunMarker(settings.control_path))
        path = self._kept.mark.beside(DRAINS)
        if path is not None and path.exists():
            self.drains().restore()
        speaker.shared.set_own_addresses(own_addresses(identity, desired))
        speaker.context.stale_path_time = settings.restart.stale_path_time
        is_node = settings.datastore.kind is not DatastoreKind.NONE
        origins = calico_sources() if is_node else plain_sources()
        self.reconciler = Reconciler(speaker, origins)
        self.forwarding = Forwarding(speaker, settings, origins, kernel)
        self._propagation = PropagationMeter(speaker, self.forwarding.fib)
        self._propagation.follow(is_on=settings.metrics.propagation)
        self.apply_to_kernel(settings, desired)
        self.forwarding.start()
        self.deferral, self._kept.memory = self._recovery(settings, desired)
        self.listening = ListenRetry(speaker.listener)
        if desired is not None or not is_node:
            self._follow_mark(desired)
        self.evidence = EvidenceKeeper(speaker, lambda: self.identity.asn)
        self.evidence.follow(settings)  # before there is any session

    def _recovery(
        self, settings: DaemonSettings, desired: "NodeDesired | None"
    ) -> tuple[SelectionDeferral, PeerMemory]:
        """Find out whether this is a restart, and what must wait if so (RFC 4724 4.1)."""
        times, forwarding = settings.restart, self.forwarding
        start = evaluate(
            FAMILIES,
            has_kernel=forwarding.fib is not None,
            found=forwarding.adoption.found(),
            mark=self._kept.mark.read(),
            kernel=this_kernel(),
        )
        path = memory_path(settings.control_path) if times.is_enabled else None
        remembered = (
            read_memory(path) if start.is_certain and start.is_restart else None
        )
        discovered = () if desired is None else desired.peers
        deferral = SelectionDeferral(
            self.speaker,
            deferral_limits_of(
                times, start, remembered, (*settings.peers, *discovered)
            ),
            sweep=forwarding.adoption.sweep,
            preserved=start.preserved if times.is_enabled else frozenset(),
            remembered=remembered,
            is_certain=start.is_certain,
        )
        if times.is_enabled:
            self._kept.mark.write()
        return deferral, PeerMemory(self.speaker, path, remembered)

    def drains(self) -> "DrainKeeper":
        """Return what drains peers, and keeps it; made when something is to be drained."""
        from bgpd.daemon.drain_keeper import DrainKeeper  # noqa: PLC0415  # most never do

        if self._kept.drains is None:
            self._kept.drains = DrainKeeper(
                self.speaker, self._kept.mark.beside(DRAINS)
            )
        return self._kept.drains

    # -- what is wanted -----------------------------------------------------------------

    def listen(self) -> None:
        """Listen at the addresses of the identity, and only there."""
        self.listening.follow(self.identity.listen_addresses, self.identity.listen_port)

    def apply_settings(self, settings: DaemonSettings) -> None:
        """Let what the file says of peers and routes hold; our AS is in it."""
        self.advice = advice(settings)
        self.reconciler.apply_settings(settings)

    async def change(
        self, settings: DaemonSettings, desired: "NodeDesired | None"
    ) -> None:
        """Follow a changed configuration, in slices; return once it is reached."""
        self._propagation.follow(is_on=settings.metrics.propagation)
        self.evidence.follow(settings)
        self.apply_identity(settings, desired)
        asn = self.identity.asn
        ours = await in_turns(collect(peers_with_as(settings.peers, asn)))
        await in_turns(self.speaker.policies.prepare(settings.policies))
        self.apply_settings(with_as(replace(settings, peers=tuple(ours)), asn))
        await self.reconciler.settled()
        self.apply_to_kernel(settings, desired)

    async def preview(
        self,
        settings: DaemonSettings,
        desired: "NodeDesired | None",
        latest: "NodeDesired | None",
        most: int,
    ) -> "ChangePreview":
        """Return what other settings would do; nothing is worked out yet.

        Args:
            settings: Those that there would be.
            desired: What the datastore would want of the node.
            latest: What it wants now.
            most: So many prefixes are named of each kind of change.
        """
        from bgpd.preview.preview import ChangePreview  # noqa: PLC0415  # for this alone
        from bgpd.preview.wanted import Wanted  # noqa: PLC0415

        identity = identify(settings, desired) or self.identity
        ours = await in_turns(collect(peers_with_as(settings.peers, identity.asn)))
        named = with_as(replace(settings, peers=tuple(ours)), identity.asn)
        changed = None if desired is latest else desired
        wanted = Wanted(
            named,
            identity,
            octets_of(own_addresses(identity, desired)),
            self.reconciler.peers_by(named.peers, changed),
            self.reconciler.policies_by(named.policies, changed),
            None if changed is None else changed.kernel,
            changed,
        )
        return ChangePreview(
            self.speaker, self.reconciler.origination, self.forwarding, wanted, most
        )

    def apply_identity(
        self, settings: DaemonSettings, desired: "NodeDesired | None"
    ) -> None:
        """Follow a change of who we are: only a new router id resets sessions."""
        speaker, identity = self.speaker, identify(settings, desired)
        if identity is None:
            return
        speaker.shared.set_own_addresses(own_addresses(identity, desired))
        before, self.identity = self.identity, identity
        if identity == before:
            return
        if before.asn != identity.asn:
            self.apply_settings(with_as(settings, identity.asn))
        speaker.set_identity(identity.router_id, identity.cluster_id, identity.asn)
        follow_options(speaker.context, speaker.shared, identity.decision)
        self.listen()

    def apply_to_kernel(
        self, settings: DaemonSettings, desired: "NodeDesired | None"
    ) -> None:
        """Let the kernel's part follow what the node must be."""
        apply_to_kernel(self.forwarding, settings, desired, self._border)

    async def follow(self, settings: DaemonSettings, desired: "NodeDesired") -> None:
        """Become what the datastore says; what cannot be done keeps nothing else back."""
        await in_turns(self.speaker.policies.prepare(desired.policies))
        with self._border.around("the node's identity"):
            self.apply_identity(settings, desired)
        self.apply_to_kernel(settings, desired)
        with self._border.around("the node's sessions and routes"):
            self.reconciler.apply_node(desired)
        with self._border.around("the node's drain"):
            self._follow_mark(desired)
        await self.reconciler.settled()

    # -- what can be seen ---------------------------------------------------------------

    def recovery(self) -> Report | None:
        """Return how far the recovery after our restart is; ``None`` when it is over."""
        return self.deferral.report

    def recovery_lines(self) -> list[str]:
        """Return what an operator should know of our restart."""
        report = self.recovery()
        if report is None or not report.is_certain:
            return []
        what = (
            "peers' routes and End-of-RIB are"
            if report.deferred_routes
            else "End-of-RIB is"
        )
        line = f"waiting for {report.progress.waiting_count} peers"
        return [f"our restart is not complete: {what} deferred, {line}"]

    def lines(self) -> list[str]:
        """Return what else an operator should know now."""
        speaker, view = self.speaker, self.forwarding.view
        return [
            *self.forwarding.places.warnings(),
            *self.reconciler.faults(),
            *self.evidence.faults(),
            *speaker.warnings(),
            *filter(None, (self._kept.held_mark,)),
            *(() if self._kept.drains is None else self._kept.drains.warnings()),
            *limit_changes.lines(speaker.peers.values()),
            *sessions_with_itself(
                speaker.peers.values(),
                speaker.listener.addresses,
                () if view is None else view.addresses(),
            ),
        ]

    def _follow_mark(self, desired: "NodeDesired | None") -> None:
        """Drain all peers while the node's object says so; an unknown one changes nothing."""
        mark = None if desired is None else desired.drain_mark
        if desired is None or desired.is_known:
            drains, kept = self.speaker.context.drains, self._kept
            kept.held_mark = follow_mark(mark, drains, self.draining, kept.held_mark)

    # -- drains -------------------------------------------------------------------------

    def draining(self) -> "Draining":
        """Return what drains peers."""
        return self.drains().draining

    async def drain_before_end(self, seconds: int, text: str) -> None:
        """Drain all peers, and wait until nothing changes any more.

        Args:
            seconds: At most; 0 does not drain.
            text: For the peers' operators (RFC 9003).
        """
        if seconds:
            draining = self.draining()
            draining.drain_all(DrainOrigin.SHUTDOWN, text, wait=seconds)
            await draining.settled()

    def stop_draining(self) -> None:
        """Wait for no effect of drains any more."""
        if self._kept.drains is not None:
            self._kept.drains.draining.close()

    # -- the end ------------------------------------------------------------------------

    def close_inputs(self) -> None:
        """Take no more connections, and let nothing that waited happen."""
        self.listening.close()
        self.deferral.close()

    async def close(self, *, is_restart: bool, flushes: bool, text: str) -> None:
        """End in the order of the start, reversed; routes stay for a successor.

        Args:
            is_restart: Peers are to keep our routes.
            flushes: The kernel's routes go.
            text: For the peers' operators (RFC 9003).
        """
        if self._kept.memory is not None:
            await self._kept.memory.close(forgets=not is_restart)
        if self._kept.drains is not None:
            await self._kept.drains.close()
        if not flushes:
            # The end of the sessions must not reach the kernel any more.
            await self.forwarding.close(flush=False)
        await self.speaker.close(is_restart=is_restart, text=text)
        self.evidence.close()
        if flushes:
            await self.forwarding.close(flush=True)
            self._kept.mark.remove()
