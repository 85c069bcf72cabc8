"""BMP messages: octets, and nothing else (RFC 7854, RFC 9069). Pure.

    +---------+-----------+---------+-----------------------------------------+-------------+
    | version | length, 4 | type, 1 | which peer and which of its tables, 42  | its own part|
    +---------+-----------+---------+-----------------------------------------+-------------+

Initiation and Termination are of no peer.
"""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Final, NamedTuple

from bgpd.wire.notification import Notification, encode_notification

VERSION: Final = 3
ROUTE_MONITORING: Final = 0  # RFC 7854 4.1
STATISTICS: Final = 1
PEER_DOWN: Final = 2
PEER_UP: Final = 3
INITIATION: Final = 4
TERMINATION: Final = 5

GLOBAL_PEER: Final = 0  # RFC 7854 4.2
LOC_RIB_PEER: Final = 3  # RFC 9069 4.1
IS_IPV6: Final = 0x80
HAS_TWO_OCTET_AS: Final = 0x20

SYS_DESCR: Final = 1  # RFC 7854 4.4
SYS_NAME: Final = 2
TABLE_NAME: Final = 3  # RFC 9069 5.3
ADMINISTRATIVELY_CLOSED: Final = 0  # RFC 7854 4.5
_REASON: Final = 1

LOCAL_NOTIFICATION: Final = 1  # RFC 7854 4.9
LOCAL_NO_NOTIFICATION: Final = 2
REMOTE_NOTIFICATION: Final = 3
REMOTE_NO_NOTIFICATION: Final = 4
DE_CONFIGURED: Final = 5
LOC_RIB_DOWN: Final = 6  # RFC 9069 5.3

ADJ_RIB_IN_ROUTES: Final = 7  # statistics, RFC 7854 4.8
LOC_RIB_ROUTES: Final = 8

_COMMON: Final = Struct("!BIB")
_PEER: Final = Struct("!BB8s16sIIII")
_TLV: Final = Struct("!HH")
_COUNT: Final = Struct("!I")
_GAUGE: Final = Struct("!HHQ")
_PORTS: Final = Struct("!16sHH")


class BmpPeer(NamedTuple):
    """A peer as each of its messages names it (RFC 7854 4.2).

    Attributes:
        kind: ``GLOBAL_PEER`` or ``LOC_RIB_PEER``.
        address: 4 or 16 octets; zero for Loc-RIB.
        asn: Its AS.
        router_id: Its BGP identifier, as an integer.
    """

    kind: int
    address: bytes
    asn: int
    router_id: int


def _wide(address: bytes) -> bytes:
    """Return an address in 16 octets, one of IPv4 in the last four."""
    return address.rjust(16, b"\0")


def _message(kind: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return _COMMON.pack(VERSION, _COMMON.size + len(body), kind) + body


def _head(peer: BmpPeer, flags: int, at: float) -> bytes:
    if len(peer.address) == 16 and peer.kind == GLOBAL_PEER:
        flags |= IS_IPV6
    seconds, micro = divmod(round(at * 1_000_000), 1_000_000)
    return _PEER.pack(
        peer.kind,
        flags,
        bytes(8),
        _wide(peer.address),
        peer.asn,
        peer.router_id,
        seconds & 0xFFFFFFFF,
        micro,
    )


def tlv(kind: int, value: bytes) -> bytes:
    """Return a type, a length and a value."""
    return _TLV.pack(kind, len(value)) + value


def initiation(name: str, description: str) -> bytes:
    """Return the first message of a connection (RFC 7854 4.3)."""
    return _message(
        INITIATION, tlv(SYS_DESCR, description.encode()), tlv(SYS_NAME, name.encode())
    )


def termination(reason: int = ADMINISTRATIVELY_CLOSED) -> bytes:
    """Return the last message of a connection (RFC 7854 4.5)."""
    return _message(TERMINATION, tlv(_REASON, reason.to_bytes(2, "big")))


def route_monitoring(peer: BmpPeer, flags: int, at: float, update: bytes) -> bytes:
    """Return one UPDATE (RFC 7854 4.6).

    Args:
        peer: Whose.
        flags: Which of its tables, and how AS numbers are encoded.
        at: When it came, seconds since 1970.
        update: With its header.
    """
    return _message(ROUTE_MONITORING, _head(peer, flags, at), update)


def peer_up(
    peer: BmpPeer,
    at: float,
    *,
    local: bytes,
    ports: tuple[int, int],
    opens: tuple[bytes, bytes],
    information: Iterable[bytes] = (),
) -> bytes:
    """Return the begin of a session (RFC 7854 4.10).

    Args:
        peer: Which.
        at: When, seconds since 1970.
        local: Our address.
        ports: Ours and the peer's.
        opens: Ours and the peer's, with their headers.
        information: TLVs.
    """
    ends = _PORTS.pack(_wide(local), *ports)
    return _message(PEER_UP, _head(peer, 0, at), ends, *opens, *information)


def peer_down(
    peer: BmpPeer, at: float, reason: int, notification: Notification | None = None
) -> bytes:
    """Return the end of a session (RFC 7854 4.9).

    Args:
        peer: Which.
        at: When, seconds since 1970.
        reason: One of the numbers above.
        notification: With reasons 1 and 3.
    """
    data = b""
    if reason in (LOCAL_NOTIFICATION, REMOTE_NOTIFICATION) and notification is not None:
        data = encode_notification(notification)
    elif reason == LOCAL_NO_NOTIFICATION:
        data = bytes(2)  # no event of the state machine is named
    return _message(PEER_DOWN, _head(peer, 0, at), bytes((reason,)), data)


def statistics(peer: BmpPeer, at: float, values: Sequence[tuple[int, int]]) -> bytes:
    """Return gauges (RFC 7854 4.8).

    Args:
        peer: Of which.
        at: When, seconds since 1970.
        values: Types and values of gauges.
    """
    parts = [_GAUGE.pack(kind, 8, value) for kind, value in values]
    head = _head(peer, 0, at)
    return _message(STATISTICS, head, _COUNT.pack(len(parts)), *parts)
