"""What one peer has sent: its Adj-RIBs-In, and what happens to them without a session.

    session up      tables are opened, or go on with what is stale in them
    UPDATEs         ``take`` passes changes to the tables, in batches
    refresh         begin: all is stale; end, or its time: what is stale yet is swept
    session down    routes go, or wait as stale (RFC 4724, RFC 9494) and are swept later
    other rules     routes are judged again from what was received

The peer's ``Source`` lives as long as the peer: routes that survive a session as stale are
replaced or swept under it. Who ends a session is decided elsewhere (``bgpd.speaker.peer``).
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, Protocol

from bgpd.pipeline.inbound_refresh import InboundRefreshes
from bgpd.pipeline.stale_routes import StaleRoutes
from bgpd.pipeline.update_error_log import log_ignored, log_update_errors
from bgpd.pipeline.update_errors import PeerErrors
from bgpd.pipeline.update_receiver import Taken, UpdateReceiver
from bgpd.runtime.fault_isolation import each
from bgpd.session.negotiation import Negotiated
from bgpd.session.peer import PeerSession
from bgpd.session.settings import PeerSettings, peer_fields
from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.import_context import attribute_context, import_rules
from bgpd.speaker.prefix_limits import block
from bgpd.wire.route_refresh import RefreshSubtype
from rib.adj_rib_in import AdjRibIn
from rib.change import Change
from rib.family import Family
from rib.import_checks import ImportChecks
from rib.long_lived import make_long_lived
from rib.nlri import parse_address
from rib.path import Source, SourceKind
from rib.reimport import reimport

_log = logging.getLogger(__name__)


class ImportsOwner(Protocol):
    """The peer that the routes come from."""

    def routes_changed(self) -> None:
        """Long work on the peer's routes is done."""

    def stale_routes_swept(self) -> None:
        """The stale routes of a session are gone."""


