"""The connections of one peer, and the rules between them.

A peer has one machine for the connection it opens itself, which persists, and one for each
connection that the peer opened: usually none or one, and a second only while a peer that
restarted knocks beside a session that is still thought to stand. Rules between machines:

* two connections, at the first OPEN on either: the one opened by the side with the higher
  identifier stays, by the higher AS where these are equal (RFC 4271 6.8, RFC 6286 2.3).
  To wait for the other's OPEN, as the RFC lets one that knows no better, would let one
  connection be established at the far end while it is dropped at this one;
* if the peer may keep our routes, its OPEN waits for a moment until that on our own
  connection is there: a far end that is established on the one, and accepts the other only
  then, takes it for a second restart, and drops what it kept;
* once the peer's connection has seen an OPEN, our own that is established only now is closed
  unused;
* beside an established session a new one is turned away, unless graceful restart was agreed
  on: then the peer has restarted, the old session ends silently and its routes stay
  (RFC 4724 5). Ours: not within ``COLLISION_WINDOW`` of its establishment, when the second
  connection is more likely the leftover of a collision;
* a new connection that is signed by a newer MD5 key than the established session proves by
  its signature that the peer uses the new key and starts again: it takes over at once.
  A peer ends its session under the former key, and we may not have heard that;
* a connection from the peer replaces its former one that did not get so far;
* while a session stands, our own attempts rest;
* a dynamic peer is gone with its last connection, unless it must wait, and never
  connected to; but one that was up before our restart is sought: until a given time it is
  treated as a configured peer is.

Damping: an orderly end of a stable session is followed by a new start at once; each
failure in a row doubles the time in Idle, where connections of the peer are refused too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from math import inf
from random import Random
from typing import Final

from bgpd.session.connection_fsm import Connection
from bgpd.session.counters import Counters
from bgpd.session.endings import (
    NO_FAILURE,
    WAY_LOST,
    is_cease,
    is_collision,
    is_for_silence,
)
from bgpd.session.events import (
    DownKind,
    DownReason,
    PeerExpired,
    SessionDown,
    SessionEvent,
    StateChanged,
)
from bgpd.session.fsm import Event, State
from bgpd.session.gr_helper import kept_families
from bgpd.session.rejected_options import RejectedOptions
from bgpd.session.settings import PeerSettings
from bgpd.session.timers import STABLE_TIME, idle_hold_interval
from bgpd.wire.open import OpenMessage

# Theory
# ------
# RFC 4271 8 describes one machine per configured peer and leaves to the implementation how
# two TCP connections with the same peer are kept apart (8.2.1: "there may be more than one
# ... FSM per peer"). Here each connection has a machine (`connection_fsm`), and this module
# holds what is true of all of them together. Pure: `now` comes in, events go out.
#
#            outgoing (always there)          incoming (none, one, or a second that knocks)
#            Idle .. OpenConfirm              Active .. OpenConfirm
#                     \                              /
#                      `--- at the first OPEN ---'
#                                   |
#                            established (one of them)
#
# Invariants, restored by `settle` after every input:
#
# * At most one machine is Established, and `established` is that one.
# * While one is, the outgoing machine is Idle or is the one itself.
# * An incoming machine without a TCP connection does not exist: it is removed.
# * The peer's `state` is the farthest of all, and each change of it is an event.
# * Outside of Established, a started peer is trying, waiting for the peer to call, or
#   resting until `idle_until`; there is no state in which nothing will ever happen.
#
# Why two machines and not one with a collision flag: while both connections are in
# OpenSent, both have timers, buffers and a negotiated OPEN of their own. Whichever loses
# must end with its own Cease/7 and leave no trace in the other's.
#
# What makes collisions hard is what the far end sees. It judges by its own clock: the OPEN
# that we have read may cross the one it has sent. The rule must therefore give the same
# winner at both ends from the identifiers alone, and must not wait (see above); where the
# peer may hold routes for a restart, a second establishment would cost those routes, and
# there a moment's wait is the smaller evil.
#
# Deliberately not here: sockets (`bgpd.net`), which peers exist (`bgpd.speaker`), what the
# single machine does with an event (`fsm`), what stale routes become (`gr_helper`).
#
# Sources: RFC 4271 6.8, 8.1.3 (DampPeerOscillations), 8.2.1; RFC 4724 5; RFC 6286 2.3;
# RFC 5492 5 (left_out). BIRD has one machine and two connection structs (proto/bgp/bgp.c).

COLLISION_WINDOW: Final = 5.0  # seconds
COLLISION_WAIT: Final = 1.0
"""Seconds for which an OPEN waits for that on our own connection, at most."""
EXCUSE_TIME: Final = 10.0
"""Seconds after our own stall in which a peer that gives us up is not at fault: to
rest in Idle, and to refuse it, would make the outage longer."""
_MOST_HELD: Final = 8  # messages; a KEEPALIVE is all that may follow an unanswered OPEN

# By whether it is automatic, and whether no attempt to connect is made for now.
_STARTS: Final = {
    (False, False): Event.MANUAL_START,
    (False, True): Event.MANUAL_START_PASSIVE,
    (True, False): Event.AUTOMATIC_START,
    (True, True): Event.AUTOMATIC_START_PASSIVE,
}


@dataclass(slots=True)
class Waiting:
    """A connection of the peer whose OPEN waits.

    Attributes:
        conn_id: Which.
        until: Monotonic seconds.
        messages: Type and body of the OPEN and of what followed it.
    """

    conn_id: int
    until: float
    messages: list[tuple[int, bytes]]

    def is_over(self, now: float) -> bool:
        """Whether the wait is over, whatever happened to our own connection."""
        return now >= self.until or len(self.messages) > _MOST_HELD


class Connections:
    """All connections of one peer.

    Attributes:
        outbox: Events not drained yet.
        counters: Of the peer.
        outgoing: The machine that connects.
        incoming: Those of connections that the peer opened.
        established: The one that carries the session.
        state: That of the machine that got farthest.
        is_started: A session is wanted.
        is_dynamic: The peer is gone with its last connection.
        sought_until: Monotonic seconds until which a dynamic peer is connected to.
        idle_until: Monotonic seconds until which the peer rests; ``None`` when it does not.
        rejected_options: What the peer did not take of our OPEN.
        waiting: A connection of the peer whose OPEN waits; ``None`` for none.
    """

    def __init__(
        self,
        settings: PeerSettings,
        rng: Random,
        *,
        is_dynamic: bool = False,
        sought_until: float = 0.0,
    ) -> None:
        self.outbox: list[SessionEvent] = []
        self.counters = Counters()
        self.is_dynamic = is_dynamic
        self.sought_until = sought_until
        self._rng = rng
        self._settings = settings
        self.outgoing = self._new_connection(is_outgoing=True)
        self.incoming: list[Connection] = []
        self.established: Connection | None = None
        self.state = State.IDLE
        self.is_started = False
        self.idle_until: float | None = None
        self.rejected_options = RejectedOptions()
        self.waiting: Waiting | None = None
        self._failures = 0  # in a row
        self._excused_until = -inf

    @property
    def settings(self) -> PeerSettings:
        """The settings that all machines use."""
        return self._settings

    @settings.setter
    def settings(self, settings: PeerSettings) -> None:
        if settings != self._settings:
            self.counters.forget_attempt()  # the change may be the cure
            self.rejected_options.follow(self._settings, settings)
        self._settings = settings
        for connection in self.all():
            connection.settings = settings

    def next_deadline(self) -> float | None:
        """Return when something is due, in monotonic seconds."""
        deadlines = [
            deadline
            for connection in self.all()
            if (deadline := connection.next_deadline()) is not None
        ]
        if self.idle_until is not None:
            deadlines.append(self.idle_until)
        if self.waiting is not None:
            deadlines.append(self.waiting.until)
        if self.is_sought:
            deadlines.append(self.sought_until)
        if (
            self.rejected_options.kept_until
            and self.is_dynamic
            and self._has_no_connection
        ):
            deadlines.append(self.rejected_options.kept_until)
        return min(deadlines, default=None)

    def judges_silence(self, now: float) -> bool:
        """Whether something is due that unread octets of the peer would postpone."""
        is_waiting = self.waiting is not None and self.waiting.until <= now
        return is_waiting or any(each.judges_silence(now) for each in self.all())

    def put_off_silence(self, until: float) -> None:
        """Excuse the peer's silence until ``until``."""
        for connection in self.all():
            connection.put_off_silence(until)
        if self.waiting is not None:
            self.waiting.until = max(self.waiting.until, until)

    def resume(self, lost: float, now: float) -> None:
        """Leave a stall of ``lost`` seconds out of measured times."""
        for connection in self.all():
            connection.resume(lost, now)
        if self.waiting is not None:
            self.waiting.until += lost
        self._excused_until = now + EXCUSE_TIME

    def reset_back_off(self) -> None:
        """Forget earlier failures and rejections: an administrator starts the peer."""
        self._failures = 0
        self.rejected_options.left_out = frozenset()
        self.outgoing.reset_backoff()

    def start(
        self, now: float, *, is_automatic: bool = False, delay: float = 0
    ) -> None:
        """Leave Idle: connect after ``delay`` seconds, or wait for a passive peer."""
        is_passive = self._settings.is_passive or self.is_waiting(now)
        event = _STARTS[is_automatic, is_passive or delay > 0]
        self.dispatch(self.outgoing, event, now)
        if delay and not is_passive:
            self.outgoing.delay_connect(now + delay)

    def rest(self, seconds: float, now: float) -> None:
        """Stay in Idle for so long and reject the peer; no effect with a connection."""
        has_connection = any(each.conn_id is not None for each in self.all())
        if seconds and self.outgoing.state is State.IDLE and not has_connection:
            self.idle_until = now + seconds

    def try_afresh(self, now: float) -> None:
        """Forget failures: end the idle hold time and try a waiting peer now."""
        self.reset_back_off()
        if self.idle_until is not None:
            self.idle_until = now  # due at once
        else:
            self.try_now(now)

    def try_now(self, now: float) -> bool:
        """Make a waiting machine connect at once; return whether one was waiting.

        Back-off ends with that. Damping does where the way was what failed; a peer that
        rests for what it said, or we did, goes on resting.
        """
        outgoing = self.outgoing
        if not self.is_started or self.is_dynamic or self._settings.is_passive:
            return False
        # A connection in progress is older news of the peer than a second one would be.
        if self.incoming or outgoing.conn_id is not None:
            return False
        if outgoing.has_just_tried(now):
            return False
        event = Event.CONNECT_RETRY_TIMER_EXPIRES
        down = self.counters.last_down
        if outgoing.state is State.IDLE:
            # Damping after an error of the protocol stays: a link that came up cures only a lost
            # link, and a peer that rejects our OPEN would reject it at once again.
            if self.idle_until is None or down is None or down.kind not in WAY_LOST:
                return False
            self.idle_until = None
            event = Event.AUTOMATIC_START
        outgoing.reset_backoff()
        self.dispatch(outgoing, event, now)
        return True

    def change_key(self, now: float) -> None:
        """Restart connections that are not established: they were signed with a former MD5 key.

        No NOTIFICATION is sent: the peer may not accept that key. Earlier failures may
        have been the key's.
        """
        self._failures = 0
        self.outgoing.reset_backoff()
        self.counters.forget_attempt()
        self.idle_until = None
        reason = DownReason(DownKind.KEY_CHANGED)
        for connection in list(self.all()):
            if connection.state not in (State.IDLE, State.ESTABLISHED):
                self.dispatch(connection, Event.AUTOMATIC_STOP, now, reason)

    def add_incoming(self, now: float) -> Connection:
        """Return a machine for a connection from the peer; its earlier attempts go."""
        # A peer opens a second connection only if it has given the first one up, though the
        # end of that may never have reached us.
        for former in self.incoming[:]:
            if former.state is not State.ESTABLISHED:
                self.collide(former, now)
        connection = self._new_connection(is_outgoing=False)
        self.incoming.append(connection)
        self.dispatch(connection, Event.AUTOMATIC_START_PASSIVE, now)
        return connection

    def all(self) -> Iterator[Connection]:
        """Iterate over the machines; copy before dispatching."""
        return chain((self.outgoing,), self.incoming)

    @property
    def _has_no_connection(self) -> bool:
        return not self.incoming and self.outgoing.conn_id is None

    def is_waiting(self, now: float) -> bool:
        """Whether only the peer may connect."""
        return self.is_dynamic and now >= self.sought_until

    @property
    def is_sought(self) -> bool:
        """Whether the peer is dynamic, was up before our restart, and is not back yet."""
        return self.is_started and self.sought_until > 0 and self._has_no_connection

    @property
    def has_heard_peer(self) -> bool:
        """Whether we have received an OPEN on a connection from the peer."""
        return any(c.state >= State.OPEN_CONFIRM for c in self.incoming)

    def find(self, conn_id: int) -> Connection | None:
        """Return the machine of a TCP connection; ``None`` once it was dropped."""
        for connection in self.all():
            if connection.conn_id == conn_id:
                return connection
        return None

    def _new_connection(self, *, is_outgoing: bool) -> Connection:
        return Connection(
            self._settings,
            self.outbox,
            self.counters,
            self._rng,
            is_outgoing=is_outgoing,
        )

    def dispatch(
        self,
        connection: Connection,
        event: Event,
        now: float,
        reason: DownReason | None = None,
    ) -> None:
        """Feed an event to one machine, and report the change."""
        old, negotiated = connection.state, connection.negotiated
        offer = connection.offer
        # The state does not change, so nothing else would say why the peer stays away.
        if event is Event.CONNECT_RETRY_TIMER_EXPIRES and connection.is_unanswered:
            self._note_silence(connection, now)
        connection.dispatch(event, now, reason)
        new = connection.state
        if new is old:
            return
        ended = None
        if new is State.ESTABLISHED:
            self.established = connection
            self.counters.established_count += 1
            self.counters.established_since = now
            self.counters.forget_attempt()
        elif new is State.IDLE or connection.reason is not None:
            ended = connection.reason or DownReason(DownKind.UNEXPECTED_MESSAGE)
            self._note_end(connection, old, offer, ended, now)
        if old is State.ESTABLISHED and ended is not None and negotiated is not None:
            self.established = None
            self.counters.established_since = None
            kept = kept_families(negotiated, ended)
            # The routes that it keeps expire with its restart time: each second of damping counts
            # against them.
            if kept and negotiated.graceful_restart is not None:
                self.outgoing.skip_damping(
                    now + negotiated.graceful_restart.restart_time
                )
            self.outbox.append(SessionDown(ended, kept))
        self._show(ended)

    def collide(self, loser: Connection, now: float) -> None:
        """Drop the connection that loses a collision (RFC 4271 6.8)."""
        reason = DownReason(DownKind.COLLISION)
        self.dispatch(loser, Event.OPEN_COLLISION_DUMP, now, reason)

    def is_undecided(
        self, connection: Connection, now: float, *, is_kept: bool
    ) -> bool:
        """Whether an OPEN must wait for that on our own connection.

        Args:
            connection: Whose OPEN.
            now: Monotonic seconds.
            is_kept: The peer keeps routes of our previous run; it may also keep
                those of a session that was just lost.
        """
        # Only our own attempt that is already under way is worth the wait: one that has not
        # begun would not bring its OPEN in time.
        may_be_kept = is_kept or self.outgoing.skips_damping(now)
        return may_be_kept and not connection.is_outgoing and self.outgoing.awaits_open

    def wins_collision(
        self, connection: Connection, local: OpenMessage, peer: OpenMessage, now: float
    ) -> bool:
        """Check a connection whose OPEN has arrived, before we answer it.

        Returns:
            Whether it goes on; then what it wins over was dropped, else it was itself.
        """
        for other in list(self.all()):
            if other is connection:
                continue
            if other.state is State.ESTABLISHED:
                # The signature was checked by the kernel, so a newer key is proof, not a claim.
                is_new = connection.key_number > other.key_number
                if not (is_new or _has_restarted(other, now)):
                    self.collide(connection, now)
                    return False
                reason = DownReason(DownKind.REPLACED)
                self.dispatch(other, Event.CONNECTION_REPLACED, now, reason)
            elif other.state >= State.OPEN_SENT:
                ours = (local.router_id, local.asn)
                theirs = (peer.router_id, peer.asn)
                # Compared as pairs: the AS decides only between equal identifiers (RFC 6286 2.3).
                if connection.is_outgoing != (ours > theirs):
                    self.collide(connection, now)
                    return False
                self.collide(other, now)
        return True

    def settle(self, now: float) -> None:
        """Restore the invariants between inputs: see the module's rules."""
        gone = [c for c in self.incoming if c.conn_id is None]
        if gone:
            self.incoming = [c for c in self.incoming if c.conn_id is not None]
            self._show(gone[-1].reason)
        outgoing = self.outgoing
        if now >= self.rejected_options.kept_until:
            self.rejected_options.kept_until = 0.0
        if self.established is not None:
            if outgoing.conn_id is None and outgoing.state is not State.IDLE:
                reason = DownReason(DownKind.SUPERSEDED)
                self.dispatch(outgoing, Event.AUTOMATIC_STOP, now, reason)
        elif self.is_started and not self.incoming:
            if self.is_waiting(now):
                is_over = outgoing.conn_id is None and self.idle_until is None
                if is_over and not self.rejected_options.kept_until:
                    self._expire_dynamic(now)
            elif outgoing.state is State.IDLE and self.idle_until is None:
                interval = idle_hold_interval(
                    self._failures,
                    self._rng,
                    self._settings.idle_hold_time,
                    self._settings.max_idle_hold_time,
                )
                self.idle_until = now + interval

    def _expire_dynamic(self, now: float) -> None:
        self.is_started = False
        reason = DownReason(DownKind.SUPERSEDED)
        self.dispatch(self.outgoing, Event.AUTOMATIC_STOP, now, reason)
        self.outbox.append(PeerExpired())

    def _note_end(
        self,
        connection: Connection,
        old: State,
        offer: OpenMessage | None,
        reason: DownReason,
        now: float,
    ) -> None:
        if reason.kind in (DownKind.SUPERSEDED, DownKind.KEY_CHANGED):
            return
        if old is State.ESTABLISHED:
            self.counters.note_reset(reason, now)
        else:
            self.counters.note_attempt(reason, now)
        is_retry = self.rejected_options.note_end(
            offer, self._settings, reason, old, now
        )
        if connection.state is not State.IDLE or is_retry or reason.kind in NO_FAILURE:
            return
        # We were the silent side: to count it would punish the peer for our stall.
        if now < self._excused_until and is_for_silence(reason):
            return
        has_ceased = is_cease(reason)
        if old is State.ESTABLISHED and now - connection.established_at >= STABLE_TIME:
            self._failures = 0
            if has_ceased or reason.kind is DownKind.CONNECTION_LOST:
                return
        # Two that call each other again and again would otherwise push each other into ever
        # longer pauses, in step.
        elif has_ceased and is_collision(reason):
            return
        self._failures += 1

    def _note_silence(self, connection: Connection, now: float) -> None:
        """Note that the peer does not answer; the next attempt follows at once in the same state."""
        seconds = round(connection.unanswered_time(now))
        text = f"no answer to SYN for {seconds} s: check the firewall, the MD5 key and the host"
        reason = DownReason(DownKind.CONNECT_FAILED, text)
        self.counters.note_attempt(reason, now)

    def _show(self, reason: DownReason | None) -> None:
        state = max(connection.state for connection in self.all())
        if state is not self.state:
            self.outbox.append(StateChanged(self.state, state, reason))
            self.state = state


def _has_restarted(established: Connection, now: float) -> bool:
    """Whether a new connection means that the peer of ``established`` restarted."""
    negotiated = established.negotiated
    graceful = negotiated.graceful_restart if negotiated is not None else None
    is_settled = now - established.established_at >= COLLISION_WINDOW
    return graceful is not None and bool(graceful.families) and is_settled
