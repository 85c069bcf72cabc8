"""Communities as text: standard, extended and large (RFC 1997, 4360, 8092).

Numbers are the RIB's form; text is for configuration and ``show``. What has no name of its
own is written so that it can be read back: ``parse(format(x)) == x`` for every value.
"""

from types import MappingProxyType
from typing import Final

from rib.attributes.as_path import parse_asn
from rib.nlri import format_address, parse_address

NO_EXPORT: Final = 0xFFFFFF01  # RFC 1997
NO_ADVERTISE: Final = 0xFFFFFF02  # RFC 1997
NO_EXPORT_SUBCONFED: Final = 0xFFFFFF03  # RFC 1997
NO_PEER: Final = 0xFFFFFF04  # RFC 3765
GRACEFUL_SHUTDOWN: Final = 0xFFFF0000  # RFC 8326
LLGR_STALE: Final = 0xFFFF0006  # RFC 9494
NO_LLGR: Final = 0xFFFF0007  # RFC 9494
BLACKHOLE: Final = 0xFFFF029A  # RFC 7999

BARRIER: Final = b"\xff\xff"
"""Octets that stand in every block with a community that keeps a route from a peer."""

WELL_KNOWN_NAMES: Final = MappingProxyType(
    {
        GRACEFUL_SHUTDOWN: "graceful-shutdown",
        0xFFFF0001: "accept-own",  # RFC 7611
        LLGR_STALE: "llgr-stale",
        NO_LLGR: "no-llgr",
        0xFFFF0008: "accept-own-nexthop",
        0xFFFF0009: "standby-pe",  # RFC 9026
        BLACKHOLE: "blackhole",
        NO_EXPORT: "no-export",
        NO_ADVERTISE: "no-advertise",
        NO_EXPORT_SUBCONFED: "no-export-subconfed",
        NO_PEER: "no-peer",
    }
)
"""IANA "BGP Well-known Communities", written as configurations write them."""

WELL_KNOWN_COMMUNITIES: Final = MappingProxyType(
    {name: community for community, name in WELL_KNOWN_NAMES.items()}
)

EXT_SUB_TYPES: Final = MappingProxyType({"rt": 0x02, "ro": 0x03})  # RFC 4360 4, 5
"""Names of sub-types: route target and route origin."""

_EXT_NAMES: Final = {sub_type: name for name, sub_type in EXT_SUB_TYPES.items()}
_TWO_OCTET_AS: Final = 0x00  # RFC 4360 3.1
_IPV4_ADDRESS: Final = 0x01  # RFC 4360 3.2
_FOUR_OCTET_AS: Final = 0x02  # RFC 5668


def format_community(community: int) -> str:
    """Return ``65000:1``, or the name of a well-known community."""
    name = WELL_KNOWN_NAMES.get(community)
    return name or f"{community >> 16}:{community & 0xFFFF}"


def parse_community(text: str) -> int:
    """Return the community of ``65000:1``, or of a well-known name.

    Raises:
        ValueError: ``text`` is not a community.
    """
    known = WELL_KNOWN_COMMUNITIES.get(text.lower())
    if known is not None:
        return known
    high, low = _numbers(text, 2, 0xFFFF)
    return high << 16 | low


def format_large_community(community: tuple[int, int, int]) -> str:
    """Return ``65000:1:2`` (RFC 8092 5)."""
    return ":".join(map(str, community))


def parse_large_community(text: str) -> tuple[int, int, int]:
    """Return the community of ``65000:1:2``.

    Raises:
        ValueError: ``text`` is not a large community.
    """
    administrator, first, second = _numbers(text, 3, 0xFFFFFFFF)
    return administrator, first, second


def format_ext_community(community: int) -> str:
    """Return ``rt:65000:1`` or ``ro:10.0.0.1:7``; others as ``0x`` and 16 digits.

    A 4-octet AS number that would fit in 2 octets is marked by an ``L`` behind it.
    """
    kind, sub_type = community >> 56, community >> 48 & 0xFF
    name = _EXT_NAMES.get(sub_type)
    if name is None or kind > _FOUR_OCTET_AS:
        return f"0x{community:016x}"
    if kind == _TWO_OCTET_AS:
        return f"{name}:{community >> 32 & 0xFFFF}:{community & 0xFFFFFFFF}"
    administrator, local = community >> 16 & 0xFFFFFFFF, community & 0xFFFF
    if kind == _IPV4_ADDRESS:
        address = format_address(administrator.to_bytes(4, "big"))
        return f"{name}:{address}:{local}"
    suffix = "L" if administrator <= 0xFFFF else ""
    return f"{name}:{administrator}{suffix}:{local}"


def parse_ext_community(text: str) -> int:
    """Return the community of what ``format_ext_community`` writes.

    Raises:
        ValueError: ``text`` is not an extended community.
    """
    if text.startswith("0x") and len(text) == 18:
        return int(text, 16)
    name, _, rest = text.partition(":")
    administrator, colon, local_text = rest.rpartition(":")
    sub_type = EXT_SUB_TYPES.get(name)
    if sub_type is None or not colon:
        raise ValueError(
            f"{text!r} is not an extended community; expected one such as rt:65000:100"
        )
    (local,) = _numbers(local_text, 1, 0xFFFFFFFF)
    if administrator.count(".") == 3:
        number = int.from_bytes(parse_address(administrator), "big")
        return _ext_community(text, _IPV4_ADDRESS, sub_type, number, local)
    asn = parse_asn(administrator.removesuffix("L"))
    if asn > 0xFFFF or administrator.endswith("L"):
        return _ext_community(text, _FOUR_OCTET_AS, sub_type, asn, local)
    return sub_type << 48 | asn << 32 | local


def _ext_community(
    text: str, kind: int, sub_type: int, administrator: int, local: int
) -> int:
    if local > 0xFFFF:
        raise ValueError(f"{text!r}: {local} does not fit in 2 octets")
    return kind << 56 | sub_type << 48 | administrator << 16 | local


def _numbers(text: str, count: int, most: int) -> list[int]:
    words = text.split(":")
    if len(words) != count or not all(w.isascii() and w.isdigit() for w in words):
        example = ":".join(("65000", "100", "200")[:count])
        raise ValueError(f"{text!r} is not a community; expected one such as {example}")
    numbers = [int(word) for word in words]
    if max(numbers) > most:
        raise ValueError(f"{text!r} has a number larger than {most}")
    return numbers