class PeerImports:
    """The receiving side of one peer.

    Args:
        context: The tables, and what all sessions share.
        session: The peer's; its settings are the peer's.
        sources: The peer as the tables know it, by family.
        owner: Hears of what is over.

    Attributes:
        ribs: By family, of the session and of those before whose routes wait.
        stale: Routes that outlived the session and wait for the peer.
        ended_families: End-of-RIB was received.
        errors: In the peer's UPDATEs.
        heard_at: Monotonic seconds: session up, or its last UPDATE.
    """

    def __init__(
        self,
        context: SpeakerContext,
        session: PeerSession,
        sources: Mapping[Family, Source],
        owner: ImportsOwner,
    ) -> None:
        self.ribs: dict[Family, AdjRibIn] = {}
        self.ended_families: set[Family] = set()
        self.errors = PeerErrors(context.malformed_updates)
        self.heard_at = 0.0
        self._context = context
        self._session = session
        self._sources = sources
        self._owner = owner
        self._local_addresses: frozenset[bytes] = frozenset()  # of the last session
        self._intake: UpdateReceiver | None = None
        bound, look = context.stale_path_time, context.poller.pulse.look
        self.stale = StaleRoutes(
            context.loop, self._sweep_stale, self._make_long_lived, bound, look
        )
        self._refreshes = InboundRefreshes(
            context.loop, self._refresh_overdue, bound, look
        )

    # -- a session ----------------------------------------------------------------------

    def open(self, negotiated: Negotiated) -> None:
        """Open the tables of a session's families."""
        self._hear()
        self.ended_families.clear()
        for family in sorted(set(self.ribs) - negotiated.families):
            self.stale.drop(family)
            del self.ribs[family]
        self.stale.came_back(negotiated)
        local = self._session.local_addr.partition("%")[0]
        self._local_addresses = frozenset((parse_address(local),) if local else ())
        rules = self._rules()
        for family in negotiated.families:
            rib = self.ribs.get(family)
            if rib is None:
                loc_rib = self._context.tables[family].loc_rib
                rib = self.ribs[family] = AdjRibIn(
                    self._sources[family], loc_rib, rules, self._context.next_hops
                )
            else:
                rib.rules = rules
            block(rib, self._session.settings.families)
        self.decode_by(negotiated)

    def decode_by(self, negotiated: Negotiated) -> None:
        """Use new settings to decode UPDATEs from now on."""
        context = attribute_context(self._session.offered, negotiated)
        tables = {family: self.ribs[family] for family in negotiated.families}
        self._intake = UpdateReceiver(tables, context, negotiated.add_path_receive)

    # hot: per chunk
    def take(self, bodies: list[bytes]) -> Taken | None:
        """Process UPDATEs and pass their changes on; then raise any internal error.

        Returns:
            What came of them; ``None`` without a session.
        """
        if self._intake is None:
            return None
        context = self._context
        self._hear()
        taken = self._intake.take(bodies)
        for family, changes in taken.changes.items():
            if changes:
                context.tables[family].changed(changes, self.heard_at)
        if taken.complaints or taken.ended:
            self._note(taken)
        octets = self._session.counters.octets_received
        for rib in self.ribs.values():
            rib.outcomes.octets_received = octets
            if rib.ignored:  # else its name need not be made
                log_ignored(self._session.settings, rib)
            if rib.outcomes.is_sweep_due:
                context.work_queue.add(iter(rib.outcomes.sweep_unused()))
            if rib.loc_rib.is_sweep_due:
                context.work_queue.add(iter(rib.loc_rib.sweep_unused()))
            if rib.can_let_in:
                context.tables[rib.loc_rib.family].changed(rib.let_in_blocked())
        if context.next_hops.is_due:
            context.work_queue.add(context.next_hops.sweep_unused())
        return taken

    def _hear(self) -> None:
        """Note the time: paths that are made now are of now."""
        self.heard_at = now = self._context.loop.time()
        for source in self._sources.values():
            source.heard_at = now

    def _note(self, taken: Taken) -> None:
        if taken.complaints:
            self.errors.note(self._session.settings.name, taken.complaints)
            log_update_errors(self._session.settings, taken.complaints)
        for family in taken.ended:
            self.ended_families.add(family)
            self.stale.drop(family)

    def close(self, kept: Collection[Family], negotiated: Negotiated | None) -> None:
        """Handle the end of a session: remove the routes, or keep them for the peer's restart time.

        Args:
            kept: Families whose routes stay.
            negotiated: Of the session.
        """
        self._intake = None
        self._refreshes.close()

        def leave(family: Family) -> None:
            self._context.tables[family].leave(self._sources[family])
            self._make_stale(self.ribs[family])
            if family in kept and negotiated is not None:
                self._keep_stale(family, negotiated)
            else:
                self.stale.forget(family)
                self._sweep(family)

        each(leave, self.ribs, "family of a session that ended")

    # -- stale routes -------------------------------------------------------------------

    def mark_refresh(
        self, family: Family, subtype: RefreshSubtype, negotiated: Negotiated | None
    ) -> None:
        """Follow a refresh that the peer has begun or ended (RFC 7313 4)."""
        if subtype is RefreshSubtype.END:
            if self._refreshes.end(family):
                self._sweep(family)
            return
        graceful = negotiated and negotiated.graceful_restart
        if graceful and family not in self.ended_families:
            # What a peer that restarts gracefully begins before its End-of-RIB does not
            # count: its first advertisement is still under way.
            _log.info(
                "%(peer)s (%(address)s): ignored BoRR before End-of-RIB of %(family)s",
                {
                    "event": "refresh-ignored",
                    **peer_fields(self._session.settings),
                    "family": family,
                },
            )
            return
        rib = self.ribs[family]
        self._make_stale(rib)
        self._refreshes.begin(family, rib.source.epoch)

    def _refresh_overdue(self, family: Family, epoch: int) -> None:
        _log.warning(
            "%(peer)s (%(address)s): no EoRR for %(family)s in time; removing routes that "
            "were not re-advertised",
            {
                "event": "refresh-overdue",
                **peer_fields(self._session.settings),
                "family": family,
            },
        )
        self._sweep(family, epoch)

    def _make_stale(self, rib: AdjRibIn) -> None:
        rib.make_stale()
        self._free_discarded(rib)

    def _free_discarded(self, rib: AdjRibIn) -> None:
        if rib.discarded:
            self._context.work_queue.add(rib.discarded.free())

    def _keep_stale(self, family: Family, negotiated: Negotiated) -> None:
        settings = self._session.settings
        epoch = self._sources[family].epoch
        _log.info(
            "%(peer)s (%(address)s): graceful restart: keeping stale %(family)s routes for "
            "%(seconds)d s",
            {
                "event": "stale-routes-kept",
                **peer_fields(settings),
                "family": family,
                "seconds": self.stale.keep(family, negotiated, settings, epoch),
            },
        )

    def _make_long_lived(self, family: Family) -> None:
        _log.info(
            "%(peer)s (%(address)s): %(family)s routes are now long-lived stale",
            {
                "event": "stale-routes-long-lived",
                **peer_fields(self._session.settings),
                "family": family,
            },
        )
        self.run(family, make_long_lived(self.ribs[family]))

    def _sweep_stale(self, family: Family, epoch: int | None) -> None:
        self._sweep(family, epoch)
        self._owner.stale_routes_swept()

    def _sweep(self, family: Family, epoch: int | None = None) -> None:
        rib = self.ribs[family]
        if rib.accepted_count:
            source = self._sources[family]
            if epoch is None:
                tables = self._context.tables[family]
                tables.predict(lambda rib: rib.predict_sweep(source))
            self.run(family, rib.sweep_stale(epoch))

    def resume(self, lost: float) -> None:
        """Leave a stall of ``lost`` seconds out of measured times."""
        self.stale.resume(lost)
        self._refreshes.resume(lost)

    # -- other rules --------------------------------------------------------------------

    def _rules(self) -> ImportChecks:
        """Return how to evaluate routes: by the session, or the last one."""
        return self.rules_under(self._context, self._session.offered)

    def rules_under(
        self, context: SpeakerContext, settings: PeerSettings
    ) -> ImportChecks:
        """Return how the peer's routes would be evaluated under other settings.

        Args:
            context: Who we would be.
            settings: The peer's, with our AS as it stands in the OPEN.
        """
        source = next(iter(self._sources.values()))
        return import_rules(
            context,
            settings,
            self._local_addresses,
            is_ibgp=source.kind is SourceKind.IBGP,
        )

    def reimport(self, *, is_review: bool = False) -> None:
        """Re-evaluate the peer's routes, stale ones included.

        Args:
            is_review: Only where what they are judged by is not what it was.
        """
        if not self.ribs:
            return
        rules = self._rules()
        for family, rib in self.ribs.items():
            if not (is_review and rules.equals(rib.rules)):
                self.run(family, reimport(rib, rules))
                self._free_discarded(rib)

    @property
    def depends_on_devices(self) -> bool:
        """Whether import policy matches outgoing interfaces."""
        rules = (rib.rules for rib in self.ribs.values())
        return any(r.policy.needs_interface or r.is_on_this_machine for r in rules)

    def run(self, family: Family, slices: Iterator[list[Change]]) -> None:
        """Do long work on the tables; the first slice at once."""
        self._sources[family].heard_at = self._context.loop.time()
        changed = self._context.tables[family].changed
        first = next(slices, None)
        if first is None:
            return
        changed(first)
        self._context.work_queue.add(self._each(slices, changed))

    def _each(
        self, slices: Iterator[list[Change]], changed: Callable[[list[Change]], None]
    ) -> Iterator[None]:
        for changes in slices:
            changed(changes)
            yield
        self._owner.routes_changed()

    # -- the end ------------------------------------------------------------------------

    def forget(self) -> None:
        """Remove all routes of a peer that is removed, stale ones included."""
        for family, rib in self.ribs.items():
            self.stale.forget(family)
            self._context.tables[family].leave(self._sources[family])
            self._make_stale(rib)
            self._sweep(family)

    def let_go(self) -> None:
        """Drop references that refer back; see ``Peer.let_go``."""
        self.stale.let_go()
        self._refreshes.let_go()
        self._owner = _NOBODY


class _Nobody:
    """The owner of routes whose peer is gone."""

    def routes_changed(self) -> None:
        """See ``ImportsOwner``."""

    def stale_routes_swept(self) -> None:
        """See ``ImportsOwner``."""


_NOBODY: Final[ImportsOwner] = _Nobody()
