"""NOTIFICATION: why a connection ends, in octets and in words (RFC 4271 4.5).

Shutdown communication is RFC 9003 (which keeps RFC 8203's format), hard reset RFC 8538.
A NOTIFICATION is never answered (RFC 4271 6.4), so decoding accepts every code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from bgpd.wire.errors import (
    CeaseSubcode,
    ErrorCode,
    FsmSubcode,
    HeaderSubcode,
    NotifyError,
    OpenSubcode,
    RouteRefreshSubcode,
    UpdateSubcode,
)
from bgpd.wire.framing import HEADER_LEN, MAX_MESSAGE_LEN, MessageType, encode_message

MAX_COMMUNICATION_LEN: Final = 255  # octets of UTF-8, RFC 9003 2

_CODES: Final = {int(code): code for code in ErrorCode}
_SUBCODES: Final[Mapping[int, type[IntEnum]]] = MappingProxyType(
    {
        ErrorCode.HEADER: HeaderSubcode,
        ErrorCode.OPEN: OpenSubcode,
        ErrorCode.UPDATE: UpdateSubcode,
        ErrorCode.FSM: FsmSubcode,
        ErrorCode.CEASE: CeaseSubcode,
        ErrorCode.ROUTE_REFRESH: RouteRefreshSubcode,
    }
)
_SUBCODE_NAMES: Final[Mapping[int, Mapping[int, str]]] = MappingProxyType(
    {
        code: {int(member): member.name for member in members}
        for code, members in _SUBCODES.items()
    }
)
_WITH_COMMUNICATION: Final = (
    CeaseSubcode.ADMINISTRATIVE_SHUTDOWN,
    CeaseSubcode.ADMINISTRATIVE_RESET,
)


def _words(name: str) -> str:
    return name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True)
class Notification:
    """One NOTIFICATION as on the wire.

    Attributes:
        code: See ``ErrorCode``; other values are kept.
        subcode: Its meaning depends on ``code``.
        data: What the RFC of the code says; may be anything when received.
    """

    code: int
    subcode: int = 0
    data: bytes = b""

    @property
    def is_hard_reset(self) -> bool:
        """Whether routes must not be kept (RFC 8538 3)."""
        return (self.code, self.subcode) == (ErrorCode.CEASE, CeaseSubcode.HARD_RESET)

    @property
    def inner(self) -> "Notification":
        """The reason inside a hard reset, or the notification itself."""
        if self.is_hard_reset and len(self.data) >= 2:
            return Notification(self.data[0], self.data[1], self.data[2:])
        return self

    @property
    def communication(self) -> str:
        """The text its sender gave (RFC 9003), or an empty string.

        Octets that are not UTF-8 are shown as replacement characters, and so are control
        characters, since the text goes to terminals and logs.
        """
        reason = self.inner
        if reason.code != ErrorCode.CEASE or reason.subcode not in _WITH_COMMUNICATION:
            return ""
        length = reason.data[0] if reason.data else 0
        text = reason.data[1 : 1 + length].decode("utf-8", "replace")
        return "".join(c if c.isprintable() else "\ufffd" for c in text)

    def __str__(self) -> str:
        """Return such as ``6/2 cease, administrative shutdown: "maintenance"``."""
        reason = self.inner
        code = _CODES.get(reason.code)
        name = _words(code.name) if code is not None else "unknown code"
        text = f"{reason.code}/{reason.subcode} {name}"
        subcode = _SUBCODE_NAMES.get(reason.code, {}).get(reason.subcode)
        if subcode is not None:
            text += f", {_words(subcode)}"
        if self.is_hard_reset and reason is not self:
            text = f"hard reset: {text}"
        if said := self.communication:
            text += f': "{said}"'
        return text


def decode_notification(body: bytes) -> Notification:
    """Return the notification in ``body``, at least two octets (the framer saw to it)."""
    return Notification(body[0], body[1], body[2:])


def encode_notification(
    notification: Notification, max_len: int = MAX_MESSAGE_LEN
) -> bytes:
    """Return the whole message; data too long for the peer is cut.

    Args:
        notification: What to send.
        max_len: Longest message the peer takes, octets with header.
    """
    room = max_len - HEADER_LEN - 2
    body = bytes([notification.code, notification.subcode]) + notification.data[:room]
    return encode_message(MessageType.NOTIFICATION, body)


def from_error(error: NotifyError) -> Notification:
    """Return the notification that ``error`` asks to send."""
    return Notification(int(error.code), int(error.subcode), error.data)


def cease(
    subcode: CeaseSubcode, communication: str = "", *, is_hard: bool = False
) -> Notification:
    """Return a Cease, with text where its subcode takes one.

    Args:
        subcode: Why.
        communication: For the peer's operator (RFC 9003), cut at 255 octets between
            characters; left out where the subcode carries none.
        is_hard: Wrap it into a hard reset (RFC 8538 3.1); only for peers that set the
            N flag.
    """
    data = b""
    if communication and subcode in _WITH_COMMUNICATION:
        octets = communication.encode("utf-8", "replace")[:MAX_COMMUNICATION_LEN]
        octets = octets.decode("utf-8", "ignore").encode()
        data = bytes([len(octets)]) + octets
    notification = Notification(ErrorCode.CEASE, subcode, data)
    if not is_hard or subcode == CeaseSubcode.HARD_RESET:
        return notification
    return hard_reset(notification)


def hard_reset(why: Notification) -> Notification:
    """Return a hard reset with the reason in it (RFC 8538 3.1)."""
    inner = bytes([why.code, why.subcode]) + why.data
    return Notification(ErrorCode.CEASE, CeaseSubcode.HARD_RESET, inner)
