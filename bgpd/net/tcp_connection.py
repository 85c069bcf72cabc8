"""One TCP connection: reads octets as they arrive, and writes at once if possible."""

import errno
import os
from collections import deque
from collections.abc import Sequence
from itertools import islice
from select import EPOLLIN, EPOLLOUT, POLLIN, POLLOUT
from socket import IPPROTO_TCP, TCP_INFO
from struct import Struct
from typing import Final, NamedTuple, Protocol

from bgpd.capture.ends import Ends
from bgpd.net.network import Socket
from bgpd.net.poller import Poller
from bgpd.net.sockets import (
    SocketError,
    address_of,
    has_device,
    scope_of,
)

# Octets queued for one peer before its update group lets it fall behind. What is queued
# is shared with the group's other members, so this bounds delay more than memory.
HIGH_WATER: Final = 4 << 20
LOW_WATER: Final = 1 << 20
LINGER: Final = 5.0  # seconds for the last octets of a connection that was closed
READ_SIZE: Final = 1 << 15  # octets taken in at a time; some 10,000 prefixes at most
_TIMES: Final = Struct("=44xI4xI12xI")
"""Of struct tcp_info: tcpi_last_data_sent and tcpi_last_data_recv, ms; tcpi_rtt, us."""
_MOST_BUFFERS: Final = 64  # of one write; the kernel takes up to 1024


class ConnectionOwner(Protocol):
    """The receiver of a connection's events: a peer's driver."""

    def data_received(self, conn_id: int, data: bytes) -> None:
        """Octets arrived."""

    def connection_lost(self, conn_id: int, reason: str) -> None:
        """The connection ended, and not because its owner closed it."""

    def writing_resumed(self, conn_id: int) -> None:
        """After a write that returned false: there is room again."""


class TcpFacts(NamedTuple):
    """What the kernel knows of a connection.

    Attributes:
        local_port: Ours.
        remote_port: The peer's.
        since_sent: Seconds since data last left for the peer; a full socket sends none.
        since_received: Seconds since data of the peer last arrived.
        round_trip_time: Seconds, smoothed (RFC 6298).
    """

    local_port: int
    remote_port: int
    since_sent: float
    since_received: float
    round_trip_time: float


