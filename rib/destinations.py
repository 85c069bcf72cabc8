"""Prefixes that are not unicast destinations: ignored and reported (RFC 4271 6.3). Pure.

What no packet can be forwarded to has no place in a unicast table, whichever peer advertises it. A
prefix is judged by its network address, as BIRD does; a half of the whole space is none of
these. IPv4's 169.254.0.0/16 stays, since clouds number the links to their gateways from it.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Final

from rib.family import AFI_IPV4

Nlri = bytes

_LEAST_BITS: Final = (
    8  # a shorter prefix that begins with zeros has usable addresses, too
)
_HOST_BITS: Final = 128
_MAPPED: Final = b"\xff\xff"
_IPV6_LOOPBACK: Final = bytes(15) + b"\1"
_BROADCAST: Final = b"\x20\xff\xff\xff\xff"


class NotUnicast(Enum):
    """Why a prefix is not a unicast destination."""

    __hash__ = object.__hash__  # by identity: Enum's own is Python code

    MULTICAST = "multicast"
    LOOPBACK = "loopback (RFC 1122 3.2.1.3)"
    THIS_NETWORK = "this network, 0.0.0.0/8 (RFC 1122 3.2.1.3)"
    RESERVED = "reserved, 240.0.0.0/4 (RFC 1112 4)"
    BROADCAST = "limited broadcast (RFC 919 7)"
    LINK_LOCAL = "link-local (RFC 4291 2.5.6)"
    UNSPECIFIED = "the unspecified address (RFC 4291 2.5.2)"
    IPV4_COMPATIBLE = "IPv4-compatible (RFC 4291 2.5.5.1)"
    IPV4_MAPPED = "IPv4-mapped (RFC 4291 2.5.5.2)"


class MixedRun(list[Nlri]):
    """Prefixes that may include non-unicast destinations, or have host bits set.

    The usual run is known to have none by the very expression that splits it.
    """

    __slots__ = ()


def why_not_unicast(
    nlri: Nlri, afi: int, *, allows_reserved: bool = False
) -> NotUnicast | None:
    """Return why a prefix is not a unicast destination; ``None`` if it is one.

    Args:
        nlri: The prefix; host bits cleared.
        afi: Its family.
        allows_reserved: 240.0.0.0/4 is used as unicast here.
    """
    if len(nlri) == 1:
        return None
    if afi == AFI_IPV4:
        return _why_not_ipv4(nlri, allows_reserved=allows_reserved)
    return _why_not_ipv6(nlri)


def _why_not_ipv4(nlri: Nlri, *, allows_reserved: bool) -> NotUnicast | None:
    first = nlri[1]
    if not first:
        return NotUnicast.THIS_NETWORK if nlri[0] >= _LEAST_BITS else None
    if first == 127:
        return NotUnicast.LOOPBACK
    if first < 224:
        return None
    if first < 240:
        return NotUnicast.MULTICAST
    if nlri == _BROADCAST:
        return NotUnicast.BROADCAST
    return None if allows_reserved else NotUnicast.RESERVED


def _why_not_ipv6(nlri: Nlri) -> NotUnicast | None:
    first = nlri[1]
    if first == 0xFF:
        return NotUnicast.MULTICAST
    if first == 0xFE:
        is_link_local = len(nlri) > 2 and nlri[2] & 0xC0 == 0x80
        return NotUnicast.LINK_LOCAL if is_link_local else None
    host = nlri[1:].ljust(16, b"\0")
    if nlri[0] < _LEAST_BITS or any(host[:10]):
        return None
    if host[10:12] == _MAPPED:
        return NotUnicast.IPV4_MAPPED
    if nlri[0] == _HOST_BITS and host == _IPV6_LOOPBACK:
        return NotUnicast.LOOPBACK
    return NotUnicast.IPV4_COMPATIBLE if any(host) else NotUnicast.UNSPECIFIED


def divide(
    nlris: Iterable[Nlri], afi: int, *, allows_reserved: bool = False
) -> tuple[list[Nlri], dict[NotUnicast, list[Nlri]]]:
    """Return the unicast destinations, and the others by kind.

    Args:
        nlris: Prefixes; host bits cleared.
        afi: Their family.
        allows_reserved: 240.0.0.0/4 is used as unicast here.
    """
    good: list[Nlri] = []
    others: dict[NotUnicast, list[Nlri]] = {}
    for nlri in nlris:
        why = why_not_unicast(nlri, afi, allows_reserved=allows_reserved)
        (good if why is None else others.setdefault(why, [])).append(nlri)
    return good, others
