"""Captures: messages of some peers, as they pass, for clients of the API.

A capture has the addresses of its peers, not the peers themselves: it goes on when a session ends, and
finds a peer that connects, or is configured, later. What passes waits in a queue of bounded size. If its
reader is too slow, messages are dropped and counted: a capture never delays a session.

There are only so many captures at once; the poller knows of them only while there are any.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

from bgpd.capture.ends import Ends
from bgpd.capture.message_runs import MessageRuns, first_boundary
from bgpd.net.poller import Pollable, Poller
from bgpd.net.tapped_socket import attach, detach
from bgpd.net.tcp_connection import Connection
from bgpd.speaker.peer import Peer

MOST_CAPTURES: Final = 4
MOST_WAITING: Final = 4 << 20  # octets that wait for one reader
_PIECE_COST: Final = 256  # octets of memory beside those of a piece's messages


class Happening(Enum):
    """What a piece is about."""

    FOUND = "found"  # a connection that was there
    OPENED = "opened"
    MESSAGES = "message"
    CLOSED = "closed"


class Link(NamedTuple):
    """A connection of a peer.

    Attributes:
        number: Counted by the capture, from 1.
        address: The peer's, as its settings have it.
        ends: Of the connection.
    """

    number: int
    address: str
    ends: Ends


class Piece(NamedTuple):
    """What happened at one moment.

    Attributes:
        at: Seconds of the wall clock.
        link: Where.
        happening: What.
        is_local: We sent it, or closed the connection.
        octets: A run of whole messages (``bgpd.capture.message_runs``).
    """

    at: float
    link: Link
    happening: Happening
    is_local: bool = False
    octets: bytes = b""


class Capture:
    """One capture.

    Args:
        addresses: Of the peers.
        directions: Whether what we sent is wanted, and what we received: true and false.

    Attributes:
        addresses: The same.
        dropped: Messages for which there was no room.
        links: Connections so far.
    """

    def __init__(self, addresses: frozenset[str], directions: frozenset[bool]) -> None:
        self.addresses = addresses
        self.dropped = 0
        self.links = 0
        self._directions = directions
        self._pieces: deque[Piece] = deque()
        self._size = 0  # octets in it
        self._waiter: asyncio.Future[None] | None = None

    def add(self, piece: Piece, count: int = 0) -> None:
        """Let a piece wait for the reader, or drop it.

        Args:
            piece: What happened.
            count: Messages in it.
        """
        if piece.octets and piece.is_local not in self._directions:
            return
        size = _PIECE_COST + len(piece.octets)
        if self._size + size > MOST_WAITING:
            self.dropped += count
            return
        self._size += size
        self._pieces.append(piece)
        self.wake()

    def take(self) -> Piece | None:
        """Return what waits longest; ``None`` for nothing."""
        if not self._pieces:
            return None
        piece = self._pieces.popleft()
        self._size -= _PIECE_COST + len(piece.octets)
        return piece

    def next_piece(self) -> "asyncio.Future[None]":
        """Return what the next piece, or ``wake``, fulfils; for one reader."""
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def wake(self) -> None:
        """Let the reader look: its time may be up."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class _LinkTap:
    """One connection for one capture (``bgpd.net.tapped_socket.SocketTap``).

    Args:
        capture: Where it goes.
        link: What is listened to.
        begun: Of the message that is being received.
        skipped: Octets that are still to be sent of a message whose beginning was sent before.
    """

    def __init__(
        self, capture: Capture, link: Link, begun: bytes = b"", skipped: int = 0
    ) -> None:
        self._capture = capture
        self._link = link
        self._runs = {False: MessageRuns(begun), True: MessageRuns(b"", skipped)}

    def received(self, octets: bytes) -> None:
        """See ``SocketTap``."""
        self._passed(octets, is_local=False)

    def sent(self, octets: bytes) -> None:
        """See ``SocketTap``."""
        self._passed(octets, is_local=True)

    def _passed(self, octets: bytes, *, is_local: bool) -> None:
        run, count = self._runs[is_local].feed(octets)
        if run:
            self._add(Happening.MESSAGES, run, count, is_local=is_local)

    def closed(self, *, is_local: bool) -> None:
        """See ``SocketTap``."""
        for side, runs in self._runs.items():
            if rest := runs.rest():
                self._add(Happening.MESSAGES, rest, 1, is_local=side)
        self._add(Happening.CLOSED, is_local=is_local)

    def _add(
        self, what: Happening, octets: bytes = b"", count: int = 0, *, is_local: bool
    ) -> None:
        now = time.time()
        self._capture.add(Piece(now, self._link, what, is_local, octets), count)


class Captures:
    """Those of one speaker (``bgpd.net.poller.ConnectionWatch``).

    Args:
        poller: Has the connections.
        peers: By remote address.
    """

    def __init__(self, poller: Poller, peers: Mapping[str, Peer]) -> None:
        self._poller = poller
        self._peers = peers
        self._taps: dict[Capture, list[tuple[Connection, _LinkTap]]] = {}

    @property
    def has_room(self) -> bool:
        """Whether one more can begin."""
        return len(self._taps) < MOST_CAPTURES

    def begin(self, capture: Capture) -> None:
        """Capture what passes from now on."""
        self._taps[capture] = []
        self._poller.connection_watch = self
        for connection in self._poller.pollables():
            if isinstance(connection, Connection) and connection.owner is not None:
                self._tap(capture, connection, is_outgoing=None)

    def end(self, capture: Capture) -> None:
        """Let connections have their own sockets again."""
        for connection, tap in self._taps.pop(capture, ()):
            detach(connection, tap)
        if not self._taps and self._poller.connection_watch is self:
            self._poller.connection_watch = None

    def connected(self, connection: Pollable, *, is_outgoing: bool) -> None:
        """See ``ConnectionWatch``."""
        if isinstance(connection, Connection):
            for capture in self._taps:
                self._tap(capture, connection, is_outgoing=is_outgoing)

    def _tap(
        self, capture: Capture, connection: Connection, *, is_outgoing: bool | None
    ) -> None:
        _, remote = connection.address_pair()
        if remote not in capture.addresses:
            return
        peer = self._peers.get(remote)
        ends = connection.ends(0 if peer is None else peer.settings.port)
        if ends is None:  # it is ending
            return
        is_found = is_outgoing is None
        if is_outgoing is not None:
            ends = ends._replace(is_outgoing=is_outgoing)
        capture.links += 1
        link = Link(capture.links, remote, ends)
        begun = b""
        if is_found and peer is not None:
            begun = peer.driver.session.begun_message(connection.conn_id)
        skipped = first_boundary(connection.head_of_unsent())
        tap = _LinkTap(capture, link, begun, skipped)
        attach(connection, tap)
        kept = self._taps[capture]
        kept[:] = [pair for pair in kept if not pair[0].is_closed]
        kept.append((connection, tap))
        what = Happening.FOUND if is_found else Happening.OPENED
        capture.add(Piece(time.time(), link, what, ends.is_outgoing))


def captures_of(poller: Poller, peers: Mapping[str, Peer]) -> Captures:
    """Return the captures of a speaker that are under way, or where they can begin."""
    watch = poller.connection_watch
    return watch if isinstance(watch, Captures) else Captures(poller, peers)
