"""One neighbour as a sans-IO machine: at most one session out of several connections.

Three inputs, three drains: call an input, then drain ``events`` and arm one timer for
``next_deadline``. ``now`` is the monotonic clock, in seconds, everywhere.

    start, stop, notify             from above
    connection_made, receive_data,  from the sockets          +--> events()
    connect_failed, connection_lost                  machines-+
    handle_timer                    from the clock            +--> next_deadline()

A peer has one machine for the connection it opens itself, which persists, and one for each
connection that the peer opened: usually none or one, and a second only while a peer that
restarted knocks beside a session that is still thought to stand. Rules between machines:

* two connections that have seen an OPEN: the one opened by the side with the higher
  identifier stays, by the higher AS where these are equal (RFC 4271 6.8, RFC 6286 2.3);
* beside an established session a new one is turned away, unless graceful restart was agreed
  on: then the peer has restarted, the old session ends silently and its routes stay
  (RFC 4724 5). Ours: not within ``COLLISION_WINDOW`` of its establishment, when the second
  connection is more likely the leftover of a collision;
* a connection from the peer replaces its former one that did not get so far;
* while a session stands, our own attempts rest.

Damping: an orderly end of a stable session is followed by a new start at once; each
failure in a row doubles the time in Idle, where connections of the peer are refused too.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from random import Random
from types import MappingProxyType
from typing import Final

from bgpd.session.connection import Connection
from bgpd.session.counters import Counters
from bgpd.session.events import (
    CloseConnection,
    DownKind,
    DownReason,
    PeerExpired,
    RefreshReceived,
    Send,
    SessionDown,
    SessionEvent,
    StateChanged,
    UpdatesReceived,
)
from bgpd.session.fsm import Event, State
from bgpd.session.graceful import kept_families
from bgpd.session.negotiation import (
    Negotiated,
    RestartState,
    negotiate,
    offer,
    refused_capabilities,
)
from bgpd.session.settings import PeerSettings
from bgpd.session.timers import EXPIRY, STABLE_TIME, Timer, idle_hold_interval
from bgpd.wire.errors import CeaseSubcode, ErrorCode, NotifyError, OpenSubcode
from bgpd.wire.framing import MessageType
from bgpd.wire.notification import (
    Notification,
    cease,
    decode_notification,
    encode_notification,
    from_error,
)
from bgpd.wire.open import OpenMessage, decode_open
from bgpd.wire.route_refresh import RefreshSubtype, decode_route_refresh

COLLISION_WINDOW: Final = 5.0  # seconds

IDLE, ESTABLISHED = State.IDLE, State.ESTABLISHED  # bound once: read on the hot path
UPDATE, KEEPALIVE = int(MessageType.UPDATE), int(MessageType.KEEPALIVE)

_NO_FAILURE: Final = (
    DownKind.ADMIN_STOP,
    DownKind.COLLISION,
    DownKind.REPLACED,
    DownKind.SUPERSEDED,
)
"""Ends that say nothing about the peer's health."""


