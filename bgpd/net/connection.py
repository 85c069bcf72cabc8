"""TCP connections, and the pace at which what they bring is taken in.

One turn of the event loop may find a thousand sockets ready, or one with megabytes; taking
all of it in at once would let timers wait. What a turn has no time for is kept, a chunk for
each connection, which is not read from until a later turn has taken it: so memory is
bounded, and TCP slows the sender down.
"""

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable, Sequence
from os import write, writev
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from bgpd.net.sockets import SocketError, canonical

if TYPE_CHECKING:
    from bgpd.net.driver import PeerDriver

# Octets queued for one peer before its update group lets it fall behind. What is queued
# is shared with the group's other members, so this bounds delay more than memory.
HIGH_WATER: Final = 4 << 20
LOW_WATER: Final = 1 << 20
LINGER: Final = 5.0  # seconds for the last octets of a connection that was closed
RECEIVE_BUFFER: Final = 1 << 16  # octets, one for all connections
TAKE_TIME = (
    0.005  # seconds of one turn for what was received; not Final: tests change it
)


class Inbox:
    """What all connections receive into, and those whose octets wait.

    A buffer for each connection would cost 64 KiB a peer.

    Args:
        loop: Whose turns count.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.view = memoryview(bytearray(RECEIVE_BUFFER))
        self._loop = loop
        self._until = 0.0  # monotonic seconds; of this turn, 0 before its first octets
        self._waiting: deque[Connection] = deque()

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._waiting)

    def has_time(self) -> bool:
        """Tell whether this turn can take more in; the first of a turn starts its clock."""
        now = monotonic()
        if not self._until:
            self._until = now + TAKE_TIME
            self._loop.call_later(0, self._turn)
            return True
        return now < self._until and not self._waiting

    def put(self, connection: "Connection") -> None:
        """Let a later turn take what a connection holds."""
        self._waiting.append(connection)

    def _turn(self) -> None:
        if not self._waiting:
            self._until = 0.0
            return
        self._until = monotonic() + TAKE_TIME
        self._loop.call_later(0, self._turn)
        while self._waiting:
            self._waiting.popleft().take_received()
            if monotonic() >= self._until:
                break


class Connection(asyncio.BufferedProtocol):
    """One TCP connection, handed over as soon as it stands.

    Args:
        inbox: Shared by all connections.
        made: Takes the connection, or closes it; called before any octet is received.
        is_held: ``close`` has to wait for ``release``.
    """

    def __init__(
        self,
        inbox: Inbox,
        made: Callable[["Connection"], None],
        *,
        is_held: bool = False,
    ) -> None:
        self._made = made
        self._is_held = is_held
        self._is_unwanted = False
        self.conn_id = 0
        self.driver: PeerDriver | None = None
        self.transport: asyncio.Transport | None = None
        self.is_outgoing = False
        self._inbox = inbox
        self._received = b""  # what waits in the inbox
        self._end = ""  # why there is no connection any more
        self._fd = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport and hand the connection over."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        self._fd = self.transport.get_extra_info("socket").fileno()
        self._made(self)

    def address_pair(self) -> tuple[str, str]:
        """Return our and the peer's address, canonical; empty where the peer is gone."""
        if self.transport is None:
            return "", ""
        pair = [self.transport.get_extra_info(n) for n in ("sockname", "peername")]
        local, remote = (canonical(name[0]) if name else "" for name in pair)
        return local, remote

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close without telling the driver; what was written may still leave.

        A peer that takes nothing is cut off in the end: closing would wait for it for
        ever, and so would the octets.
        """
        self.driver = None
        self._is_unwanted = True
        transport = self.transport
        if transport is not None and not self._is_held:
            transport.close()
            if transport.get_write_buffer_size():
                loop.call_later(LINGER, transport.abort)

    def release(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the connection be closed, and close it if that was asked for.

        uvloop's ``create_connection`` loses track of a socket whose transport is closed
        before it has returned: the descriptor would be closed a second time later, when
        it may be another connection's.
        """
        self._is_held = False
        if self._is_unwanted:
            self.close(loop)

    @property
    def unsent_len(self) -> int:
        """Octets that wait for room in the socket."""
        return self.transport.get_write_buffer_size() if self.transport else 0

    # hot: per flush and member
    def write(self, buffers: Sequence[bytes]) -> None:
        """Put octets on the wire now; what the socket has no room for waits.

        A transport writes at the end of the loop's turn, where no clock can tell what it
        will take, and the first of a thousand members waits for the last.
        """
        transport = self.transport
        if transport is None or self._is_unwanted:
            return
        if not transport.get_write_buffer_size():
            try:
                # The descriptor is the transport's until connection_lost.
                if len(buffers) == 1:
                    written = write(self._fd, buffers[0])
                else:
                    written = writev(self._fd, buffers)
            except OSError:
                written = 0  # full, or broken: the transport sees to it
            for octets in buffers:
                if written < len(octets):
                    transport.write(memoryview(octets)[written:])
                    written = 0
                else:
                    written -= len(octets)
        else:
            transport.writelines(buffers)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Return the shared buffer: what is in it is taken before the next call."""
        return self._inbox.view

    def buffer_updated(self, nbytes: int) -> None:
        """Pass received octets on, now or in a turn to come."""
        if self.driver is None:
            return
        data = bytes(self._inbox.view[:nbytes])
        if self._inbox.has_time():
            self.driver.data_received(self.conn_id, data)
        elif self.transport is not None:
            self._received = data
            self.transport.pause_reading()
            self._inbox.put(self)

    def take_received(self) -> None:
        """Pass on what had to wait, and read on, or tell that this is the end."""
        data, self._received = self._received, b""
        if self.driver is not None and data:
            self.driver.data_received(self.conn_id, data)
        if self._end:
            driver, self.driver = self.driver, None
            if driver is not None:
                driver.connection_lost(self.conn_id, self._end)
        elif self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        """Let the transport close: BGP has no half-closed sessions."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the session, unless it closed the connection itself.

        What waits is told first; a thousand that are lost at once take turns, too.
        """
        self.transport = None
        self._end = reason_of(exc)
        if not self._received:
            if self._inbox.has_time():
                self.take_received()
            else:
                self._inbox.put(self)

    def pause_writing(self) -> None:
        """The socket is full."""
        if self.driver is not None:
            self.driver.writing_paused(self.conn_id)

    def resume_writing(self) -> None:
        """The socket has room."""
        if self.driver is not None:
            self.driver.writing_resumed(self.conn_id)


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
