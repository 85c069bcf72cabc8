"""What clients send, taken some at a time.

A thousand clients that wait for nothing but each other, such as pages that poll or a job that starts on
every machine, send in the same moment; their sockets are all ready in one turn of the loop. To parse a
request takes 0.1 ms, so the turn would last as long as all of them.
"""

import asyncio
from collections import deque
from typing import Final, Protocol

READS: Final = 16  # pieces that are parsed in one turn, some 1 ms


class Reader(Protocol):
    """A connection.

    Attributes:
        held: Pieces of it that wait.
    """

    held: int

    def parse(self, octets: bytes) -> None:
        """Take what was received."""

    def hold(self) -> None:
        """Receive no more: the piece before has to wait."""

    def go_on(self) -> None:
        """Receive again."""


class ReadTurns:
    """Parses what was received by all connections that share it, ``READS`` pieces a turn."""

    def __init__(self) -> None:
        self._left = READS
        self._waiting: deque[tuple[Reader, bytes]] = deque()
        self._is_due = False

    def received(self, reader: Reader, octets: bytes) -> None:
        """Parse a piece now, or in one of the next turns behind those that wait."""
        if self._left and not self._waiting:
            self._left -= 1
            reader.parse(octets)
        else:
            if not reader.held:
                reader.hold()
            reader.held += 1
            self._waiting.append((reader, octets))
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        self._left = READS
        while self._waiting and self._left:
            self._left -= 1
            reader, octets = self._waiting.popleft()
            reader.held -= 1
            if not reader.held:
                # First: to parse may be to hold again, for reasons of its own.
                reader.go_on()
            reader.parse(octets)
        self._is_due = bool(self._waiting)
        if self._is_due:
            asyncio.get_running_loop().call_soon(self._begin_turn)
