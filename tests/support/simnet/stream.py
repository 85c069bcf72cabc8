"""One direction of a simulated TCP connection."""

import errno
from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.simnet.sockets import SimSocket

BUFFER = 256 << 10  # octets under way and unread, of one direction
SEGMENT = 65_483  # octets, as over loopback
FIRST_RTO = 0.2  # seconds to the first retransmission
MAX_RTO = 120.0
MOST_TRIES = 15  # then the connection is given up, as net.ipv4.tcp_retries2 has it


class Mark(Enum):
    """What ends a stream."""

    FIN = auto()
    RST = auto()


class Stream:
    """Octets on their way from one socket to another: in order, each segment once.

    A segment that the link loses, or that the receiver drops for its key or TTL, is sent again,
    later and later.

    Args:
        sender: Whose octets they are.
        receiver: Where they go.

    Attributes:
        unread: Arrived, and not received yet.
        has_ended: FIN has arrived.
        sent_count: Segments sent, those sent again too.
    """

    def __init__(self, sender: "SimSocket", receiver: "SimSocket") -> None:
        self._net = sender.net
        self._sender = sender
        self._receiver = receiver
        self._flying: deque[tuple[float, bytes | Mark]] = deque()  # by arrival
        self._flying_len = 0
        self._is_armed = False
        self._tries = 0
        self._is_dead = False
        self.unread = bytearray()
        self.has_ended = False
        self.sent_count = 0
        self.arrived_count = 0

    @property
    def unacknowledged(self) -> int:
        """Segments that have not arrived."""
        return len(self._flying)

    @property
    def room(self) -> int:
        """Octets that the sender may still send."""
        return max(0, self._net.buffer - len(self.unread) - self._flying_len)

    def put(self, octets: bytes) -> int:
        """Send as much as there is room for; return how many octets that was."""
        octets = octets[: self.room]
        at = 0
        while at < len(octets):
            size = self._net.segment_len()
            piece = octets[at : at + size]
            self._fly(piece)
            at += len(piece)
        return len(octets)

    def end(self) -> None:
        """Send a FIN after all else."""
        self._fly(Mark.FIN)

    def reset(self) -> None:
        """Send a RST after what is under way already; it is sent once."""
        self._fly(Mark.RST)
        self._is_dead = True

    def kill(self) -> None:
        """Nothing of it arrives any more: the connection was reset, or its sender is no more."""
        self._is_dead = True
        self._flying.clear()
        self._flying_len = 0

    def take(self, size: int) -> bytes:
        """Receive octets."""
        octets = bytes(self.unread[:size])
        del self.unread[:size]
        if octets:
            self._sender.note()  # there is room again
        return octets

    def _fly(self, octets: bytes | Mark) -> None:
        if self._is_dead:
            return
        latency = self._net.latency(self._sender.host, self._receiver.host)
        arrival = self._net.loop.time() + latency
        if self._flying:
            arrival = max(arrival, self._flying[-1][0])
        self._flying.append((arrival, octets))
        self._flying_len += _len(octets)
        self.sent_count += 1
        self._arm(arrival)

    def _arm(self, when: float) -> None:
        if not self._is_armed:
            self._is_armed = True
            self._net.loop.call_at(when, self._arrive)

    def _arrive(self) -> None:
        self._is_armed = False
        if not self._flying:
            return
        if not self._sender.reaches(self._receiver):
            self._retransmit()
            return
        self._tries = 0
        now = self._net.loop.time()
        while self._flying and self._flying[0][0] <= now:
            _, octets = self._flying.popleft()
            self.arrived_count += 1
            self._flying_len -= _len(octets)
            if self._receiver.is_gone:
                if isinstance(octets, bytes):
                    self._receiver.answer_reset(self._sender)
                continue
            if isinstance(octets, bytes):
                self.unread += octets
            elif octets is Mark.FIN:
                self.has_ended = True
            else:
                self._receiver.fail(errno.ECONNRESET)
                return
        self._receiver.note()
        self._sender.note()
        if self._flying:
            self._arm(self._flying[0][0])

    def _retransmit(self) -> None:
        if self._flying[-1][1] is Mark.RST:
            self.kill()  # who has reset a connection has forgotten it
            return
        self._tries += 1
        if self._tries > MOST_TRIES:
            self._sender.fail(errno.ETIMEDOUT)
            return
        self.sent_count += 1
        wait = min(FIRST_RTO * 2 ** (self._tries - 1), MAX_RTO)
        self._arm(self._net.loop.time() + wait)


def _len(octets: bytes | Mark) -> int:
    return len(octets) if isinstance(octets, bytes) else 0
