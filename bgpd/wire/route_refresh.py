"""ROUTE-REFRESH: asking for routes again, and marking where they begin and end.

RFC 2918 section 3 and RFC 7313 section 3.2; the former's reserved octet is the latter's
subtype:

    +--------+---------+--------+
    | AFI, 2 | subtype | SAFI   |  4 octets after the header
    +--------+---------+--------+
"""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

from bgpd.wire.errors import (
    ErrorCode,
    NotifyError,
    RouteRefreshSubcode,
)
from bgpd.wire.framing import MessageType, encode_message
from rib.family import Family

_BODY: Final = Struct("!HBB")


class RefreshSubtype(IntEnum):
    """Message subtypes (RFC 7313 3.2)."""

    REQUEST = 0
    BEGIN = 1  # BoRR: what follows replaces all that was sent before
    END = 2  # EoRR: what was not sent again is stale


_SUBTYPES: Final = {int(subtype): subtype for subtype in RefreshSubtype}


@dataclass(frozen=True, slots=True)
class RouteRefresh:
    """One ROUTE-REFRESH message.

    Attributes:
        family: Which routes.
        subtype: What it says about them.
    """

    family: Family
    subtype: RefreshSubtype = RefreshSubtype.REQUEST


def decode_route_refresh(body: bytes, *, has_enhanced: bool) -> RouteRefresh | None:
    """Return the message, or ``None`` when it is to be ignored (RFC 7313 5).

    What follows a request, such as the filters of RFC 5291 that we never ask for, is passed
    over: no RFC ends a session for it.

    Args:
        body: The message without its header, at least 4 octets (the framer saw to it).
        has_enhanced: Both sides offered RFC 7313; without it a mark means nothing.

    Raises:
        NotifyError: 7/1 with the whole message as data: a mark is too long (RFC 7313 5).
    """
    afi, number, safi = _BODY.unpack_from(body)
    subtype = _SUBTYPES.get(number)
    is_mark = subtype is not RefreshSubtype.REQUEST
    if subtype is None or (is_mark and not has_enhanced):
        return None
    if is_mark and len(body) != _BODY.size:
        whole = encode_message(MessageType.ROUTE_REFRESH, body)
        raise NotifyError(
            ErrorCode.ROUTE_REFRESH,
            RouteRefreshSubcode.INVALID_MESSAGE_LENGTH,
            whole,
            f"ROUTE-REFRESH of {len(whole)} octets, expected 23",
        )
    return RouteRefresh(Family(afi, safi), subtype)


def encode_route_refresh(message: RouteRefresh) -> bytes:
    """Return the whole message, header included."""
    afi, safi = message.family
    return encode_message(
        MessageType.ROUTE_REFRESH, _BODY.pack(afi, message.subtype, safi)
    )
