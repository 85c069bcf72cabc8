"""The state machine of one TCP connection: executes the table.

Sans-IO: what is to happen outside is appended to the peer's outbox. A machine that opens
connections exists before its connection does (Idle, Connect, Active); one for a connection
that came in is made with it and forgotten with it.
"""

from collections.abc import Callable, Mapping
from math import inf
from random import Random
from types import MappingProxyType
from typing import Final

from bgpd.session.counters import Counters
from bgpd.session.events import (
    CancelConnect,
    CloseConnection,
    Connect,
    DownKind,
    DownReason,
    Established,
    Send,
    SessionEvent,
)
from bgpd.session.fsm import Action, Event, State, lookup
from bgpd.session.negotiation import Negotiated
from bgpd.session.settings import PeerSettings
from bgpd.session.timers import (
    LARGE_HOLD_TIME,
    LISTENING,
    SILENCES,
    Timer,
    connect_retry_interval,
    keepalive_interval,
    send_hold_interval,
)
from bgpd.wire.errors import CeaseSubcode, ErrorCode
from bgpd.wire.framing import (
    KEEPALIVE,
    MAX_EXTENDED_MESSAGE_LEN,
    MAX_MESSAGE_LEN,
    Framer,
    MessageType,
)
from bgpd.wire.notification import Notification, cease, encode_notification
from bgpd.wire.open import OpenMessage, encode_open

UPDATE: Final = int(MessageType.UPDATE)
YOUNG_ATTEMPT: Final = 0.5
"""Seconds in which a new attempt to connect would gain nothing over the last one."""
USUAL: Final = (UPDATE, int(MessageType.KEEPALIVE))
"""What an established session mostly hears."""