class Connection:
    """An established connection; reading starts at once.

    Args:
        poller: Tells when the socket is ready.
        sock: Not blocking; the connection's own from here on.

    Attributes:
        sock: For options.
        owner: Who takes what is received; ``None`` once the connection is closed.
        conn_id: The owner's name for it.
        key: The MD5 key that signs it; empty for none.
        unsent_len: Octets that wait for room in the socket.
    """

    __slots__ = (
        "_descriptor",
        "_is_closing",
        "_is_paused",
        "_poller",
        "_unsent",
        "conn_id",
        "key",
        "owner",
        "sock",
        "unsent_len",
    )

    def __init__(self, poller: Poller, sock: Socket) -> None:
        self.sock = sock
        self.owner: ConnectionOwner | None = None
        self.conn_id = 0
        self.key = ""
        self.unsent_len = 0
        self._poller = poller
        self._descriptor = sock.fileno()  # -1 once there is none any more
        self._unsent: deque[memoryview] = deque()
        self._is_paused = False
        self._is_closing = False
        poller.add(self._descriptor, self)

    @property
    def is_closed(self) -> bool:
        """Whether the socket is gone."""
        return self._descriptor < 0

    def address_pair(self) -> tuple[str, str]:
        """Return our and the peer's address, canonical; empty where the peer is gone.

        A link-local one has its zone, the device that the connection came over.
        """
        try:
            local, remote = self.sock.getsockname(), self.sock.getpeername()
            return address_of(local), address_of(remote)
        except OSError:  # the peer is gone, or the device is
            return "", ""

    def ends(self, port: int) -> Ends | None:
        """Return both ends; ``None`` once it is gone.

        Args:
            port: Where the peer listens: a connection to it is ours.
        """
        local, remote = self.address_pair()
        try:
            ours, theirs = self.sock.getsockname()[1], self.sock.getpeername()[1]
        except OSError:
            return None
        is_outgoing = theirs == port != ours
        return Ends(local, ours, remote, theirs, is_outgoing) if remote else None

    def facts(self) -> TcpFacts | None:
        """Return ports and the kernel's times of the connection; ``None`` once it is gone."""
        try:
            ours, theirs = self.sock.getsockname()[1], self.sock.getpeername()[1]
            info = self.sock.getsockopt(IPPROTO_TCP, TCP_INFO, _TIMES.size)
        except OSError:
            return None
        sent, received, round_trip = _TIMES.unpack(info)
        return TcpFacts(ours, theirs, sent / 1e3, received / 1e3, round_trip / 1e6)

    def head_of_unsent(self) -> bytes:
        """Return octets that wait for room, up to the end of a message.

        They may begin inside of a message whose other octets are sent.
        """
        return bytes(self._unsent[0]) if self._unsent else b""

    def has_unread(self) -> bool:
        """Whether data, or the end of the stream, waits to be read."""
        return self._is_ready(POLLIN)

    def has_room(self) -> bool:
        """Whether the peer has read something, so that waiting data could leave."""
        return self._is_ready(POLLOUT)

    def _is_ready(self, events: int) -> bool:
        has_events = self._poller.network.has_events
        return self._descriptor >= 0 and has_events(self._descriptor, events)

    def close(self) -> None:
        """Close without telling the owner; what was written may still leave.

        A peer that takes nothing is cut off in the end: closing would wait for it for
        ever, and so would the octets.
        """
        self.owner = None
        if self._is_closing:
            return
        self._is_closing = True
        if self._unsent:
            self._poller.watch(self._descriptor, EPOLLOUT)
            self._poller.loop.call_later(LINGER, self._cut_off)
        else:
            self._end()

    def _end(self) -> None:
        if self._descriptor >= 0:
            self._poller.remove(self._descriptor)
            self._descriptor = -1
            self._is_closing = True
            self._unsent.clear()
            self.unsent_len = 0
            self.sock.close()

    def _cut_off(self) -> None:
        """Write what there is room for, as after a stall, and end."""
        if self._unsent and self._descriptor >= 0:
            self._write_on()
        self._end()

    def _lose(self, reason: str) -> None:
        """Tell the session, unless it closed the connection itself."""
        self._end()
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.connection_lost(self.conn_id, reason)

    def give_up(self, reason: str = "closed because of an internal error") -> None:
        """Drop the connection and report it to the session."""
        self._lose(reason)

    def has_lost_device(self) -> bool:
        """Whether its interface is gone, so that it can never continue.

        Another device of the same name is of no use to it.
        """
        try:
            name = self.sock.getpeername()
        except OSError:
            return False  # it is ending already
        number = scope_of(name)
        return number != 0 and not has_device(number)

    # -- out ----------------------------------------------------------------------------

    # hot: per flush and member
    def write(self, buffers: Sequence[bytes]) -> bool:
        """Write octets now; what the socket has no room for waits.

        Returns:
            Whether more may follow. Where not, more than ``HIGH_WATER`` waits; the owner
            hears ``writing_resumed`` once no more than ``LOW_WATER`` does, and gets the
            same answer until then. What is written all the same waits too.
        """
        if self._is_closing:
            return True
        if self._unsent:
            return self._queue(buffers, 0)
        try:
            if len(buffers) == 1:
                written = self.sock.send(buffers[0])
                if written == len(buffers[0]):
                    return True
            else:
                written = self.sock.sendmsg(buffers)
        except OSError:
            written = 0  # full; or broken, as the socket says when asked for room
        return self._queue(buffers, written)

    def _queue(self, buffers: Sequence[bytes], written: int) -> bool:
        """Let what is left of buffers wait, after the first octets were written."""
        unsent, had_oversized = self._unsent, bool(self._unsent)
        for octets in buffers:
            size = len(octets)
            if written < size:
                unsent.append(memoryview(octets)[written:])
                self.unsent_len += size - written
                written = 0
            else:
                written -= size
        if unsent and not had_oversized:
            self._poller.watch(self._descriptor, EPOLLIN | EPOLLOUT)
        if self.unsent_len > HIGH_WATER:
            self._is_paused = True
        return not self._is_paused

    def _write_on(self) -> None:
        unsent = self._unsent
        try:
            written = self.sock.sendmsg([*islice(unsent, _MOST_BUFFERS)])
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(reason_of(error))
            return
        self.unsent_len -= written
        while written:
            size = len(unsent[0])
            if written < size:
                unsent[0] = unsent[0][written:]
                break
            written -= size
            unsent.popleft()
        if not unsent and self._is_closing:
            self._end()
        elif not unsent:
            self._poller.watch(self._descriptor, EPOLLIN)
        if self._is_paused and self.unsent_len <= LOW_WATER:
            self._is_paused = False
            if self.owner is not None:
                self.owner.writing_resumed(self.conn_id)

    # -- in -----------------------------------------------------------------------------

    # hot: per read
    def ready(self, events: int) -> None:
        """Read a chunk and pass it on, and write what waits, as far as there is room."""
        if events & EPOLLOUT:
            self._write_on()
        if events & ~EPOLLOUT and self._descriptor >= 0:
            try:
                data = self.sock.recv(READ_SIZE)
            except BlockingIOError:
                return
            except OSError as error:
                self._lose(reason_of(error))
                return
            if not data:
                self._lose(reason_of(None))  # BGP has no half-closed sessions
            elif self.owner is not None:
                self.owner.data_received(self.conn_id, data)


def reason_of(error: BaseException | None) -> str:
    """Return what went wrong in a few words."""
    if error is None:
        return "closed by the peer"
    if isinstance(error, SocketError):
        return str(error.strerror)
    number = getattr(error, "errno", None)
    if number == errno.ECONNREFUSED:
        return "connection refused"
    return os.strerror(number) if number else str(error)
