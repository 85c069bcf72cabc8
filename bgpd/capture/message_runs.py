"""Whole messages out of one direction of a connection, header included. Pure.

``bgpd.wire.framing`` hands a session the bodies of messages, and stops where one is not as it must be. A
capture keeps octets as they were sent instead, also those that broke a session.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final

from bgpd.wire.framing import HEADER_LEN, MARKER

_HEAD: Final = Struct("!16sH")  # marker and length, RFC 4271 4.1
NO_MESSAGE: Final = 0  # in place of a type: octets without a valid header


class MessageRuns:
    """Cuts octets between messages.

    Args:
        begun: The beginning of a message that was received before.
        skipped: Octets at first that belong to a message whose beginning is unknown.
    """

    __slots__ = ("_is_broken", "_part", "_skipped")

    def __init__(self, begun: bytes = b"", skipped: int = 0) -> None:
        self._part = begun
        self._skipped = skipped
        self._is_broken = False

    def feed(self, octets: bytes) -> tuple[bytes, int]:
        """Return a run of whole messages, and how many; what is left of the octets waits.

        Once a header is malformed no boundary is known: octets then go through as they come, each
        time as one.
        """
        if self._skipped:
            left = self._skipped - len(octets)
            octets = octets[self._skipped :]
            self._skipped = max(left, 0)
        data = self._part + octets if self._part else octets
        if self._is_broken:
            return data, int(bool(data))
        at = count = 0
        end = len(data)
        unpack = _HEAD.unpack_from
        while end - at >= HEADER_LEN:
            marker, length = unpack(data, at)
            if length < HEADER_LEN or marker != MARKER:
                self._is_broken = True
                self._part = b""
                return data, count + 1
            if at + length > end:
                break
            at += length
            count += 1
        self._part = data[at:]
        return data[:at], count

    def rest(self) -> bytes:
        """Return what waits for the end of its message: the connection is closed."""
        part, self._part = self._part, b""
        return part


def messages_of(run: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and octets of each message in a run; ``NO_MESSAGE`` for octets without a valid header."""
    at, end = 0, len(run)
    while at < end:
        length = 0
        if end - at >= HEADER_LEN and run.startswith(MARKER, at):
            length = run[at + 16] << 8 | run[at + 17]
        if length < HEADER_LEN or at + length > end:
            yield NO_MESSAGE, run[at:]
            return
        yield run[at + 18], run[at : at + length]
        at += length


def first_boundary(octets: bytes) -> int:
    """Return where the first message begins whose predecessor's beginning is missing.

    Args:
        octets: They end with a message; the length of all where none begins in them.
    """
    at = octets.find(MARKER)
    while at >= 0:
        if _ends_with_message(octets, at):
            return at
        at = octets.find(MARKER, at + 1)
    return len(octets)


def _ends_with_message(octets: bytes, at: int) -> bool:
    """Whether messages from ``at`` on reach the very end."""
    end = len(octets)
    while at + HEADER_LEN <= end and octets.startswith(MARKER, at):
        length = octets[at + 16] << 8 | octets[at + 17]
        if length < HEADER_LEN:
            return False
        at += length
    return at == end
