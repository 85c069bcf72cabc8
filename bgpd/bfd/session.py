"""One BFD session as a sans-IO machine, in asynchronous mode without echo (RFC 5880 6.8). Pure.

receive       a packet that was found to be its          +--> octets to send, returned
handle_timer  at ``next_deadline``                machine+--> ``state`` and what it knows of the peer
change, disable, enable                                  +--> ``next_deadline``
"""

from random import Random
from typing import Final, NamedTuple

from bgpd.bfd.authentication import Authenticator, AuthKey
from bgpd.bfd.packet import (
    Diagnostic,
    Discard,
    Flag,
    Packet,
    State,
    encode_packet,
)
from bgpd.bfd.state_table import RECEIVED, TRANSITIONS, Event
from bgpd.bfd.timing import Timing

# Theory
# ------
# Each end says how fast it would like to send (desired min TX) and how fast it can receive
# (required min RX); each sends at the slower one of its own wish and the other's ability. The receiver
# therefore knows the sender's interval, and the sender's multiplier says how many may be lost:
#
#       detection time = peer's multiplier x max(our required min RX, peer's desired min TX)
#
# What makes it hard is that these change while packets are under way. A change is announced by a
# Poll sequence: packets carry the Poll bit until one comes back with Final, which proves that the
# peer knows. Until then, while the session is up, the *safe* of the old and the new value is in force
# (6.8.3): the shorter interval is sent at, the longer one is expected.
#
#       announced: desired, required        in every packet from now on
#       in force:  _sent_tx, _expected_rx   follow when Final arrives, or at once where that is safe
#
# While a session is not up it sends once a second at most, whatever it is configured for, so that
# a host that has no BFD gets no stream. Coming up thus is itself a change, and polls.
#
# Deliberately not here: how a packet finds its session and the TTL (``bgpd.bfd.session_table``),
# demand mode of our own, and echo.

SLOW_INTERVAL: Final = 1_000_000  # microseconds at least while not up, RFC 5880 6.8.3
_JITTER: Final = 0.25  # RFC 5880 6.8.7
_LEAST_JITTER_OF_ONE: Final = 0.10  # where the multiplier is 1
_MICROSECONDS: Final = 1e6


class Parameters(NamedTuple):
    """What a session is configured to be.

    Attributes:
        min_tx: bfd.DesiredMinTxInterval while up, microseconds, at least 1.
        min_rx: bfd.RequiredMinRxInterval, microseconds.
        multiplier: bfd.DetectMult, 1 to 255.
        key: Authentication; ``None`` is none.
    """

    min_tx: int
    min_rx: int
    multiplier: int
    key: AuthKey | None = None


class Peer(NamedTuple):
    """What the last packet said, as the RFC's state variables.

    Attributes:
        discriminator: 0 while nothing was heard for a detection time.
        state: bfd.RemoteSessionState.
        diagnostic: Its reason.
        detect_mult: Its multiplier; 0 is unknown.
        min_tx: Its desired min TX, microseconds.
        min_rx: bfd.RemoteMinRxInterval, microseconds.
        is_demanding: bfd.RemoteDemandMode.
        is_independent: Its C bit: its BFD does not share fate with its control plane.
    """

    discriminator: int = 0
    state: State = State.DOWN
    diagnostic: int = 0
    detect_mult: int = 0
    min_tx: int = 0
    min_rx: int = 1
    is_demanding: bool = False
    is_independent: bool = False


_UNKNOWN: Final = Peer()


