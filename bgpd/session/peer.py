"""One neighbour as a sans-IO machine: at most one session out of several connections.

Three inputs, three drains: call an input, then drain ``events`` and arm one timer for
``next_deadline``. ``now`` is the monotonic clock, in seconds, everywhere.

    start, stop, notify             from above
    connection_made, receive_data,  from the sockets          +--> events()
    connect_failed, connection_lost                  machines-+
    handle_timer                    from the clock            +--> next_deadline()

Rules between the peer's connections are in ``connections``, what a machine does in ``fsm``.
"""

from collections.abc import Callable, Mapping
from itertools import islice, takewhile
from random import Random
from types import MappingProxyType
from typing import Final

from bgpd.session.connection_fsm import USUAL, Connection
from bgpd.session.connections import COLLISION_WAIT, Connections, Waiting
from bgpd.session.endings import ending_by, ending_of
from bgpd.session.events import (
    CloseConnection,
    DownKind,
    DownReason,
    Send,
    SessionEvent,
    UpdatesReceived,
)
from bgpd.session.facts import SessionFacts
from bgpd.session.fsm import Event, State
from bgpd.session.negotiation import RestartState, negotiate, offer
from bgpd.session.refresh import refresh_of
from bgpd.session.rejected_options import under
from bgpd.session.settings import PeerSettings
from bgpd.session.timers import EXPIRY, UNREAD_WAIT, Timer
from bgpd.wire.errors import CeaseSubcode, NotifyError
from bgpd.wire.framing import MessageType
from bgpd.wire.notification import (
    cease,
    decode_notification,
    encode_notification,
    from_error,
)
from bgpd.wire.open import OpenMessage, decode_open

IDLE, ESTABLISHED = State.IDLE, State.ESTABLISHED  # bound once: read on the hot path
UPDATE = int(MessageType.UPDATE)
KEEPALIVE = int(MessageType.KEEPALIVE)