class Connection:
    """The machine of one connection.

    Attributes:
        state: See ``fsm.State``; only ``dispatch`` changes it.
        is_outgoing: We open it.
        conn_id: The driver's name of the TCP connection; ``None`` while there is none.
        local_addr: Text of our end; empty while there is none.
        remote_addr: Text of the peer's end.
        key_number: Which of the peer's MD5 keys signed the connection as it was made,
            counted by their changes.
        framer: Cuts what is received.
        offer: Our OPEN on this connection.
        peer_open: The peer's, once accepted.
        negotiated: What follows from both; ``None`` before.
        timers: Deadlines in monotonic seconds of the timers that run.
        reason: Why the last event ended something; ``None`` when it did not.
        established_at: Monotonic seconds; only meaningful in Established.
        settings: What applies from now on.
    """

    __slots__ = (
        "_attempts",
        "_connecting_since",
        "_counters",
        "_is_connecting",
        "_outbox",
        "_rng",
        "_undamped_until",
        "conn_id",
        "established_at",
        "framer",
        "is_outgoing",
        "key_number",
        "local_addr",
        "negotiated",
        "offer",
        "peer_open",
        "reason",
        "remote_addr",
        "settings",
        "state",
        "timers",
    )

    def __init__(
        self,
        settings: PeerSettings,
        outbox: list[SessionEvent],
        counters: Counters,
        rng: Random,
        *,
        is_outgoing: bool,
    ) -> None:
        self.settings = settings
        self.is_outgoing = is_outgoing
        self.state = State.IDLE
        self.timers: dict[Timer, float] = {}
        self.reason: DownReason | None = None
        self.established_at = 0.0
        self._attempts = 0
        self._undamped_until = 0.0
        self._connecting_since = -inf
        self._outbox = outbox
        self._counters = counters
        self._rng = rng
        self._detach()

    def _detach(self) -> None:
        self._is_connecting = False
        self.conn_id: int | None = None
        self.local_addr = ""
        self.remote_addr = ""
        self.key_number = 0
        self.framer = Framer()
        self.offer: OpenMessage | None = None
        self.peer_open: OpenMessage | None = None
        self.negotiated: Negotiated | None = None

    def attach(
        self,
        conn_id: int,
        local_addr: str,
        remote_addr: str,
        offer: OpenMessage,
        key_number: int = 0,
    ) -> None:
        """Take over a new TCP connection, before the event that reports it."""
        self._is_connecting = False
        self.conn_id = conn_id
        self.key_number = key_number
        self.local_addr = local_addr
        self.remote_addr = remote_addr
        self.offer = offer
        # RFC 8654 4: who offers long messages must take them, whatever the peer offers.
        is_long = offer.capabilities.has_extended_message
        self.framer = Framer(MAX_EXTENDED_MESSAGE_LEN if is_long else MAX_MESSAGE_LEN)

    def lose(self) -> None:
        """Note that the connection or attempt is gone, before the event that reports it."""
        self._is_connecting = False
        self.conn_id = None

    def delay_connect(self, until: float) -> None:
        """Delay the first attempt until then: the peer may connect earlier."""
        self.timers[Timer.CONNECT_RETRY] = until

    def reset_backoff(self) -> None:
        """Restart the back-off with the shortest interval."""
        self._attempts = 0

    def skip_damping(self, until: float) -> None:
        """Suspend the back-off until then: the peer restarts, and its routes wait."""
        self._undamped_until = until

    def skips_damping(self, now: float) -> bool:
        """Whether the back-off is suspended."""
        return now < self._undamped_until

    def has_just_tried(self, now: float) -> bool:
        """Whether an attempt to connect has just begun, or begun and failed."""
        return now - self._connecting_since < YOUNG_ATTEMPT

    @property
    def keeps_on_notification(self) -> bool:
        """Whether routes survive a NOTIFICATION that is not a hard reset (RFC 8538)."""
        negotiated = self.negotiated
        return negotiated is not None and negotiated.has_notification_restart

    @property
    def is_unanswered(self) -> bool:
        """Whether a TCP connection attempt is still unanswered."""
        return self._is_connecting

    @property
    def is_wanted(self) -> bool:
        """Whether the machine waits for its own connection attempt."""
        return self.state is State.CONNECT and self.conn_id is None

    def unanswered_time(self, now: float) -> float:
        """Return how long the attempt is unanswered, in seconds."""
        return now - self._connecting_since

    @property
    def awaits_open(self) -> bool:
        """Whether the peer may accept the connection but has not sent an OPEN."""
        return self._is_connecting or self.state is State.OPEN_SENT

    def dispatch(
        self, event: Event, now: float, reason: DownReason | None = None
    ) -> None:
        """Execute what ``event`` does in the present state.

        Args:
            event: What happened.
            now: Monotonic seconds.
            reason: Why the connection ends, if the event is one that ends it. Its
                notification is what the table's NOTIFY_CAUSE sends.
        """
        actions, target = lookup(self.state, event)
        self.reason = reason
        for action in actions:
            _PERFORM[action](self, now)
        self.state = target

    # hot: per chunk
    def take_usual(
        self, messages: list[tuple[int, bytes]], now: float
    ) -> list[bytes] | None:
        """Process messages of an established session, if all of them are ``USUAL``.

        The cell of the table is the same for each of a type: one look at it is enough.

        Returns:
            The bodies of the UPDATEs; ``None``: others are among them, nothing was taken.
        """
        bodies = [body for kind, body in messages if kind == UPDATE]
        others = len(messages) - len(bodies)
        if others and not all(kind in USUAL for kind, _ in messages):
            return None
        if bodies:
            self.dispatch(Event.UPDATE_MSG, now)
        if others:
            self.dispatch(Event.KEEP_ALIVE_MSG, now)
        return bodies

    def next_deadline(self) -> float | None:
        """Return when the first timer expires, in monotonic seconds."""
        return min(self.timers.values(), default=None)

    def due(self, now: float) -> Timer | None:
        """Return and stop the timer that expired first, ``None`` when none has."""
        timer = min(self.timers, key=self.timers.__getitem__, default=None)
        if timer is None or self.timers[timer] > now:
            return None
        del self.timers[timer]
        return timer

    def judges_silence(self, now: float) -> bool:
        """Whether a timer has expired that unread octets of the peer would stop."""
        return any(self.timers.get(timer, now + 1) <= now for timer in SILENCES)

    def put_off_silence(self, until: float) -> None:
        """Postpone timers that the peer's octets would stop to ``until``."""
        for timer in SILENCES:
            if timer in self.timers:
                self.timers[timer] = max(self.timers[timer], until)

    def resume(self, lost: float, now: float) -> None:
        """Leave a stall of ``lost`` seconds out of measured times."""
        for timer in LISTENING:
            if timer in self.timers:
                self.timers[timer] += lost
        if Timer.KEEPALIVE in self.timers:
            self.timers[Timer.KEEPALIVE] = now
        if self._undamped_until:
            self._undamped_until += lost

    def restart_keepalive(self, now: float) -> None:
        """Count the keepalive interval from ``now`` (RFC 4271 4.4)."""
        if self.negotiated is not None and self.negotiated.keepalive_time:
            interval = keepalive_interval(self.negotiated.keepalive_time, self._rng)
            self.timers[Timer.KEEPALIVE] = now + interval

    def start_send_hold(self, since: float) -> None:
        """Start the send hold timer: the peer reads nothing since ``since`` (RFC 9687)."""
        hold_time = self.negotiated.hold_time if self.negotiated else 0
        interval = send_hold_interval(self.settings.send_hold_time, hold_time)
        self.timers.setdefault(Timer.SEND_HOLD, since + interval)

    def stop_send_hold(self) -> None:
        """Stop the send hold timer: the peer read something."""
        self.timers.pop(Timer.SEND_HOLD, None)

    # -- actions ------------------------------------------------------------------------

    def _send(self, kind: MessageType, octets: bytes) -> None:
        if self.conn_id is not None:
            self._counters.sent[kind] += 1
            self._outbox.append(Send(self.conn_id, octets))

    def _notify(self, notification: Notification, kind: DownKind, now: float) -> None:
        max_len = self.negotiated.max_message_len if self.negotiated else None
        octets = encode_notification(notification, max_len or MAX_MESSAGE_LEN)
        self._send(MessageType.NOTIFICATION, octets)
        text = self.reason.text if self.reason is not None else ""
        if self.conn_id is not None:
            self._counters.notifications.note_sent(notification, now, text)
        self.reason = DownReason(kind, text, notification)

    def _start_connect_retry(self, now: float) -> None:
        settings = self.settings
        attempts = 0 if self.skips_damping(now) else max(self._attempts - 1, 0)
        interval = connect_retry_interval(
            settings.connect_retry_time,
            attempts,
            self._rng,
            settings.max_connect_retry_time,
        )
        self.timers[Timer.CONNECT_RETRY] = now + interval

    def _stop_connect_retry(self, _now: float) -> None:
        self.timers.pop(Timer.CONNECT_RETRY, None)

    def _initiate_connect(self, now: float) -> None:
        self._is_connecting = True
        self._connecting_since = now
        self._attempts += 1
        self._counters.connect_attempts += 1
        self._outbox.append(Connect())

    def _start_delay_open(self, now: float) -> None:
        self.timers[Timer.DELAY_OPEN] = now + self.settings.delay_open_time

    def _stop_delay_open(self, _now: float) -> None:
        self.timers.pop(Timer.DELAY_OPEN, None)

    def _send_open(self, _now: float) -> None:
        if self.offer is not None:
            self._send(MessageType.OPEN, encode_open(self.offer))

    def _start_large_hold(self, now: float) -> None:
        self.timers[Timer.HOLD] = now + LARGE_HOLD_TIME

    def _send_keepalive(self, _now: float) -> None:
        self._send(MessageType.KEEPALIVE, KEEPALIVE)

    def _restart_hold(self, now: float) -> None:
        if self.negotiated is not None and self.negotiated.hold_time:
            self.timers[Timer.HOLD] = now + self.negotiated.hold_time
        else:
            self.timers.pop(Timer.HOLD, None)

    def _establish(self, now: float) -> None:
        if self.conn_id is not None and self.negotiated is not None:
            self.established_at = now
            self._attempts = 0
            self._outbox.append(Established(self.conn_id, self.negotiated))

    def _notify_cause(self, now: float) -> None:
        reason = self.reason
        if reason is not None and reason.notification is not None:
            self._notify(reason.notification, reason.kind, now)

    def _notify_fsm_error(self, now: float) -> None:
        # RFC 6608 3: the subcode names the state; they are numbered in the same order.
        subcode = self.state - State.OPEN_SENT + 1
        self.reason = DownReason(
            DownKind.NOTIFICATION_SENT, f"unexpected message in {self.state.name}"
        )
        notification = Notification(ErrorCode.FSM, subcode)
        self._notify(notification, DownKind.NOTIFICATION_SENT, now)

    def _notify_hold(self, now: float) -> None:
        notification = Notification(ErrorCode.HOLD_TIMER_EXPIRED)
        self._notify(notification, DownKind.HOLD_TIMER_EXPIRED, now)

    def _notify_send_hold(self, now: float) -> None:
        notification = Notification(ErrorCode.SEND_HOLD_TIMER_EXPIRED)
        self._notify(notification, DownKind.SEND_HOLD_TIMER_EXPIRED, now)

    def _notify_collision(self, now: float) -> None:
        notification = cease(CeaseSubcode.CONNECTION_COLLISION_RESOLUTION)
        self._notify(notification, DownKind.COLLISION, now)

    def _drop(self, _now: float) -> None:
        self.timers.clear()
        if self.conn_id is not None:
            self._outbox.append(CloseConnection(self.conn_id))
        elif self._is_connecting:
            self._outbox.append(CancelConnect())
        self._detach()


