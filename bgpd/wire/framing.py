"""Messages out of a byte stream, and the header in front of them (RFC 4271 4.1, 6.1).

The stream may be cut anywhere: the same octets give the same messages and the same error
in whatever pieces they come. Therefore an error is not raised from ``feed``, where it would
swallow the messages in front of it, but kept in ``error`` once they are handed out; the
stream is unusable from there on.

    +----------------+----------------+------+
    | marker, 16 x ff| length, 2      | type |  19 octets, then the body
    +----------------+----------------+------+

Our choice where the RFC leaves room: a header is judged when all its 19 octets are there,
in the RFC's order: marker, length against the general limits, type, length against the
type's limits.
"""

from collections.abc import Mapping
from enum import IntEnum
from functools import cache
from struct import Struct
from types import MappingProxyType
from typing import Final

from bgpd.wire.errors import ErrorCode, HeaderSubcode, NotifyError

HEADER_LEN: Final = 19  # octets, RFC 4271 4.1
MAX_MESSAGE_LEN: Final = 4096  # octets with header, RFC 4271 4
MAX_EXTENDED_MESSAGE_LEN: Final = 65535  # octets with header, RFC 8654 3
MARKER: Final = b"\xff" * 16

_LENGTH_AND_TYPE: Final = Struct("!HB")
_HEADER: Final = Struct("!16sHB")


class MessageType(IntEnum):
    """Type codes of the message header (RFC 4271 4.1, RFC 2918 3)."""

    OPEN = 1
    UPDATE = 2
    NOTIFICATION = 3
    KEEPALIVE = 4
    ROUTE_REFRESH = 5


MIN_LEN: Final[Mapping[int, int]] = MappingProxyType(
    {
        MessageType.OPEN: 29,  # RFC 4271 4.2
        MessageType.UPDATE: 23,  # RFC 4271 4.3
        MessageType.NOTIFICATION: 21,  # RFC 4271 4.5
        MessageType.KEEPALIVE: 19,  # RFC 4271 4.4
        MessageType.ROUTE_REFRESH: 23,  # RFC 2918 3
    }
)
"""Shortest length of each type, octets with header."""

FIXED_MAX_LEN: Final[Mapping[int, int]] = MappingProxyType(
    {
        MessageType.OPEN: MAX_MESSAGE_LEN,  # RFC 8654 3 excludes OPEN and KEEPALIVE
        MessageType.KEEPALIVE: 19,
    }
)
"""Longest length of the types that never grow with RFC 8654, octets with header."""


_NO_LENGTH: Final = (1, 0)  # limits of an unknown type, which nothing meets


@cache
def _limits(max_len: int) -> tuple[tuple[int, int], ...]:
    """Return the shortest and longest length by type code, all 256 of them."""
    return tuple(
        (MIN_LEN[kind], FIXED_MAX_LEN.get(kind, max_len))
        if kind in MIN_LEN
        else _NO_LENGTH
        for kind in range(256)
    )


class Framer:
    """Cuts one connection's octets into messages.

    Attributes:
        error: What broke the stream, once it did; nothing is read after it.
    """

    __slots__ = ("_have", "_limits", "_max_len", "_need", "_parts", "error")

    def __init__(self, max_len: int = MAX_MESSAGE_LEN) -> None:
        self.error: NotifyError | None = None
        self._parts: list[bytes] = []  # the partial message at the end, not yet joined
        self._have = 0  # octets in _parts
        self._need = HEADER_LEN  # octets needed before the next step
        self._max_len = max_len
        self._limits = _limits(max_len)

    @property
    def max_len(self) -> int:
        """Longest message accepted, octets with header (RFC 8654: what we offered)."""
        return self._max_len

    @property
    def begun(self) -> bytes:
        """The beginning of a message whose end has not arrived."""
        return b"".join(self._parts)

    # hot: per message
    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take ``data`` and return ``(type, body without header)`` of each whole message.

        A partial message is kept and joined once, when the rest of it is there. After the
        call ``error`` tells whether the stream broke behind the messages returned: 1/1 bad
        marker, 1/2 bad length with the length field as data, 1/3 bad type with the type
        octet as data (RFC 4271 6.1).
        """
        if self._have:
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._need:
                return []
            data = b"".join(self._parts)
        if self.error is not None:
            return []
        messages: list[tuple[int, bytes]] = []
        append = messages.append
        unpack = _HEADER.unpack_from  # half the time of startswith and a smaller unpack
        limits = self._limits
        at, end = 0, len(data)
        need = HEADER_LEN
        while end - at >= HEADER_LEN:
            marker, length, kind = unpack(data, at)
            shortest, longest = limits[kind]
            if marker != MARKER or not shortest <= length <= longest:
                self.error = self._header_error(data, at)
                at = end
                break
            stop = at + length
            if stop > end:
                need = length
                break
            append((kind, data[at + HEADER_LEN : stop]))
            at = stop
        self._need = need
        self._have = end - at
        self._parts = [data[at:]] if at < end else []
        return messages

    def _header_error(self, data: bytes, at: int) -> NotifyError:
        marker, length, kind = _HEADER.unpack_from(data, at)
        if marker != MARKER:
            return NotifyError(
                ErrorCode.HEADER,
                HeaderSubcode.CONNECTION_NOT_SYNCHRONIZED,
                text=f"marker {marker.hex()} is not all ones",
            )
        if HEADER_LEN <= length <= self._max_len and kind not in MIN_LEN:
            return NotifyError(
                ErrorCode.HEADER,
                HeaderSubcode.BAD_MESSAGE_TYPE,
                bytes([kind]),
                f"unknown message type {kind}",
            )
        return NotifyError(
            ErrorCode.HEADER,
            HeaderSubcode.BAD_MESSAGE_LENGTH,
            data[at + 16 : at + 18],
            f"length {length} is invalid for a message of type {kind}",
        )


def encode_message(kind: int, body: bytes) -> bytes:
    """Return ``body`` with the header in front.

    Raises:
        ValueError: The message would be longer than its length field can say.
    """
    length = HEADER_LEN + len(body)
    if length > MAX_EXTENDED_MESSAGE_LEN:
        raise ValueError(f"cannot frame a message of {length} octets")
    return MARKER + _LENGTH_AND_TYPE.pack(length, kind) + body


KEEPALIVE: Final = encode_message(MessageType.KEEPALIVE, b"")
"""The one KEEPALIVE message there is (RFC 4271 4.4)."""