class Session:
    """One session.

    Args:
        discriminator: Ours: not 0, unique on this system.
        parameters: What it is configured to be.
        now: Monotonic seconds.
        rng: Of jitter and sequence numbers.
        resumed: What was known of the peer by a process that ended, so that the session goes on
            up; ``None`` begins it.

    Attributes:
        discriminator: bfd.LocalDiscr.
        state: bfd.SessionState.
        diagnostic: bfd.LocalDiag.
        peer: What it said last.
        received: Packets that were accepted.
    """

    def __init__(
        self,
        discriminator: int,
        parameters: Parameters,
        now: float,
        *,
        rng: Random,
        resumed: Peer | None = None,
    ) -> None:
        self.discriminator = discriminator
        self.state = State.DOWN if resumed is None else State.UP
        self.diagnostic = Diagnostic.NONE
        self.peer = _UNKNOWN if resumed is None else resumed
        self.received = 0
        self._parameters = parameters
        self._rng = rng
        self._authenticator: Authenticator | None = None
        self._take_key()
        self._timing = Timing(self._desired, parameters.min_rx)
        self._send_at: float | None = now
        self._heard_at = now
        self._is_silent = False  # a detection time has passed since the last packet

    # -- what it knows ------------------------------------------------------------------

    @property
    def parameters(self) -> Parameters:
        """What it is configured to be."""
        return self._parameters

    @property
    def interval(self) -> float:
        """How often it sends, seconds before jitter; 0 is never (RFC 5880 6.8.7)."""
        peer = self.peer
        if not peer.min_rx:
            return 0.0
        is_up = self.state is State.UP and peer.state is State.UP
        if peer.is_demanding and is_up and not self._timing.is_polling:
            return 0.0
        return max(self._timing.sent_tx, peer.min_rx) / _MICROSECONDS

    @property
    def detection_time(self) -> float:
        """Seconds of silence that end it; 0 before the peer was heard (RFC 5880 6.8.4)."""
        peer = self.peer
        expected = max(self._timing.expected_rx, peer.min_tx)
        return peer.detect_mult * expected / _MICROSECONDS

    def next_deadline(self) -> float | None:
        """Return when ``handle_timer`` is due, in monotonic seconds; ``None`` for never."""
        at = self._send_at
        if time := self.detection_time:
            end = self._heard_at + time * (2 if self._is_silent else 1)
            if at is None or end < at:
                return end
        return at

    @property
    def _desired(self) -> int:
        """bfd.DesiredMinTxInterval: slow while it is not up (RFC 5880 6.8.3)."""
        least = self._parameters.min_tx
        return least if self.state is State.UP else max(least, SLOW_INTERVAL)

    # -- inputs -------------------------------------------------------------------------

    def receive(self, packet: Packet, octets: bytes, now: float) -> bytes | Discard:
        """Process a packet that is this session's (RFC 5880 6.8.6).

        Args:
            packet: Decoded, and found to be ours.
            octets: All of it, for the authentication.
            now: When it arrived, monotonic seconds.

        Returns:
            What to send at once, empty for nothing, or why the packet was discarded.
        """
        if packet.is_authenticated != (self._authenticator is not None):
            return Discard.AUTHENTICATION
        if self._authenticator is not None and not self._authenticator.accepts(
            packet, octets
        ):
            return Discard.AUTHENTICATION
        self.received += 1
        former_interval = self.interval
        self.peer = Peer(
            packet.my_discriminator,
            packet.state,
            packet.diagnostic,
            packet.detect_mult,
            packet.desired_min_tx,
            packet.required_min_rx,
            bool(packet.flags & Flag.DEMAND),
            bool(packet.flags & Flag.CONTROL_PLANE_INDEPENDENT),
        )
        self._heard_at, self._is_silent = now, False
        if packet.is_final:
            self._timing.final_received()
        if self.state is State.ADMIN_DOWN:
            return b""
        has_changed = self._apply(RECEIVED[packet.state])
        reply = b""
        if packet.is_poll:
            reply = self._packet(is_final=True)
            has_changed = False  # the answer has the new state
        if has_changed:
            reply = self._packet()
            self._send_next(now)
        elif self.interval != former_interval:
            self._follow_interval(now)
        return reply

    def handle_timer(self, now: float) -> bytes:
        """Do what is due; what has arrived must have been received first.

        Returns:
            What to send; empty for nothing.
        """
        has_changed = self._watch(now)
        is_due = self._send_at is not None and now >= self._send_at
        if not (is_due or has_changed):
            return b""
        self._send_next(now)
        if not self.interval and not has_changed:
            return b""
        return self._packet()

    def change(self, parameters: Parameters, now: float) -> bytes:
        """Follow changed parameters; the session stays up, and polls (RFC 5880 6.8.3).

        Returns:
            What to send at once; empty for nothing.
        """
        if parameters == self._parameters:
            return b""
        self._parameters = parameters
        self._take_key()
        self._announce()
        octets = self._packet() if self.interval else b""
        self._send_next(now)
        return octets

    def disable(self, now: float) -> bytes:
        """Set AdminDown, which says nothing about the path; return what to send (6.8.16)."""
        return self._switch(Event.DISABLE, now)

    def enable(self, now: float) -> bytes:
        """Leave AdminDown."""
        return self._switch(Event.ENABLE, now)

    def farewell(self) -> bytes:
        """Return the present packet once more: it may have been lost, and no timer will repeat it."""
        return self._packet()

    def _switch(self, event: Event, now: float) -> bytes:
        if not self._apply(event):
            return b""
        self._send_next(now)
        return self._packet()

    # -- its work -----------------------------------------------------------------------

    def _apply(self, event: Event) -> bool:
        transition = TRANSITIONS.get((self.state, event))
        if transition is None:
            return False
        self.state, self.diagnostic = transition
        self._announce()
        return True

    def _announce(self) -> None:
        is_up = self.state is State.UP
        self._timing.announce(self._desired, self._parameters.min_rx, is_up=is_up)

    def _watch(self, now: float) -> bool:
        """Act on silence; return whether the state changed (RFC 5880 6.8.4, 6.8.1)."""
        time = self.detection_time
        if not time or now < self._heard_at + time:
            return False
        has_changed = False
        if not self._is_silent:
            self._is_silent = True
            has_changed = self._apply(Event.DETECTION_TIME_EXPIRED)
            self.peer = self.peer._replace(
                discriminator=0, min_rx=1, is_demanding=False
            )
        if now >= self._heard_at + 2 * time:
            if self._authenticator is not None:
                self._authenticator.forget_sequence()
            self.peer = _UNKNOWN
        return has_changed

    def _packet(self, *, is_final: bool = False) -> bytes:
        parameters, authenticator = self._parameters, self._authenticator
        # Not independent of the control plane, for the process ends with the daemon (ADR 0057).
        flags = 0
        if is_final:
            flags = int(Flag.FINAL)
        elif self._timing.is_polling:
            flags = int(Flag.POLL)
        if authenticator is not None:
            flags |= Flag.AUTHENTICATION
        packet = Packet(
            self.state,
            self.diagnostic,
            flags,
            parameters.multiplier,
            self.discriminator,
            self.peer.discriminator,
            self._desired,
            parameters.min_rx,
        )
        if authenticator is not None:
            return authenticator.sign(packet)
        return encode_packet(packet)

    def _send_next(self, now: float) -> None:
        """Set the time of the next packet (RFC 5880 6.8.7)."""
        interval = self.interval
        if not interval:
            self._send_at = None
            return
        least = _LEAST_JITTER_OF_ONE if self._parameters.multiplier == 1 else 0.0
        self._send_at = now + interval * (1 - self._rng.uniform(least, _JITTER))

    def _follow_interval(self, now: float) -> None:
        """Send earlier where the peer now takes more; a longer interval begins with the next packet."""
        former = self._send_at
        self._send_next(now)
        if former is not None and (self._send_at is None or former < self._send_at):
            self._send_at = former

    def _take_key(self) -> None:
        key, former = self._parameters.key, self._authenticator
        if key is None:
            self._authenticator = None
        elif former is None or former.key != key:
            sequence = self._rng.getrandbits(32)
            self._authenticator = Authenticator(key, sequence)
