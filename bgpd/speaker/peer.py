"""One neighbour in the speaker: what its session says becomes changes of the tables.

Pure glue between ``PeerDriver`` (sockets, session), ``Intake`` (UPDATEs in) and
``FamilyTables`` (UPDATEs out). The peer's ``Source`` lives as long as the peer: routes that
survive a session as stale are replaced or swept under it (RFC 4724, RFC 7313).
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Protocol

from bgpd.net.driver import PeerDriver
from bgpd.pipeline.inbound_refresh import Refreshes, marks_of
from bgpd.pipeline.stale_routes import StaleRoutes
from bgpd.pipeline.update_error_log import log_complaints, log_ignored
from bgpd.pipeline.update_receiver import Intake, Taken
from bgpd.runtime.fault_isolation import each
from bgpd.runtime.log_limit import BURST
from bgpd.runtime.log_setup import alike
from bgpd.session.events import (
    Established,
    RefreshReceived,
    SessionDown,
    StateChanged,
)
from bgpd.session.fsm import State
from bgpd.session.gr_helper import are_ours_kept
from bgpd.session.negotiation import Negotiated
from bgpd.session.peer import PeerSession
from bgpd.session.settings import PeerSettings
from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.export_context import export_context
from bgpd.speaker.import_context import attribute_context, import_rules
from bgpd.speaker.local_addresses import zone_of
from bgpd.speaker.prefix_limits import PrefixLimits, block
from bgpd.wire.errors import CeaseSubcode, NotifyError
from bgpd.wire.route_refresh import (
    RefreshSubtype,
    RouteRefresh,
    encode_route_refresh,
)
from reflector.advertised_limit import AdvertisedLimit
from reflector.export import ExportContext
from rib.adj_rib_in import AdjRibIn
from rib.change import Change
from rib.family import Family
from rib.import_checks import ImportRules
from rib.nlri import parse_address
from rib.path import Source, SourceKind

_log = logging.getLogger(__name__)


class PeerOwner(Protocol):
    """Who has all peers, and hears of one what concerns others (``Neighbours``)."""

    def session_changed(self, peer: "Peer") -> None:
        """A session came up or went down."""

    def end_of_rib_received(self, peer: "Peer", family: Family) -> None:
        """A peer has sent all its routes."""

    def forget_dynamic(self, peer: "Peer") -> None:
        """A dynamic neighbour's last connection is gone."""


