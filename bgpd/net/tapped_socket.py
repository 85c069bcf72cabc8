"""Listening in on a connection: its socket is replaced by one that also tells of octets.

Nothing looks for a tap where octets are read or written: a connection without one has its own socket, so
it costs nothing.
"""

from collections.abc import Sequence
from typing import Protocol, cast

from bgpd.net.network import Socket
from bgpd.net.tcp_connection import Connection


class SocketTap(Protocol):
    """Hears what passes on one connection."""

    def received(self, octets: bytes) -> None:
        """Octets were read."""

    def sent(self, octets: bytes) -> None:
        """The kernel took octets."""

    def closed(self, *, is_local: bool) -> None:
        """The connection is over; the peer closed it, or we did."""


class TappedSocket:
    """Stands before a connection's socket (``bgpd.net.network.Socket``).

    Args:
        sock: The connection's own.

    Attributes:
        sock: The same.
        taps: Who listens.
    """

    def __init__(self, sock: Socket) -> None:
        self.sock = sock
        self.taps: list[SocketTap] = []
        self._is_over = False

    def __getattr__(self, name: str) -> object:
        return getattr(self.sock, name)  # options and addresses

    def recv(self, size: int, /) -> bytes:
        """See ``Socket``."""
        try:
            octets = self.sock.recv(size)
        except BlockingIOError:
            raise
        except OSError:
            self._end(is_local=False)
            raise
        if octets:
            for tap in self.taps:
                tap.received(octets)
        else:
            self._end(is_local=False)
        return octets

    def send(self, octets: bytes, /) -> int:
        """See ``Socket``."""
        count = self.sock.send(octets)
        self._tell_sent(octets[:count])
        return count

    def sendmsg(self, buffers: "Sequence[bytes | memoryview]", /) -> int:
        """See ``Socket``."""
        count = self.sock.sendmsg(buffers)
        self._tell_sent(b"".join(buffers)[:count])
        return count

    def close(self) -> None:
        """See ``Socket``."""
        self._end(is_local=True)
        self.sock.close()

    def _tell_sent(self, octets: bytes | memoryview) -> None:
        whole = bytes(octets)  # no copy where it is bytes
        for tap in self.taps:
            tap.sent(whole)

    def _end(self, *, is_local: bool) -> None:
        if not self._is_over:
            self._is_over = True
            for tap in self.taps:
                tap.closed(is_local=is_local)


def attach(connection: Connection, tap: SocketTap) -> None:
    """Let ``tap`` hear what passes from now on."""
    sock = cast("object", connection.sock)
    if not isinstance(sock, TappedSocket):
        sock = TappedSocket(connection.sock)
        connection.sock = cast("Socket", sock)
    sock.taps.append(tap)


def detach(connection: Connection, tap: SocketTap) -> None:
    """Let ``tap`` hear no more; without any, the connection has its own socket again."""
    sock = cast("object", connection.sock)
    if isinstance(sock, TappedSocket) and tap in sock.taps:
        sock.taps = [each for each in sock.taps if each is not tap]
        if not sock.taps:
            connection.sock = sock.sock
