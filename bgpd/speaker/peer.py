"""One neighbour in the speaker: turns the events of its session into changes of the tables.

``PeerDriver`` has its sockets and session, ``PeerImports`` what it has sent, ``PeerExports``
what it is advertised. This module passes on the beginning and end of the session, and
decides whether the session stays up: limits, an operator's orders, changed settings.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from bgpd.capture.ends import Ends
from bgpd.net.driver import PeerDriver
from bgpd.runtime.log_fields import Names
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
from bgpd.session.settings import PeerSettings, peer_fields
from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.peer_exports import PeerExports
from bgpd.speaker.peer_imports import PeerImports
from bgpd.speaker.prefix_limits import PrefixLimits
from bgpd.wire.errors import CeaseSubcode, NotifyError
from bgpd.wire.route_refresh import (
    RefreshSubtype,
    RouteRefresh,
    encode_route_refresh,
)
from rib.adj_rib_in import AdjRibIn
from rib.family import Family
from rib.path import Source, SourceKind

_log = logging.getLogger(__name__)


# Theory
# ------
# A neighbour is more than its session: it is configured before there is one, and its routes
# may outlive it. So this object stands from the configuration's line to its removal, and
# sessions come and go beneath it:
#
#       PeerSettings --> Peer --owns--> PeerDriver --> PeerSession (RFC 4271 8)
#                         |  ^             |
#                         |  '--- events --'   Established, SessionDown, UPDATEs, refreshes
#                         +--> PeerImports     Adj-RIB-In, stale routes, refreshes received
#                         +--> PeerExports     update groups, what is withheld
#                         +--> PrefixLimits
#
# What makes it hard is that three parties may want an end at the same time: the peer
# (NOTIFICATION, a lost connection), we (a limit, a changed setting, an operator) and time (hold
# timer). The session decides that race (`bgpd.session`); here arrives exactly one
# `SessionDown`, which says whether routes stay.
#
# Invariants:
#
# * `negotiated` is set exactly while a session is established; what depends on a session
#   (tables, groups, capabilities) begins and ends with it.
# * One `Source` per family: the families of a peer become stale at different times, and a
#   decision names its source (`rib.path`).
# * Every change of the tables that a peer causes goes through PeerImports, so that limits,
#   staleness and what others are advertised see the same changes.
# * A removed peer drops all references to objects that refer to it (`let_go`): with tables of
#   millions, a reference cycle would wait long for the collector.
#
# Deliberately not here: which peers exist (`bgpd.speaker.neighbours`, `peer_changes`), sockets
# (`bgpd.net`), how routes are selected and packed.


class PeerOwner(Protocol):
    """The owner of all peers, which hears from one what concerns others (``Neighbours``)."""

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

    Attributes:
        sources: The peer as the tables know it, by family.
        negotiated: Of the session; ``None`` without one.
        is_held: An operator wants it remembered without a connection.
        awaits_bfd: It does not start before BFD is up (``bgpd.speaker.bfd_sessions``).
        imports: What the peer has sent.
        exports: What the peer is advertised.
        limits: How many prefixes it may send.
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
        self.negotiated: Negotiated | None = None
        self.is_held = self.awaits_bfd = False
        self.imports = PeerImports(context, session, self.sources, self)
        self.exports = PeerExports(context, self.driver, self.sources)
        self.limits = PrefixLimits()
        self._context = context
        self._owner = owner

    @property
    def state(self) -> State:
        """The session's state."""
        return self.driver.session.state

    @property
    def in_force(self) -> PeerSettings:
        """The settings as the session uses them: our AS may differ there."""
        return self.driver.session.offered

    @property
    def ribs_in(self) -> Mapping[Family, AdjRibIn]:
        """What the peer has sent, by family."""
        return self.imports.ribs

    @property
    def stale_family_count(self) -> int:
        """Families whose stale routes wait for the peer."""
        return len(self.imports.stale)

    # -- what the session says (``PeerHandler``) ----------------------------------------

    def established(self, event: Established) -> None:
        """Open the tables of the session's families, both ways."""
        negotiated = self.negotiated = event.negotiated
        self.note_restart()
        if self.exports.is_another(negotiated):
            for family in self.sources:
                self.imports.stale.drop(family)
        self.exports.describe(negotiated)
        self.limits.begin()
        connection, port = self.driver.connection, self.settings.port
        ends = None if connection is None else connection.ends(port)
        if ends is None:  # gone already, but not what it has sent
            local, remote = self.driver.session.local_addr, self.settings.remote_addr
            ends = Ends(local, 0, remote, port, is_outgoing=True)
        self.imports.errors.ends = ends
        self.imports.open(negotiated)
        self.exports.join(negotiated)
        _log.info(
            "%(peer)s (%(address)s): established with AS %(remote_as)d, hold time "
            "%(hold_time)d s, %(families)s",
            {
                "event": "session-up",
                **peer_fields(self.settings),
                "range": self.range_name,
                "remote_as": negotiated.peer_as,
                "hold_time": negotiated.hold_time,
                "families": Names(tuple(map(str, sorted(negotiated.families)))),
            },
        )
        self._owner.session_changed(self)

    # hot: per chunk
    def updates_received(self, bodies: list[bytes]) -> NotifyError | None:
        """Process UPDATEs and pass their changes on; then raise any internal error."""
        taken = self.imports.take(bodies)
        if taken is None:
            return None
        for family in taken.ended:
            self._owner.end_of_rib_received(self, family)
        if taken.fault is not None:  # the rest is lost: the session must end
            raise taken.fault
        return taken.error or self._exceeded()

    def _exceeded(self) -> NotifyError | None:
        is_dynamic = bool(self.range_name)
        return self.limits.look(self.settings, self.ribs_in, is_dynamic=is_dynamic)

    def refresh_received(self, event: RefreshReceived) -> None:
        """Advertise our routes again, or follow the peer's own refresh."""
        if event.family not in self.ribs_in:
            return
        if event.subtype in (RefreshSubtype.BEGIN, RefreshSubtype.END):
            self.imports.mark_refresh(event.family, event.subtype, self.negotiated)
        else:
            self.exports.refresh(event.family, self.negotiated)

    def session_down(self, event: SessionDown) -> None:
        """Remove the peer's routes, or keep them as stale for its restart time."""
        negotiated, self.negotiated = self.negotiated, None
        self.imports.close(event.kept_families, negotiated)
        sent = event.reason.notification  # or received
        _log.warning(
            "%(peer)s (%(address)s): session down: %(reason)s",
            {
                "event": "session-down",
                **peer_fields(self.settings),
                "range": self.range_name,
                "reason": event.reason,
                "cause": event.reason.kind.name.lower().replace("_", "-"),
                "code": None if sent is None else sent.code,
                "subcode": None if sent is None else sent.subcode,
            },
        )
        if self.limits.disable(self.settings):
            # Else a neighbour of a range is forgotten, and comes at once.
            self.is_held = True
            self.driver.stop()
        self._owner.session_changed(self)

    def state_changed(self, event: StateChanged) -> None:
        """Log the way down; ``established`` logs the way up."""
        has_failed = event.reason is not None and event.old is not State.ESTABLISHED
        _log.log(
            logging.INFO if has_failed else logging.DEBUG,
            "%(peer)s (%(address)s): %(old_state)s -> %(new_state)s"
            if event.reason is None
            else "%(peer)s (%(address)s): %(old_state)s -> %(new_state)s: %(reason)s",
            {
                "event": "attempt-failed" if has_failed else "state-changed",
                **peer_fields(self.settings),
                "range": self.range_name,
                "old_state": event.old.name,
                "new_state": event.new.name,
                "reason": event.reason,
            },
            # Thousands that cannot be connected to are one piece of news.
            extra=alike("old_state new_state reason", burst=BURST),
        )

    def peer_expired(self) -> None:
        """Forget a dynamic neighbour."""
        self._owner.forget_dynamic(self)

    def writing_paused(self) -> None:
        """Make update groups note changes for the peer: its socket is full."""
        self.exports.writing_paused(self.ribs_in)

    def writing_resumed(self) -> None:
        """Make update groups send the peer what they noted."""
        self.exports.writing_resumed(self.ribs_in)

    # -- what its routes say (``ImportsOwner``) -----------------------------------------

    def routes_changed(self) -> None:
        """End the session if it has too many prefixes now."""
        error = None if self.negotiated is None else self._exceeded()
        if error is not None:
            self.driver.notify(error)

    def stale_routes_swept(self) -> None:
        """Forget a dynamic neighbour that was kept only for these routes."""
        is_waiting = self.imports.stale or self.driver.session.is_started
        if self.range_name and not is_waiting:
            self._owner.forget_dynamic(self)

    # -- what the speaker wants ---------------------------------------------------------

    def resume(self, lost: float, now: float) -> None:
        """Leave a stall out of all measured times (``bgpd.speaker.stall_recovery``)."""
        self.driver.resume(lost, now)
        self.imports.resume(lost)

    def note_restart(self) -> None:
        """Set what the peer's next OPEN says about our own restart.

        One that had a session with this very process has lost nothing by its start.
        """
        session, restart = self.driver.session, self._context.restart
        if session.counters.established_count:
            restart = replace(restart, preserved=frozenset(self._context.tables))
        session.restart = restart

    def enable(self) -> None:
        """Let a session come up, whatever held it down."""
        self.is_held = False
        self.limits.begin()
        if not self.awaits_bfd:
            self.driver.start()

    def restart(self, subcode: CeaseSubcode, text: str) -> None:
        """Restart the session; a peer that an operator disabled stays down."""
        is_wanted = self.driver.session.is_started or self.limits.is_disabled
        is_wanted = is_wanted or self.awaits_bfd
        self.driver.stop(subcode=subcode, text=text)
        if is_wanted:
            self.enable()

    def decode_again(self) -> None:
        """Follow changed settings for decoding UPDATEs.

        Routes that were filtered there are not kept: ask the peer for them, or reset
        the session.
        """
        negotiated = self.negotiated
        if negotiated is None:
            return
        self.imports.decode_by(negotiated)
        if not self.ask_refresh(negotiated.families):
            subcode = CeaseSubcode.OTHER_CONFIGURATION_CHANGE
            self.restart(subcode, "routes must be sent again")

    def rejoin(self) -> None:
        """Join the update groups again: what the peer gets depends on other things now."""
        if self.negotiated is not None:
            self.exports.move(self.negotiated)

    def ask_refresh(self, families: Iterable[Family]) -> bool:
        """Ask the peer for its routes again; return false if it cannot (RFC 2918)."""
        if self.negotiated is None or not self.negotiated.has_route_refresh:
            return False
        for family in families:
            if family in self.negotiated.families:
                self.driver.send_message(encode_route_refresh(RouteRefresh(family)))
        return True

    def let_go(self) -> None:
        """Drop references that refer back, so that the peer is freed when it is removed.

        A cycle of references would wait for a collection, and those are rare in a process
        with large tables. To be called last; nothing is advertised any more.
        """
        self.imports.let_go()
        self.driver.abandon()

    def end(self, *, is_restart: bool, text: str) -> None:
        """End the session because the daemon stops.

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
