"""All neighbours of a speaker: configured ones, dynamic ones, and the ranges.

They come, change and go here. What a change costs a session was found before
(``bgpd.config.diff``); this carries it out.
"""

import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import TYPE_CHECKING

from bgpd.runtime.fault_isolation import each
from bgpd.session.negotiation import RestartState
from bgpd.session.peer import PeerSession
from bgpd.session.ranges import RangeTable
from bgpd.session.settings import ChangeCost, PeerSettings, RangeSettings
from bgpd.speaker import limit_changes
from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.gone_neighbours import GoneNeighbour, GoneNeighbours
from bgpd.speaker.import_context import decoding_of
from bgpd.speaker.neighbour_owners import NeighbourOwners
from bgpd.speaker.peer import Peer
from bgpd.speaker.session_observers import SessionObservers
from bgpd.speaker.shared_import_checks import SharedImportChecks
from bgpd.wire.errors import CeaseSubcode
from rib.family import Family

if TYPE_CHECKING:
    from bgpd.speaker.bfd_sessions import BfdSessions

_log = logging.getLogger(__name__)


class Neighbours:
    """Creates, changes and removes peers.

    Args:
        context: What they stand on.
        peers: By remote address; filled here, and read by all others.
        shared: Reviews all peers when a value that all are judged by may have changed.
        set_key: Demands a TCP MD5 key of an address or prefix; an empty one demands none.
        observers: Follow the sessions.
        seed: Of all jitter; ``None`` for the system's entropy.

    Attributes:
        sought_until: Neighbours of ranges that were up before our restart are connected to
            until then, on the loop's clock.
        gone: Neighbours of ranges that are no longer there.
        bfd: ``None`` while no peer has had BFD.
    """

    def __init__(
        self,
        context: SpeakerContext,
        peers: dict[str, Peer],
        shared: SharedImportChecks,
        set_key: Callable[[str, str], None],
        *,
        observers: SessionObservers,
        seed: int | None = None,
    ) -> None:
        self.hostname = socket.gethostname()
        self.sought_until = 0.0
        self.gone = GoneNeighbours()
        self._observers = observers
        self._context = context
        self._peers = peers
        self._shared = shared
        self._set_key = set_key
        self._owners = NeighbourOwners(context.numbers, set_key)
        self.bfd: BfdSessions | None = None
        self._rng = Random(seed)  # noqa: S311  # jitter, not secrets

    @property
    def now(self) -> float:
        """The loop's clock, seconds."""
        return self._context.loop.time()

    @property
    def peers(self) -> Mapping[str, Peer]:
        """All of them, by remote address."""
        return self._peers

    @property
    def ranges(self) -> RangeTable:
        """Ranges from which neighbours may connect, by name."""
        return self._owners.ranges

    @property
    def range_sizes(self) -> Counter[str]:
        """Neighbours of each range that has any."""
        return self._owners.sizes

    def templates(self) -> Iterator[PeerSettings]:
        """Yield the settings of all peers; dynamic ones use those of their range."""
        for peer in self._peers.values():
            if not peer.range_name:
                yield peer.settings
        for entry in self.ranges.values():
            yield entry.template

    # -- they come ----------------------------------------------------------------------

    def add(self, settings: PeerSettings) -> Peer:
        """Configure a neighbour and start its session."""
        peer = self.make(settings)
        if settings.password:
            self._set_key(settings.remote_addr, settings.password)
        self.begin(peer)
        return peer

    def begin(self, peer: Peer) -> None:
        """Start a neighbour's session, unless a drain keeps it down, or it waits for BFD."""
        if self._context.drains.is_shut(peer.settings.remote_addr):
            peer.is_held = True
        elif not peer.awaits_bfd:
            peer.driver.start()

    def make(
        self, settings: PeerSettings, range_name: str = "", sought_until: float = 0.0
    ) -> Peer:
        """Return a new neighbour whose session is not started yet.

        Args:
            settings: What it is.
            range_name: The range it belongs to; empty for a configured one.
            sought_until: See ``bgpd.session.connections``.
        """
        if not range_name:  # else its numbers are the range's: counted
            self._context.numbers.note(None, settings)
            self._shared.may_have_changed()
        session = PeerSession(
            settings,
            self._context.router_id,
            rng=self._rng,
            hostname=self.hostname,
            is_dynamic=bool(range_name),
            sought_until=sought_until,
            restart=self._context.restart,
        )
        peer = Peer(self._context, self, settings, session, range_name=range_name)
        self._peers[settings.remote_addr] = peer
        self._owners.count(range_name, 1)
        for observer in self._observers:
            observer.peer_added(peer)
        if settings.bfd is not None:
            self._follow_bfd(peer)
        return peer

    def set_range(self, settings: RangeSettings) -> None:
        """Accept dynamic neighbours from a prefix; existing ones are unaffected."""
        self._owners.set_range(settings)
        self._shared.may_have_changed()

    # -- they change --------------------------------------------------------------------

    def change(
        self,
        settings: PeerSettings,
        cost: ChangeCost,
        text: str = "",
        *,
        range_name: str | None = None,
    ) -> None:
        """Apply changed settings.

        Args:
            settings: The new ones; the address says whose.
            cost: What the change costs the session.
            text: For the peer's operator (RFC 9003), where the session is reset.
            range_name: The range that it belongs to from now on, empty for a configured
                peer; ``None`` for no change.
        """
        peer = self._peers[settings.remote_addr]
        before = peer.settings
        was_rekeyed = before.password != settings.password
        owner = peer.range_name if range_name is None else range_name
        self._owners.move(peer, settings, owner)
        self._shared.may_have_changed()
        peer.settings = peer.driver.settings = peer.driver.session.settings = settings
        for source in peer.sources.values():
            source.name = settings.name
        if was_rekeyed:
            peer.driver.rekey()
        if settings.bfd is not None or before.bfd is not None:
            self._follow_bfd(peer)
        if cost is ChangeCost.RESET:
            peer.restart(CeaseSubcode.OTHER_CONFIGURATION_CHANGE, text)
            return
        if cost is ChangeCost.REFRESH:
            peer.rejoin()
            peer.imports.reimport()
            if decoding_of(before) != decoding_of(settings):
                peer.decode_again()
        limit_changes.follow(peer, before)

    def set_restart(self, restart: RestartState) -> None:
        """Set what the next OPENs say about our own restart (RFC 4724 4.1)."""
        self._context.restart = restart
        each(Peer.note_restart, self._peers.values(), "restart state of a peer")

    def take_router_id(self) -> Iterator[None]:
        """Reset sessions whose OPEN had a former router ID, one a step."""
        number = self._context.router_id
        for peer in tuple(self._peers.values()):
            session = peer.driver.session
            if session.local_router_id != number == self._context.router_id:
                session.local_router_id = number
                subcode = CeaseSubcode.OTHER_CONFIGURATION_CHANGE
                peer.restart(subcode, "router id changed")
                yield

    def rejoin_all(self) -> Iterator[None]:
        """Re-advertise with the present addresses to each session; a peer each step."""
        for peer in tuple(self._peers.values()):
            if peer.negotiated is not None:
                peer.rejoin()
                yield

    # -- they go ------------------------------------------------------------------------

    def remove(self, address: str, text: str = "") -> None:
        """Deconfigure a neighbour: Cease/3, and its routes go."""
        peer = self._peers.pop(address)
        self._forget_bfd(peer)
        self._owners.remove(peer)
        peer.driver.stop(subcode=CeaseSubcode.PEER_DECONFIGURED, text=text, hard=True)
        peer.imports.forget()
        peer.let_go()
        self._shared.may_have_changed()

    def discard(self, address: str) -> None:
        """Remove a neighbour whose setup failed."""
        peer = self._peers.pop(address, None)
        if peer is not None:
            self._owners.remove(peer, has_key=False)
            self._forget_bfd(peer)
            peer.let_go()
            self._shared.may_have_changed()

    def remove_range(self, name: str) -> None:
        """Accept no more neighbours from a range.

        Those there are must be given to another one, or be removed
        (``peer_handover.follow_ranges``).
        """
        self._owners.remove_range(name)
        self._shared.may_have_changed()

    # -- BFD ----------------------------------------------------------------------------

    def close(self) -> None:
        """End what peers have beside their sessions."""
        if self.bfd is not None:
            self.bfd.close()

    def _follow_bfd(self, peer: Peer) -> None:
        if self.bfd is None:
            from bgpd.speaker.bfd_sessions import BfdSessions  # noqa: PLC0415  # few have it

            self.bfd = BfdSessions(self._context, self._peers)
        self.bfd.follow(peer)

    def _forget_bfd(self, peer: Peer) -> None:
        if self.bfd is not None:
            self.bfd.forget(peer.settings.remote_addr)

    # -- what a peer says of itself (``PeerOwner``) -------------------------------------

    def forget_dynamic(self, peer: Peer) -> None:
        """See ``PeerOwner``."""
        if peer.stale_family_count:
            return  # its routes wait for it; the timer comes back here
        if peer.is_held:
            return  # an operator shut it down, or resets it: that must be remembered
        peer.driver.abandon()
        if self._peers.get(peer.settings.remote_addr) is peer:
            self._note_gone(peer)
            del self._peers[peer.settings.remote_addr]
            self._owners.count(peer.range_name, -1)
            self._forget_bfd(peer)
            peer.imports.forget()
            peer.let_go()

    def _note_gone(self, peer: Peer) -> None:
        """Remember a dynamic neighbour that had a session, or was up before our restart."""
        session, settings, now = peer.driver.session, peer.settings, self.now
        counters = session.counters
        reason, at = counters.last_reset, counters.last_reset_at
        if reason is None and not session.was_up_before:
            return
        sessions = counters.established_count
        self.gone.note(
            GoneNeighbour(
                settings.remote_addr,
                peer.range_name,
                settings.remote_as,
                sessions,
                str(reason or ""),
                now if at is None else at,
            ),
            now,
        )

    def session_changed(self, peer: Peer) -> None:
        """See ``PeerOwner``."""
        for observer in self._observers:
            observer.session_changed(peer)

    def end_of_rib_received(self, peer: Peer, family: Family) -> None:
        """See ``PeerOwner``."""
        for observer in self._observers:
            observer.end_of_rib_received(peer, family)