_PERFORM: Final[Mapping[Action, Callable[[Connection, float], None]]] = (
    MappingProxyType(
        {
            Action.START_CONNECT_RETRY: Connection._start_connect_retry,
            Action.STOP_CONNECT_RETRY: Connection._stop_connect_retry,
            Action.INITIATE_CONNECT: Connection._initiate_connect,
            Action.START_DELAY_OPEN: Connection._start_delay_open,
            Action.STOP_DELAY_OPEN: Connection._stop_delay_open,
            Action.SEND_OPEN: Connection._send_open,
            Action.START_LARGE_HOLD: Connection._start_large_hold,
            Action.SEND_KEEPALIVE: Connection._send_keepalive,
            Action.RESTART_KEEPALIVE: Connection.restart_keepalive,
            Action.RESTART_HOLD: Connection._restart_hold,
            Action.ESTABLISH: Connection._establish,
            Action.NOTIFY_CAUSE: Connection._notify_cause,
            Action.NOTIFY_FSM_ERROR: Connection._notify_fsm_error,
            Action.NOTIFY_HOLD: Connection._notify_hold,
            Action.NOTIFY_SEND_HOLD: Connection._notify_send_hold,
            Action.NOTIFY_COLLISION: Connection._notify_collision,
            Action.DROP: Connection._drop,
        }
    )
)
"""Who carries out each action; a test checks that none is missing."""