class PeerSession:
    """A configured or dynamic peer.

    Attributes:
        counters: For ``show peers``; kept over sessions.
        local_router_id: Our identifier, as an integer, in the next OPEN.
        restart: What the next OPEN says of our own restart (RFC 4724).
        is_dynamic: Born of a connection, gone with it; never connects itself.
    """

    def __init__(
        self,
        settings: PeerSettings,
        local_router_id: int,
        *,
        rng: Random,
        hostname: str = "",
        is_dynamic: bool = False,
        restart: RestartState | None = None,
    ) -> None:
        self.local_router_id = local_router_id
        self.restart = restart or RestartState()
        self.is_dynamic = is_dynamic
        self.counters = Counters()
        self._settings = settings
        self._rng = rng
        self._hostname = hostname
        self._outbox: list[SessionEvent] = []
        self._outgoing = self._new_connection(is_outgoing=True)
        self._incoming: list[Connection] = []
        self._established: Connection | None = None
        self._shown = IDLE
        self._is_started = False
        self._idle_until: float | None = None
        self._failures = 0  # in a row
        self._left_out: frozenset[int] = frozenset()  # capabilities the peer refused

    # -- what others may ask ------------------------------------------------------------

    @property
    def state(self) -> State:
        """The state of the connection that got farthest."""
        return self._shown

    @property
    def is_started(self) -> bool:
        """Whether a session is wanted."""
        return self._is_started

    @property
    def negotiated(self) -> Negotiated | None:
        """What the established session agreed on; ``None`` when there is none."""
        return self._established.negotiated if self._established else None

    @property
    def conn_id(self) -> int | None:
        """The connection of the established session."""
        return self._established.conn_id if self._established else None

    @property
    def local_addr(self) -> str:
        """Our address on the established session; empty without."""
        return self._established.local_addr if self._established else ""

    @property
    def settings(self) -> PeerSettings:
        """What the peer is configured to be; new ones apply from the next event on.

        Whether the session must be reset for them is the caller's to decide.
        """
        return self._settings

    @settings.setter
    def settings(self, settings: PeerSettings) -> None:
        self._settings = settings
        for connection in self._connections():
            connection.settings = settings

    # -- drains -------------------------------------------------------------------------

    def events(self) -> list[SessionEvent]:
        """Return what happened since the last call, in order."""
        drained = self._outbox[:]
        self._outbox.clear()
        return drained

    def next_deadline(self) -> float | None:
        """Return when ``handle_timer`` is due, in monotonic seconds; ``None`` for never."""
        deadlines = [
            deadline
            for connection in self._connections()
            if (deadline := connection.next_deadline()) is not None
        ]
        if self._idle_until is not None:
            deadlines.append(self._idle_until)
        return min(deadlines, default=None)

    # -- inputs from above --------------------------------------------------------------

    def start(self, now: float) -> None:
        """Want a session; no effect when one is wanted already."""
        if self._is_started:
            return
        self._is_started = True
        self._failures = 0
        self._left_out = frozenset()
        self._outgoing.reset_backoff()
        self._start(Event.MANUAL_START, Event.MANUAL_START_PASSIVE, now)

    def stop(
        self,
        now: float,
        subcode: CeaseSubcode = CeaseSubcode.ADMINISTRATIVE_SHUTDOWN,
        text: str = "",
        *,
        hard: bool = False,
    ) -> None:
        """Want no session: a Cease goes out where an OPEN did.

        Args:
            now: Monotonic seconds.
            subcode: Of the Cease.
            text: For the peer's operator (RFC 9003).
            hard: The peer shall forget our routes at once (RFC 8538).
        """
        self._is_started = False
        self._idle_until = None
        for connection in list(self._connections()):
            is_hard = hard and _keeps_on_notification(connection)
            notification = cease(subcode, text, is_hard=is_hard)
            reason = DownReason(DownKind.ADMIN_STOP, "", notification)
            self._dispatch(connection, Event.MANUAL_STOP, now, reason)
        self._settle(now)

    def notify(self, error: NotifyError, now: float) -> None:
        """End the established session by ``error``: an UPDATE was bad, or a limit is hit.

        A Cease for too many prefixes is a hard reset where RFC 8538 was agreed on: the
        routes must not stay.
        """
        connection = self._established
        if connection is None:
            return
        event = Event.UPDATE_MSG_ERR
        notification = from_error(error)
        if error.code == ErrorCode.CEASE:
            event = Event.AUTOMATIC_STOP
            is_limit = error.subcode == CeaseSubcode.MAX_PREFIXES_REACHED
            if is_limit and _keeps_on_notification(connection):
                inner = bytes([notification.code, notification.subcode])
                notification = Notification(
                    ErrorCode.CEASE, CeaseSubcode.HARD_RESET, inner + error.data
                )
        reason = DownReason(DownKind.NOTIFICATION_SENT, error.text, notification)
        self._dispatch(connection, event, now, reason)
        self._settle(now)

    def note_sent(self, now: float, update_count: int = 1) -> None:
        """The driver wrote UPDATEs: the next KEEPALIVE may wait (RFC 4271 4.4)."""
        if self._established is not None:
            self.counters.sent[UPDATE] += update_count
            self._established.restart_keepalive(now)

    def note_send_blocked(self, since: float) -> None:
        """The peer takes nothing since then: the send hold timer runs (RFC 9687)."""
        if self._established is not None:
            self._established.start_send_hold(since)

    def note_send_progress(self, now: float, *, is_blocked: bool = False) -> None:
        """The peer took something.

        Args:
            now: Monotonic seconds.
            is_blocked: Octets still wait, so that the timer begins anew.
        """
        if self._established is not None:
            self._established.stop_send_hold()
            if is_blocked:
                self._established.start_send_hold(now)

    # -- inputs from sockets and clock --------------------------------------------------

    def connection_made(
        self,
        conn_id: int,
        local_addr: str,
        remote_addr: str,
        now: float,
        *,
        is_outgoing: bool,
    ) -> None:
        """A TCP connection stands: ours (after ``Connect``), or one the peer opened."""
        if is_outgoing:
            connection = self._outgoing
            if connection.state is not State.CONNECT or connection.conn_id is not None:
                self._outbox.append(CloseConnection(conn_id))  # no longer wanted
                return
            event = Event.TCP_CR_ACKED
        else:
            if not self._is_started or self._shown is IDLE:
                self._refuse(conn_id)
                return
            for former in self._incoming[:]:
                if former.state is not ESTABLISHED:
                    self._collide(former, now)
            connection = self._new_connection(is_outgoing=False)
            self._incoming.append(connection)
            self._dispatch(connection, Event.AUTOMATIC_START_PASSIVE, now)
            event = Event.TCP_CONNECTION_CONFIRMED
        connection.attach(conn_id, local_addr, remote_addr, self._offer())
        if self._settings.delay_open_time:
            event = Event.TCP_CONNECTED_DELAY_OPEN
        self._dispatch(connection, event, now)
        self._settle(now)

    def connect_failed(self, reason: str, now: float) -> None:
        """The attempt asked for by ``Connect`` failed; a late answer has no effect."""
        connection = self._outgoing
        if connection.state is State.CONNECT and connection.conn_id is None:
            connection.lose()
            cause = DownReason(DownKind.CONNECT_FAILED, reason)
            self._dispatch(connection, Event.TCP_CONNECTION_FAILS, now, cause)
            self._settle(now)

    def connection_lost(self, conn_id: int, reason: str, now: float) -> None:
        """TCP ended, by the peer or by an error; unknown connections are ignored."""
        connection = self._find(conn_id)
        if connection is not None:
            connection.lose()
            cause = DownReason(DownKind.CONNECTION_LOST, reason)
            self._dispatch(connection, Event.TCP_CONNECTION_FAILS, now, cause)
            self._settle(now)

    def handle_timer(self, now: float) -> None:
        """Do what is due."""
        for connection in list(self._connections()):
            while (timer := connection.due(now)) is not None:
                self._dispatch(connection, EXPIRY[timer], now)
        if self._idle_until is not None and self._idle_until <= now:
            self._idle_until = None
            self._start(Event.AUTOMATIC_START, Event.AUTOMATIC_START_PASSIVE, now)
        self._settle(now)

    # hot: per chunk
    def receive_data(self, conn_id: int, data: bytes, now: float) -> None:
        """Take octets of a connection; those of one that was dropped are ignored."""
        connection = self._find(conn_id)
        if connection is None:
            return
        self.counters.octets_received += len(data)
        messages = connection.framer.feed(data)
        at, end = 0, len(messages)
        while at < end:
            if connection.state is ESTABLISHED:
                at = self._take_updates(connection, messages, at, now)
                if at == end:
                    break
            kind, body = messages[at]
            at += 1
            self.counters.received[kind] += 1
            _TAKE[kind](self, connection, body, now)
            if connection.conn_id != conn_id:
                break  # it was dropped, what follows is void
        error = connection.framer.error
        if error is not None:  # a dropped connection has a new framer, without error
            self._fail(connection, Event.BGP_HEADER_ERR, error, now)
        self._settle(now)

    # -- messages -----------------------------------------------------------------------

    # hot: per message
    def _take_updates(
        self,
        connection: Connection,
        messages: list[tuple[int, bytes]],
        start: int,
        now: float,
    ) -> int:
        """Deliver the run of UPDATEs and KEEPALIVEs from ``start``; return its end.

        The cell of the table is the same for each of them, so one look at it is enough.
        """
        bodies: list[bytes] = []
        append = bodies.append
        at = start
        for kind, body in islice(messages, start, None):
            if kind == UPDATE:
                append(body)
            elif kind != KEEPALIVE:
                break
            at += 1
        if bodies:
            self.counters.received[UPDATE] += len(bodies)
            self._outbox.append(UpdatesReceived(bodies))
            connection.dispatch(Event.UPDATE_MSG, now)
        elif at > start:
            connection.dispatch(Event.KEEP_ALIVE_MSG, now)
        self.counters.received[KEEPALIVE] += at - start - len(bodies)
        return at

    def _take_open(self, connection: Connection, body: bytes, now: float) -> None:
        is_delayed = Timer.DELAY_OPEN in connection.timers
        if connection.offer is None or (
            connection.state is not State.OPEN_SENT and not is_delayed
        ):
            self._dispatch(connection, Event.BGP_OPEN, now)  # unexpected there
            return
        try:
            peer_open = decode_open(body)
            negotiated = negotiate(self._settings, connection.offer, peer_open)
        except NotifyError as error:
            self._fail(connection, Event.BGP_OPEN_MSG_ERR, error, now)
            return
        if not self._wins_collision(connection, peer_open, now):
            return
        connection.peer_open = peer_open
        connection.negotiated = negotiated
        event = Event.BGP_OPEN
        if is_delayed:
            event = Event.BGP_OPEN_WITH_DELAY_OPEN_TIMER
        self._dispatch(connection, event, now)

    def _take_unbatched(self, connection: Connection, _body: bytes, now: float) -> None:
        self._dispatch(connection, Event.UPDATE_MSG, now)  # only outside Established

    def _take_keepalive(self, connection: Connection, _body: bytes, now: float) -> None:
        self._dispatch(connection, Event.KEEP_ALIVE_MSG, now)

    def _take_notification(
        self, connection: Connection, body: bytes, now: float
    ) -> None:
        notification = decode_notification(body)
        kind = (notification.code, notification.subcode)
        event = Event.NOTIF_MSG
        if kind == (ErrorCode.OPEN, OpenSubcode.UNSUPPORTED_VERSION_NUMBER):
            event = Event.NOTIF_MSG_VER_ERR
        elif (
            kind == (ErrorCode.CEASE, CeaseSubcode.CONNECTION_REJECTED)
            and connection.state is State.OPEN_SENT
        ):
            # The peer rests in Idle and says so instead of just closing. Resting
            # ourselves would let both miss each other for long: wait in Active.
            event = Event.TCP_CONNECTION_FAILS
        reason = DownReason(DownKind.NOTIFICATION_RECEIVED, "", notification)
        self._dispatch(connection, event, now, reason)

    def _take_refresh(self, connection: Connection, body: bytes, now: float) -> None:
        self._dispatch(connection, Event.ROUTE_REFRESH_MSG, now)
        negotiated = connection.negotiated
        if connection.state is not ESTABLISHED or negotiated is None:
            return
        has_enhanced = negotiated.has_enhanced_refresh
        try:
            message = decode_route_refresh(body, has_enhanced=has_enhanced)
        except NotifyError as error:
            self._fail(connection, Event.ROUTE_REFRESH_MSG_ERR, error, now)
            return
        if message is None or message.family not in negotiated.families:
            return
        if has_enhanced or message.subtype is RefreshSubtype.REQUEST:
            self._outbox.append(RefreshReceived(message.family, message.subtype))

    # -- between the machines -----------------------------------------------------------

    def _connections(self) -> Iterator[Connection]:
        return chain((self._outgoing,), self._incoming)

    def _new_connection(self, *, is_outgoing: bool) -> Connection:
        return Connection(
            self._settings,
            self._outbox,
            self.counters,
            self._rng,
            is_outgoing=is_outgoing,
        )

    def _find(self, conn_id: int) -> Connection | None:
        for connection in self._connections():
            if connection.conn_id == conn_id:
                return connection
        return None

    def _offer(self) -> OpenMessage:
        return offer(
            self._settings,
            self.local_router_id,
            restart=self.restart,
            hostname=self._hostname,
            left_out=self._left_out,
        )

    def _start(self, active: Event, passive: Event, now: float) -> None:
        is_passive = self._settings.is_passive or self.is_dynamic
        self._dispatch(self._outgoing, passive if is_passive else active, now)

    def _refuse(self, conn_id: int) -> None:
        self.counters.refused += 1
        octets = encode_notification(cease(CeaseSubcode.CONNECTION_REJECTED))
        self._outbox.extend((Send(conn_id, octets), CloseConnection(conn_id)))

    def _fail(
        self, connection: Connection, event: Event, error: NotifyError, now: float
    ) -> None:
        reason = DownReason(DownKind.NOTIFICATION_SENT, error.text, from_error(error))
        self._dispatch(connection, event, now, reason)

    def _collide(self, loser: Connection, now: float) -> None:
        reason = DownReason(DownKind.COLLISION)
        self._dispatch(loser, Event.OPEN_COLLISION_DUMP, now, reason)

    def _wins_collision(
        self, connection: Connection, peer_open: OpenMessage, now: float
    ) -> bool:
        """Drop what loses to ``connection``, or ``connection`` itself: then return False."""
        for other in list(self._connections()):
            if other is connection:
                continue
            if other.state is ESTABLISHED:
                if not _has_restarted(other, now):
                    self._collide(connection, now)
                    return False
                reason = DownReason(DownKind.REPLACED)
                self._dispatch(other, Event.CONNECTION_REPLACED, now, reason)
            elif other.state is State.OPEN_CONFIRM:
                ours = (self.local_router_id, self._settings.local_as)
                theirs = (peer_open.router_id, peer_open.asn)
                if connection.is_outgoing != (ours > theirs):
                    self._collide(connection, now)
                    return False
                self._collide(other, now)
        return True

    def _dispatch(
        self,
        connection: Connection,
        event: Event,
        now: float,
        reason: DownReason | None = None,
    ) -> None:
        """Feed one machine, and tell what became of it."""
        old, negotiated = connection.state, connection.negotiated
        connection.dispatch(event, now, reason)
        new = connection.state
        if new is old:
            return
        ended = None
        if new is ESTABLISHED:
            self._established = connection
            self.counters.established_count += 1
            self.counters.established_since = now
        elif new is IDLE or connection.reason is not None:
            ended = connection.reason or DownReason(DownKind.UNEXPECTED_MESSAGE)
            self._note_end(connection, old, ended, now)
        if old is ESTABLISHED and ended is not None and negotiated is not None:
            self._established = None
            self.counters.flaps += 1
            self.counters.established_since = None
            kept = kept_families(negotiated, ended)
            self._outbox.append(SessionDown(ended, kept))
        self._show(ended)

    def _note_end(
        self, connection: Connection, old: State, reason: DownReason, now: float
    ) -> None:
        if reason.kind is DownKind.SUPERSEDED:
            return
        self.counters.last_down = reason
        self.counters.last_down_at = now
        is_retry = self._learn_refusal(old, reason)
        if connection.state is not IDLE or is_retry or reason.kind in _NO_FAILURE:
            return
        is_cease = _is_cease(reason)
        if old is ESTABLISHED and now - connection.established_at >= STABLE_TIME:
            self._failures = 0
            if is_cease or reason.kind is DownKind.CONNECTION_LOST:
                return
        elif is_cease and _is_collision(reason):
            return
        self._failures += 1

    def _learn_refusal(self, old: State, reason: DownReason) -> bool:
        """Leave out next time what the peer cannot take; return whether that is new.

        Once only: an attempt that failed in spite of it is followed by a whole offer.
        """
        if old < State.OPEN_SENT or reason.kind in _NO_FAILURE:
            return False
        before, self._left_out = self._left_out, frozenset()
        is_opening = old in (State.OPEN_SENT, State.OPEN_CONFIRM)
        if (
            is_opening
            and not before
            and reason.kind is DownKind.NOTIFICATION_RECEIVED
            and reason.notification is not None
        ):
            self._left_out = refused_capabilities(reason.notification)
        return bool(self._left_out)

    def _show(self, reason: DownReason | None) -> None:
        state = max(connection.state for connection in self._connections())
        if state is not self._shown:
            self._outbox.append(StateChanged(self._shown, state, reason))
            self._shown = state

    def _settle(self, now: float) -> None:
        """Restore what holds between inputs: see the module's rules."""
        gone = [c for c in self._incoming if c.conn_id is None]
        if gone:
            self._incoming = [c for c in self._incoming if c.conn_id is not None]
            self._show(gone[-1].reason)
        outgoing = self._outgoing
        if self._established is not None:
            if outgoing.conn_id is None and outgoing.state is not IDLE:
                reason = DownReason(DownKind.SUPERSEDED)
                self._dispatch(outgoing, Event.AUTOMATIC_STOP, now, reason)
        elif self._is_started and not self._incoming:
            if self.is_dynamic:
                self._expire_dynamic(now)
            elif outgoing.state is IDLE and self._idle_until is None:
                interval = idle_hold_interval(self._failures, self._rng)
                self._idle_until = now + interval

    def _expire_dynamic(self, now: float) -> None:
        self._is_started = False
        reason = DownReason(DownKind.SUPERSEDED)
        self._dispatch(self._outgoing, Event.AUTOMATIC_STOP, now, reason)
        self._outbox.append(PeerExpired())