class Peer:
    """A configured or dynamic neighbour.

    Args:
        context: What it stands on.
        owner: Who has it.
        settings: What it is configured to be.
        session: Its state machine, not started.
        range_name: The dynamic range it came from; empty for a configured one.
    """

    def __init__(
        self,
        context: SpeakerContext,
        owner: PeerOwner,
        settings: PeerSettings,
        session: PeerSession,
        *,
        range_name: str = "",
    ) -> None:
        self.settings = settings
        self.range_name = range_name
        self.driver = PeerDriver(session, settings, self, context.loop, context.poller)
        # One for each family: their routes become stale at different times.
        self.sources = {
            family: Source(settings.name, SourceKind.EBGP) for family in context.tables
        }
        self.kind = SourceKind.EBGP
        self.ribs_in: dict[Family, AdjRibIn] = {}
        self.negotiated: Negotiated | None = None
        self.malformed_count = 0
        self.is_held = False  # an operator wants it remembered without a connection
        self.ended_families: set[Family] = set()  # End-of-RIB received
        self.heard_at = 0.0  # monotonic seconds: session up, or its last UPDATE
        self._local_addresses: frozenset[bytes] = frozenset()  # of the last session
        self._context = context
        self._owner = owner
        self._intake: Intake | None = None
        self.stale = StaleRoutes(
            context.loop,
            self._sweep_outlived,
            self._make_long_lived,
            context.stale_path_time,
            context.poller.pulse.look,
        )
        self._refreshes = Refreshes(
            context.loop,
            self._refresh_overdue,
            context.stale_path_time,
            context.poller.pulse.look,
        )
        self.limits = PrefixLimits()

    @property
    def state(self) -> State:
        """The session's state."""
        return self.driver.session.state

    @property
    def in_force(self) -> PeerSettings:
        """The settings as the session has them: our AS may be another one there."""
        return self.driver.session.offered

    @property
    def stale_family_count(self) -> int:
        """Families whose routes outlived the session and wait for the peer."""
        return len(self.stale)

    @property
    def _prefix(self) -> str:
        return f"{self.settings.name} ({self.settings.remote_addr})"

    # -- what the session says ----------------------------------------------------------

    def established(self, event: Established) -> None:
        """Open the tables of the session's families, both ways."""
        negotiated = self.negotiated = event.negotiated
        self.heard_at = self._context.loop.time()
        self.note_restart()
        local = self.driver.session.local_addr.partition("%")[0]
        self._local_addresses = frozenset((parse_address(local),) if local else ())
        self._describe_source(negotiated)
        self.ended_families.clear()
        self.limits.begin()
        for family in sorted(set(self.ribs_in) - negotiated.families):
            self.stale.drop(family)
            del self.ribs_in[family]
        self.stale.came_back(negotiated)
        rules = self._import_rules()
        for family in negotiated.families:
            tables = self._context.tables[family]
            rib = self.ribs_in.get(family)
            if rib is None:
                hops = self._context.next_hops
                self.ribs_in[family] = AdjRibIn(
                    self.sources[family], tables.loc_rib, rules, hops
                )
            else:
                rib.rules = rules
            block(self.ribs_in[family], self.settings.families)
        self._intake = self._make_intake(negotiated)
        for family in negotiated.families:
            self._join(family, negotiated)
        _log.info(
            "%s: established with AS %d, hold time %d s, %s",
            self._prefix,
            negotiated.peer_as,
            negotiated.hold_time,
            ", ".join(map(str, sorted(negotiated.families))),
        )
        self._owner.session_changed(self)

    def _describe_source(self, negotiated: Negotiated) -> None:
        kind = SourceKind.IBGP if negotiated.is_ibgp else SourceKind.EBGP
        facts = (kind, negotiated.peer_router_id, negotiated.peer_as)
        address = parse_address(self.settings.remote_addr.partition("%")[0])
        zone = zone_of(self.settings.remote_addr, negotiated)
        self.kind = kind
        for family, source in self.sources.items():
            if facts != (source.kind, source.router_id, source.asn):
                # Decisions that rested on the former session's identity are void.
                self.stale.drop(family)
                self._context.tables[family].doubt_routes_of(source)
                source.kind, source.router_id, source.asn = facts
            source.address, source.zone = address, zone
        self._reflect_as(is_ibgp=negotiated.is_ibgp)

    def _reflect_as(self, *, is_ibgp: bool) -> None:
        """Set what reflection asks of the sources; their routes follow what changed."""
        is_client = self.settings.is_client and is_ibgp
        cluster_id = self._context.numbers.cluster_id_of(self.settings)
        for family, source in self.sources.items():
            if (is_client, cluster_id) != (source.is_client, source.cluster_id):
                self._context.tables[family].doubt_routes_of(source)
                source.is_client, source.cluster_id = is_client, cluster_id

    def _make_intake(self, negotiated: Negotiated) -> Intake:
        context = attribute_context(self.in_force, negotiated)
        tables = {family: self.ribs_in[family] for family in negotiated.families}
        return Intake(tables, context, negotiated.add_path_receive)

    def _import_rules(self) -> ImportRules:
        return import_rules(
            self._context,
            self.in_force,
            self._local_addresses,
            is_ibgp=self.kind is SourceKind.IBGP,
        )

    def _join(self, family: Family, negotiated: Negotiated) -> None:
        context = self._export_context(family, negotiated)
        policy = self._context.policies.export_of(
            self.settings, is_ibgp=negotiated.is_ibgp
        )
        tables = self._context.tables[family]
        tables.join(self.sources[family], context, policy, self.driver.write)

    def _export_context(self, family: Family, negotiated: Negotiated) -> ExportContext:
        return export_context(
            self._context,
            self.in_force,
            self.sources[family],
            negotiated,
            family=family,
            local_addr=self.driver.session.local_addr,
        )

    # hot: per chunk
    def updates_received(self, bodies: list[bytes]) -> NotifyError | None:
        """Take UPDATEs in and pass their changes on; a fault on the way is raised then."""
        if self._intake is None:
            return None
        self.heard_at = self._context.loop.time()
        taken = self._intake.take(bodies)
        tables = self._context.tables
        for family, changes in taken.changes.items():
            if changes:
                tables[family].changed(changes)
        if taken.complaints or taken.ended:
            self._act_on(taken)
        octets = self.driver.session.counters.octets_received
        for rib in self.ribs_in.values():
            rib.octets_received = octets
            log_ignored(self._prefix, rib)
            if rib.is_sweep_due:
                self._context.jobs.add(iter(rib.sweep_unused()))
            if rib.loc_rib.is_sweep_due:
                self._context.jobs.add(iter(rib.loc_rib.sweep_unused()))
            if rib.can_let_in:
                tables[rib.loc_rib.family].changed(rib.let_in_blocked())
        if self._context.next_hops.is_due:
            self._context.jobs.add(self._context.next_hops.sweep_unused())
        if taken.fault is not None:  # the rest is lost: the session must end
            raise taken.fault
        return taken.error or self.limits.look(
            self.settings, self.ribs_in, is_dynamic=bool(self.range_name)
        )

    def advertised_limit(self, family: Family) -> AdvertisedLimit | None:
        """Return what counts the routes that the peer is advertised, if it has a limit."""
        tables = self._context.tables.get(family)
        group = None if tables is None else tables.group_of(self.sources[family])
        return None if group is None else group.limit

    def look_at_limits(self) -> None:
        """End the session if it has too many prefixes now."""
        if self.negotiated is None:
            return
        is_dynamic = bool(self.range_name)
        error = self.limits.look(self.settings, self.ribs_in, is_dynamic=is_dynamic)
        if error is not None:
            self.driver.notify(error)

    def _act_on(self, taken: Taken) -> None:
        self.malformed_count += len(taken.complaints)
        log_complaints(self._prefix, taken.complaints)
        for family in taken.ended:
            self.ended_families.add(family)
            self.stale.drop(family)
            self._owner.end_of_rib_received(self, family)

    def refresh_received(self, event: RefreshReceived) -> None:
        """Tell our routes again, or mark the peer's own refresh."""
        family = event.family
        rib = self.ribs_in.get(family)
        if rib is None:
            return
        if event.subtype is RefreshSubtype.BEGIN:
            self._refresh_begun(family, rib)
        elif event.subtype is RefreshSubtype.END:
            if self._refreshes.end(family):
                self._sweep(family)
        else:
            begin, end = marks_of(family, self.negotiated)
            self._context.tables[family].refresh(
                self.sources[family], before=begin, after=end
            )

    def _refresh_begun(self, family: Family, rib: AdjRibIn) -> None:
        """Expect all routes again, unless the first advertisement is still under way.

        RFC 7313 4: what a peer that restarts gracefully begins before its End-of-RIB does
        not count.
        """
        graceful = self.negotiated and self.negotiated.graceful_restart
        if graceful and family not in self.ended_families:
            _log.info("%s: ignored BoRR before End-of-RIB of %s", self._prefix, family)
            return
        self._make_stale(rib)
        self._refreshes.begin(family, rib.source.epoch)

    def _refresh_overdue(self, family: Family, epoch: int) -> None:
        _log.warning(
            "%s: no EoRR for %s in time; removing routes that were not re-advertised",
            self._prefix,
            family,
        )
        self._sweep(family, epoch)

    def _make_stale(self, rib: AdjRibIn) -> None:
        rib.make_stale()
        self._free_discarded(rib)

    def _free_discarded(self, rib: AdjRibIn) -> None:
        if rib.has_discarded:
            self._context.jobs.add(rib.free_discarded())

    def session_down(self, event: SessionDown) -> None:
        """Let go of the peer's routes, or keep them as stale for its restart time."""
        self._intake = None
        self._refreshes.close()
        negotiated, self.negotiated = self.negotiated, None

        def leave(family: Family) -> None:
            self._context.tables[family].leave(self.sources[family])
            self._make_stale(self.ribs_in[family])
            if family in event.kept_families and negotiated is not None:
                self._keep_stale(family, negotiated)
            else:
                self.stale.forget(family)
                self._sweep(family)

        each(leave, self.ribs_in, "family of a session that ended")
        _log.warning("%s: session down: %s", self._prefix, event.reason)
        if self.limits.disable(self.settings):
            # Else a neighbour of a range is forgotten, and comes at once.
            self.is_held = True
            self.driver.stop()
        self._owner.session_changed(self)

    def _keep_stale(self, family: Family, negotiated: Negotiated) -> None:
        seconds = self.stale.keep(
            family, negotiated, self.settings, self.sources[family].epoch
        )
        _log.info(
            "%s: graceful restart: keeping stale %s routes for %d s",
            self._prefix,
            family,
            seconds,
        )

    def _make_long_lived(self, family: Family) -> None:
        _log.info("%s: %s routes are now long-lived stale", self._prefix, family)
        self.run(family, self.ribs_in[family].make_long_lived())

    def _sweep_outlived(self, family: Family, epoch: int | None) -> None:
        self._sweep(family, epoch)
        if self.range_name and not self.stale and not self.driver.session.is_started:
            self._owner.forget_dynamic(self)  # it was kept for these routes alone

    def _sweep(self, family: Family, epoch: int | None = None) -> None:
        rib = self.ribs_in[family]
        if rib.accepted_count:
            source = self.sources[family]
            if epoch is None:
                tables = self._context.tables[family]
                tables.foresee(lambda rib: rib.foresee_sweep(source))
            self.run(family, rib.sweep_stale(epoch))

    def run(self, family: Family, slices: Iterator[list[Change]]) -> None:
        """Carry out long work on the tables; the first slice at once."""
        changed = self._context.tables[family].changed
        first = next(slices, None)
        if first is None:
            return
        changed(first)
        self._context.jobs.add(self._each(slices, changed))

    def _each(
        self, slices: Iterator[list[Change]], changed: Callable[[list[Change]], None]
    ) -> Iterator[None]:
        for changes in slices:
            changed(changes)
            yield
        self.look_at_limits()

    def state_changed(self, event: StateChanged) -> None:
        """Log the way down; ``established`` logs the way up."""
        level = logging.DEBUG
        if event.reason is not None and event.old is not State.ESTABLISHED:
            level = logging.INFO
        what = f"{event.old.name} -> {event.new.name}"
        if event.reason is not None:
            what += f": {event.reason}"
        # Thousands that cannot be connected to are one piece of news.
        extra = alike(what, burst=BURST)
        _log.log(level, "%s: %s", self._prefix, what, extra=extra)

    def peer_expired(self) -> None:
        """Forget a dynamic neighbour."""
        self._owner.forget_dynamic(self)

    def resume(self, lost: float, now: float) -> None:
        """Leave a standstill out of all that is measured (``bgpd.speaker.stall_recovery``)."""
        self.driver.resume(lost, now)
        self.stale.resume(lost)
        self._refreshes.resume(lost)

    def writing_paused(self) -> None:
        """Let update groups note changes for the peer: its socket is full."""
        for family in self.ribs_in:
            self._context.tables[family].writing_paused(self.sources[family])

    def writing_resumed(self) -> None:
        """Let update groups send the peer what they noted."""
        for family in self.ribs_in:
            self._context.tables[family].writing_resumed(self.sources[family])

    def rename(self, name: str) -> None:
        """Show the peer under another name."""
        for source in self.sources.values():
            source.name = name

    # -- what the speaker wants ---------------------------------------------------------

    def note_restart(self) -> None:
        """Say what the peer's next OPEN tells of our own restart.

        One that had a session with this very process has lost nothing by its start.
        """
        session, restart = self.driver.session, self._context.restart
        if session.counters.established_count:
            restart = replace(restart, preserved=frozenset(self._context.tables))
        session.restart = restart

    def enable(self) -> None:
        """Let a session come up, whatever kept it from that."""
        self.is_held = False
        self.limits.begin()
        self.driver.start()

    def restart(self, subcode: CeaseSubcode, text: str) -> None:
        """Restart the session; a peer that an operator disabled stays down."""
        is_wanted = self.driver.session.is_started or self.limits.is_disabled
        self.driver.stop(subcode=subcode, text=text)
        if is_wanted:
            self.enable()

    def import_again(self, *, is_review: bool = False) -> None:
        """Re-evaluate the peer's routes, stale ones included.

        Args:
            is_review: Only where what they are judged by is not what it was.
        """
        if not self.ribs_in:
            return
        rules = self._import_rules()
        for family, rib in self.ribs_in.items():
            if not (is_review and rules.equals(rib.rules)):
                self.run(family, rib.import_again(rules))
                self._free_discarded(rib)

    def decode_again(self) -> None:
        """Follow settings that count while UPDATEs are decoded.

        Routes that were filtered there are not kept: ask the peer for them, or reset the session.
        """
        negotiated = self.negotiated
        if negotiated is None:
            return
        self._intake = self._make_intake(negotiated)
        if not self.ask_refresh(negotiated.families):
            subcode = CeaseSubcode.OTHER_CONFIGURATION_CHANGE
            self.restart(subcode, "routes must be sent again")

    def devices_changed(self) -> None:
        """Re-evaluate the peer's routes if import policy matches their interface."""
        rules = (rib.rules for rib in self.ribs_in.values())
        if any(r.policy.needs_interface or r.is_on_this_machine for r in rules):
            self.import_again()

    def rejoin(self) -> None:
        """Join the update groups again: what the peer gets depends on other things now."""
        negotiated = self.negotiated
        if negotiated is None:
            return
        self._reflect_as(is_ibgp=negotiated.is_ibgp)
        for family in negotiated.families:
            context = self._export_context(family, negotiated)
            policy = self._context.policies.export_of(
                self.settings, is_ibgp=negotiated.is_ibgp
            )
            self._context.tables[family].move(self.sources[family], context, policy)

    def ask_refresh(self, families: Iterable[Family]) -> bool:
        """Ask the peer for its routes again; false where it cannot (RFC 2918)."""
        if self.negotiated is None or not self.negotiated.has_route_refresh:
            return False
        for family in families:
            if family in self.negotiated.families:
                self.driver.send_message(encode_route_refresh(RouteRefresh(family)))
        return True

    def forget_routes(self) -> None:
        """The peer is removed: its routes go, stale ones too."""
        for family, rib in self.ribs_in.items():
            self.stale.forget(family)
            self._context.tables[family].leave(self.sources[family])
            self._make_stale(rib)
            self._sweep(family)

    def let_go(self) -> None:
        """Drop references that refer back, so that the peer is freed when it is removed.

        A cycle of references would wait for a collection, and those are rare in a process
        with large tables. To be called last; nothing is advertised any more.
        """
        self.stale.let_go()
        self._refreshes.let_go()
        self.driver.abandon()

    def end(self, *, is_restart: bool, text: str) -> None:
        """End the session since the daemon ends.

        Args:
            is_restart: Say nothing where the peer keeps our routes (RFC 4724 4), or may
                keep them since an earlier session. Otherwise they must go at once, even
                where the peer keeps them over a NOTIFICATION (RFC 8538).
            text: For the peer's operator (RFC 9003).
        """
        may_stay = self.negotiated is None or are_ours_kept(self.negotiated)
        if not (is_restart and may_stay):
            subcode = CeaseSubcode.ADMINISTRATIVE_SHUTDOWN
            self.driver.stop(subcode=subcode, text=text, hard=not is_restart)
        self.driver.abandon()