class PeerSession(SessionFacts):
    """A configured or dynamic peer.

    Attributes:
        counters: For ``show peers``; kept over sessions.
        local_router_id: Our identifier, as an integer, in the next OPEN.
        restart: What the next OPEN says of our own restart (RFC 4724).
    """

    def __init__(
        self,
        settings: PeerSettings,
        local_router_id: int,
        *,
        rng: Random,
        hostname: str = "",
        is_dynamic: bool = False,
        sought_until: float = 0.0,
        restart: RestartState | None = None,
    ) -> None:
        self.local_router_id = local_router_id
        self.restart = restart or RestartState()
        self._hostname = hostname
        super().__init__(
            Connections(settings, rng, is_dynamic=is_dynamic, sought_until=sought_until)
        )
        self._outbox = self._connections.outbox
        self.counters = self._connections.counters

    # -- drains -------------------------------------------------------------------------

    def events(self) -> list[SessionEvent]:
        """Return the events since the last call, in order."""
        drained = self._outbox[:]
        self._outbox.clear()
        return drained

    def next_deadline(self) -> float | None:
        """Return when ``handle_timer`` is due, in monotonic seconds; ``None`` for never."""
        return self._connections.next_deadline()

    # -- inputs from above --------------------------------------------------------------

    def start(self, now: float) -> None:
        """Start the session; no effect if it is started."""
        if self._connections.is_started:
            return
        self._connections.is_started = True
        self._connections.reset_back_off()
        self._connections.start(now, delay=self.settings.connect_delay_time)

    def stop(
        self,
        now: float,
        subcode: CeaseSubcode = CeaseSubcode.ADMINISTRATIVE_SHUTDOWN,
        text: str = "",
        *,
        hard: bool = False,
    ) -> None:
        """Stop the session; send a Cease if we have sent an OPEN.

        Args:
            now: Monotonic seconds.
            subcode: Of the Cease.
            text: For the peer's operator (RFC 9003).
            hard: The peer must drop our routes at once (RFC 8538).
        """
        self._connections.is_started = False
        self._connections.idle_until = None
        for connection in list(self._connections.all()):
            is_hard = hard and connection.keeps_on_notification
            notification = cease(subcode, text, is_hard=is_hard)
            reason = DownReason(DownKind.ADMIN_STOP, "", notification)
            self._connections.dispatch(connection, Event.MANUAL_STOP, now, reason)
        self._settle(now)

    def try_afresh(self, now: float) -> None:
        """Forget failures and try at once: new settings may be the cure."""
        self._connections.try_afresh(now)

    def notify(self, error: NotifyError, now: float) -> None:
        """End the established session with ``error``: an UPDATE is malformed, or a limit exceeded."""
        connection = self._connections.established
        if connection is None:
            return
        keeps = connection.keeps_on_notification
        event, notification = ending_by(error, keeps=keeps)
        reason = DownReason(DownKind.NOTIFICATION_SENT, error.text, notification)
        self._connections.dispatch(connection, event, now, reason)
        self._connections.rest(error.rest_time, now)
        self._settle(now)

    def note_sent(self, now: float) -> None:
        """The driver wrote messages: the next KEEPALIVE may wait (RFC 4271 4.4)."""
        if self._connections.established is not None:
            self._connections.established.restart_keepalive(now)

    def note_send_blocked(self, since: float) -> None:
        """Start the send hold timer: the peer reads nothing since then (RFC 9687)."""
        if self._connections.established is not None:
            self._connections.established.start_send_hold(since)

    def note_send_progress(self, now: float, *, is_blocked: bool = False) -> None:
        """The peer read something; if octets still wait, the timer restarts."""
        if self._connections.established is not None:
            self._connections.established.stop_send_hold()
            if is_blocked:
                self._connections.established.start_send_hold(now)

    # -- inputs from sockets and clock --------------------------------------------------

    def connection_made(
        self,
        conn_id: int,
        local_addr: str,
        remote_addr: str,
        now: float,
        *,
        is_outgoing: bool,
        key_number: int = 0,
    ) -> None:
        """Report a new TCP connection: ours (after ``Connect``) or the peer's.

        ``key_number`` tells which of the peer's MD5 keys signed it, counted by changes.
        """
        if is_outgoing:
            connection = self._connections.outgoing
            if not connection.is_wanted or self._connections.has_heard_peer:
                self._outbox.append(CloseConnection(conn_id))  # no longer wanted
                return
            event = Event.TCP_CR_ACKED
        else:
            if not self._connections.is_started or self._connections.state is IDLE:
                self._refuse(conn_id, now)
                return
            connection = self._connections.add_incoming(now)
            event = Event.TCP_CONNECTION_CONFIRMED
        connection.attach(conn_id, local_addr, remote_addr, self._offer(), key_number)
        if self.settings.delay_open_time:
            event = Event.TCP_CONNECTED_DELAY_OPEN
        self._connections.dispatch(connection, event, now)
        self._settle(now)

    def connect_failed(self, reason: str, now: float) -> None:
        """Report that the attempt of ``Connect`` failed; a late answer has no effect."""
        connection = self._connections.outgoing
        if connection.is_wanted:
            connection.lose()
            cause = DownReason(DownKind.CONNECT_FAILED, reason)
            self._connections.dispatch(
                connection, Event.TCP_CONNECTION_FAILS, now, cause
            )
            self._settle(now)

    def connection_lost(self, conn_id: int, reason: str, now: float) -> None:
        """Report the end of a TCP connection; unknown connections are ignored."""
        connection = self._connections.find(conn_id)
        if connection is not None:
            connection.lose()
            cause = DownReason(DownKind.CONNECTION_LOST, reason)
            self._connections.dispatch(
                connection, Event.TCP_CONNECTION_FAILS, now, cause
            )
            self._settle(now)

    def must_listen_first(self, now: float) -> bool:
        """Whether something is due that unread octets of the peer would postpone."""
        return self._connections.judges_silence(now)

    def handle_timer(self, now: float, *, has_unread: bool = False) -> None:
        """Do what is due.

        Args:
            now: Monotonic seconds.
            has_unread: Octets of the peer, or the end of a connection, wait to be
                received. What has arrived counts before any timer: no silence is judged,
                for ``UNREAD_WAIT`` more seconds.
        """
        if has_unread:
            self._connections.put_off_silence(now + UNREAD_WAIT)
        for connection in list(self._connections.all()):
            while (timer := connection.due(now)) is not None:
                self._connections.dispatch(connection, EXPIRY[timer], now)
        if (
            self._connections.idle_until is not None
            and self._connections.idle_until <= now
        ):
            self._connections.idle_until = None
            self._connections.start(now, is_automatic=True)
        self._settle(now)

    def resume(self, lost: float, now: float) -> None:
        """Go on after the process stalled: we did not listen, so no silence counts.

        The peer's own hold timer ran on meanwhile: a KEEPALIVE is due at once.

        Args:
            lost: Seconds by which the clock went on; none after a machine's sleep.
            now: Monotonic seconds.
        """
        self._connections.resume(lost, now)

    def change_key(self, now: float) -> None:
        """Restart connections that are not established: the peer's MD5 key has changed."""
        self._connections.change_key(now)
        self._settle(now)

    def say_alive(self, now: float) -> None:
        """Make a KEEPALIVE due at once, if the session has any (RFC 4271 4.4)."""
        connection = self._connections.established
        if connection is not None and Timer.KEEPALIVE in connection.timers:
            connection.timers[Timer.KEEPALIVE] = now

    def try_now(self, now: float) -> bool:
        """Connect at once if we wait for the peer: its route may be back."""
        return self._connections.try_now(now)

    def receive_data(self, conn_id: int, data: bytes, now: float) -> None:
        """Process octets of a connection; ignore those of a dropped one."""
        connection = self._connections.find(conn_id)
        if connection is None:
            return
        self.counters.octets_received += len(data)
        messages = connection.framer.feed(data)
        if self.heard is not None:
            self.heard.extend(messages)
        self._receive(connection, messages, now)

    # hot: per chunk
    def receive_updates(
        self, conn_id: int, data: bytes, now: float
    ) -> list[bytes] | None:
        """Process octets as ``receive_data`` does, by the fast path if possible.

        Returns:
            The bodies of UPDATEs, where the session is established and nothing came but
            these and KEEPALIVEs: no event follows, and no deadline is earlier than it was.
            ``None`` for all else, of which the events tell.
        """
        connection = self._connections.established
        if connection is None or connection.conn_id != conn_id:
            self.receive_data(conn_id, data, now)
            return None
        self.counters.octets_received += len(data)
        messages = connection.framer.feed(data)
        if self.heard is not None:
            self.heard.extend(messages)
        bodies = None
        if connection.framer.error is None:
            bodies = connection.take_usual(messages, now)
        if bodies is None:
            self._receive(connection, messages, now)
        else:
            received = self.counters.received
            received[UPDATE] += len(bodies)
            received[KEEPALIVE] += len(messages) - len(bodies)
        return bodies

    def _receive(
        self, connection: Connection, messages: list[tuple[int, bytes]], now: float
    ) -> None:
        waiting = self._connections.waiting
        if waiting is not None and waiting.conn_id == connection.conn_id:
            self._wait_with(waiting, messages)
        else:
            self._take(connection, messages, now)
        error = connection.framer.error
        if error is not None:  # a dropped connection has a new framer, without error
            self._fail(connection, Event.BGP_HEADER_ERR, error, now)
        self._settle(now)

    # -- messages -----------------------------------------------------------------------

    def _take(
        self,
        connection: Connection,
        messages: list[tuple[int, bytes]],
        now: float,
        *,
        is_counted: bool = False,
    ) -> None:
        conn_id, received = connection.conn_id, self.counters.received
        at, end = 0, len(messages)
        while at < end:
            if connection.state is ESTABLISHED:
                usual = [*takewhile(_is_usual, islice(messages, at, None))]
                if bodies := connection.take_usual(usual, now):
                    self._outbox.append(UpdatesReceived(bodies))
                if not is_counted:
                    self._count(usual)
                at += len(usual)
                if at == end:
                    break
            kind, body = messages[at]
            at += 1
            if not is_counted:
                received[kind] += 1
            _TAKE[kind](self, connection, body, now)
            if connection.conn_id != conn_id:
                break  # it was dropped, what follows is void
            if (
                self._connections.waiting is not None
                and self._connections.waiting.conn_id == conn_id
            ):
                self._wait_with(self._connections.waiting, messages[at:])
                break

    def _wait_with(self, waiting: Waiting, messages: list[tuple[int, bytes]]) -> None:
        """Queue messages behind a waiting OPEN: they have arrived and are counted."""
        self._count(messages)
        waiting.messages += messages

    def _count(self, messages: list[tuple[int, bytes]]) -> None:
        received = self.counters.received
        for kind, _ in messages:
            received[kind] += 1

    def _take_open(self, connection: Connection, body: bytes, now: float) -> None:
        if self._must_wait(connection, now) and connection.conn_id is not None:
            opened = [(int(MessageType.OPEN), body)]
            self._connections.waiting = Waiting(
                connection.conn_id, now + COLLISION_WAIT, opened
            )
            return
        self._check_open(connection, body, now)

    def _check_open(self, connection: Connection, body: bytes, now: float) -> None:
        is_delayed = Timer.DELAY_OPEN in connection.timers
        if connection.offer is None or (
            connection.state is not State.OPEN_SENT and not is_delayed
        ):
            self._connections.dispatch(
                connection, Event.BGP_OPEN, now
            )  # unexpected there
            return
        try:
            peer_open = decode_open(body)
            mine = under(self.settings, connection.offer.asn)
            negotiated = negotiate(mine, connection.offer, peer_open)
        except NotifyError as error:
            self._fail(connection, Event.BGP_OPEN_MSG_ERR, error, now)
            return
        local = connection.offer
        if not self._connections.wins_collision(connection, local, peer_open, now):
            return
        connection.peer_open = peer_open
        connection.negotiated = negotiated
        event = Event.BGP_OPEN
        if is_delayed:
            event = Event.BGP_OPEN_WITH_DELAY_OPEN_TIMER
        self._connections.dispatch(connection, event, now)

    def _take_unbatched(self, connection: Connection, _body: bytes, now: float) -> None:
        # Outside Established alone.
        self._connections.dispatch(connection, Event.UPDATE_MSG, now)

    def _take_keepalive(self, connection: Connection, _body: bytes, now: float) -> None:
        self._connections.dispatch(connection, Event.KEEP_ALIVE_MSG, now)

    def _take_notification(
        self, connection: Connection, body: bytes, now: float
    ) -> None:
        notification = decode_notification(body)
        self.counters.notifications.note_received(notification, now)
        event = ending_of(notification, connection.state)
        reason = DownReason(DownKind.NOTIFICATION_RECEIVED, "", notification)
        self._connections.dispatch(connection, event, now, reason)

    def _take_refresh(self, connection: Connection, body: bytes, now: float) -> None:
        self._connections.dispatch(connection, Event.ROUTE_REFRESH_MSG, now)
        negotiated = connection.negotiated
        if connection.state is not ESTABLISHED or negotiated is None:
            return
        try:
            event = refresh_of(body, negotiated)
        except NotifyError as error:
            self._fail(connection, Event.ROUTE_REFRESH_MSG_ERR, error, now)
            return
        if event is not None:
            self._outbox.append(event)

    # -- collisions while the peer keeps our routes -------------------------------------

    def _must_wait(self, connection: Connection, now: float) -> bool:
        """Whether to see first what happens to our own connection (``connections``)."""
        is_recovering = bool(self.restart.recovering)
        return self._connections.is_undecided(connection, now, is_kept=is_recovering)

    def _settle(self, now: float) -> None:
        self._connections.settle(now)
        waiting = self._connections.waiting
        if waiting is None:
            return
        connection = self._connections.find(waiting.conn_id)
        if connection is None:
            self._connections.waiting = None
        elif waiting.is_over(now) or not self._must_wait(connection, now):
            self._connections.waiting = None
            self._replay(connection, waiting, now)
            self._connections.settle(now)

    def _replay(self, connection: Connection, waiting: Waiting, now: float) -> None:
        """Process what has waited."""
        (_, opened), *others = waiting.messages
        self._check_open(connection, opened, now)
        if connection.conn_id == waiting.conn_id:  # else it was dropped
            self._take(connection, others, now, is_counted=True)

    # -- helpers ------------------------------------------------------------------------

    def _offer(self) -> OpenMessage:
        return offer(
            self.offered,
            self.local_router_id,
            restart=self.restart,
            hostname=self._hostname,
            left_out=self._connections.rejected_options.left_out,
        )

    def _refuse(self, conn_id: int, now: float) -> None:
        rejection = cease(CeaseSubcode.CONNECTION_REJECTED)
        self.counters.rejected_connections += 1
        self.counters.sent[MessageType.NOTIFICATION] += 1
        self.counters.notifications.note_sent(rejection, now)
        octets = encode_notification(rejection)
        self._outbox.extend((Send(conn_id, octets), CloseConnection(conn_id)))

    def _fail(
        self, connection: Connection, event: Event, error: NotifyError, now: float
    ) -> None:
        reason = DownReason(DownKind.NOTIFICATION_SENT, error.text, from_error(error))
        self._connections.dispatch(connection, event, now, reason)


def _is_usual(message: tuple[int, bytes]) -> bool:
    return message[0] in USUAL


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