def _keeps_on_notification(connection: Connection) -> bool:
    negotiated = connection.negotiated
    return negotiated is not None and negotiated.has_notification_restart


def _has_restarted(established: Connection, now: float) -> bool:
    """Whether a new connection means that the peer of ``established`` restarted."""
    negotiated = established.negotiated
    graceful = negotiated.graceful_restart if negotiated is not None else None
    is_settled = now - established.established_at >= COLLISION_WINDOW
    return graceful is not None and bool(graceful.families) and is_settled


def _is_cease(reason: DownReason) -> bool:
    notification = reason.notification
    return (
        reason.kind is DownKind.NOTIFICATION_RECEIVED
        and notification is not None
        and notification.code == ErrorCode.CEASE
    )


def _is_collision(reason: DownReason) -> bool:
    notification = reason.notification
    return (
        notification is not None
        and notification.subcode == CeaseSubcode.CONNECTION_COLLISION_RESOLUTION
    )


_TAKE: Final[Mapping[int, Callable[[PeerSession, Connection, bytes, float], None]]] = (
    MappingProxyType(
        {
            MessageType.OPEN: PeerSession._take_open,
            MessageType.UPDATE: PeerSession._take_unbatched,
            MessageType.NOTIFICATION: PeerSession._take_notification,
            MessageType.KEEPALIVE: PeerSession._take_keepalive,
            MessageType.ROUTE_REFRESH: PeerSession._take_refresh,
        }
    )
)
"""Who takes each type of message; the framer lets no other type through."""
