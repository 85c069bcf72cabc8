"""The two attributes that carry NLRI (RFC 4760, RFC 7606 7.11 and 7.12).

Their NLRI stay an undivided run here. A next hop whose length does not fit its family
ends the session: where it stops, so where the NLRI start, cannot be trusted then.
"""

from dataclasses import dataclass
from typing import Final

from rib.attributes import codes
from rib.attributes.path_attributes import encode_attribute
from rib.attributes.table import TABLE, AttributeContext, is_host
from rib.errors import Problem, Remedy
from rib.family import AFI_IPV4, AFI_IPV6, SAFI_UNICAST, Family
from rib.zones import is_link_local

ATTRIBUTE_DISCARD: Final = Remedy.ATTRIBUTE_DISCARD
TREAT_AS_WITHDRAW: Final = Remedy.TREAT_AS_WITHDRAW
SESSION_RESET: Final = Remedy.SESSION_RESET

_SAFI_MULTICAST: Final = 2
_NO_HOSTS: Final = (bytes(16), bytes(15) + b"\1")  # :: and ::1

NEXT_HOP_LENGTHS: Final = {AFI_IPV4: (4,), AFI_IPV6: (16, 32)}
"""Octets of an MP next hop by AFI (RFC 4760 3, RFC 2545 3), for unicast and multicast."""

EXTENDED_NEXT_HOP_LENGTHS: Final = (4, 16, 32)
"""The same for IPv4 where RFC 8950 was negotiated."""


@dataclass(frozen=True, slots=True)
class MpReach:
    """MP_REACH_NLRI (RFC 4760 3).

    Attributes:
        family: Of the NLRI.
        next_hop: 4, 16 or 32 octets.
        nlri: The run of NLRI, not divided.
    """

    family: Family
    next_hop: bytes
    nlri: bytes


@dataclass(frozen=True, slots=True)
class MpUnreach:
    """MP_UNREACH_NLRI (RFC 4760 4); no NLRI at all is an End-of-RIB (RFC 4724 2).

    Attributes:
        family: Of the NLRI.
        nlri: The run of NLRI, not divided.
    """

    family: Family
    nlri: bytes


# hot: per UPDATE of other families than IPv4 unicast
def extract_mp(block: bytes) -> tuple[bytes, bytes | None, bytes | None] | None:
    """Take MP_REACH_NLRI and MP_UNREACH_NLRI out of a block, unread.

    The rest is the same for all UPDATEs of one attribute set, so it can be a cache's key.

    Returns:
        ``(rest, MP_REACH_NLRI's value or None, MP_UNREACH_NLRI's or None)``; ``None``
        where the block is malformed as far as seen here: use ``decode_block`` then.
    """
    at, end = 0, len(block)
    kept_from = 0
    rest = []
    reach = unreach = None
    while at < end:
        if at + 3 > end:
            return None
        flags = block[at]
        if flags & 0x10:
            if at + 4 > end:
                return None
            start = at + 4
            stop = start + (block[at + 2] << 8) + block[at + 3]
        else:
            start = at + 3
            stop = start + block[at + 2]
        if stop > end:
            return None
        code = block[at + 1]
        if code == 14 or code == 15:  # noqa: PLR1714 - half the time of ``in``
            if flags & 0xC0 != 0x80:
                return None
            if code == 14:
                if reach is not None:
                    return None
                reach = block[start:stop]
            else:
                if unreach is not None:
                    return None
                unreach = block[start:stop]
            rest.append(block[kept_from:at])
            kept_from = stop
        at = stop
    rest.append(block[kept_from:])
    return b"".join(rest), reach, unreach


def decode_mp_reach(value: bytes, context: AttributeContext) -> MpReach | Problem:
    """Decode the value of MP_REACH_NLRI (RFC 4760 3, RFC 7606 7.11).

    Returns:
        The attribute, or a problem: ATTRIBUTE_DISCARD for a family that was not
        negotiated, TREAT_AS_WITHDRAW for an unusable next hop address, SESSION_RESET where
        its length is wrong, since the NLRI cannot be trusted then.
    """
    decoded = read_mp_reach(value, context)
    return decoded[1] or decoded[0] or _mp_short(codes.MP_REACH_NLRI, value)


def decode_mp_unreach(value: bytes, context: AttributeContext) -> MpUnreach | Problem:
    """Decode the value of MP_UNREACH_NLRI (RFC 4760 4, RFC 7606 7.12).

    Returns:
        The attribute, or a problem: ATTRIBUTE_DISCARD for a family that was not
        negotiated, SESSION_RESET where it is too short.
    """
    if len(value) < 3:
        return _mp_short(codes.MP_UNREACH_NLRI, value)
    family = Family(int.from_bytes(value[:2], "big"), value[2])
    if family not in context.families:
        return _not_negotiated(codes.MP_UNREACH_NLRI, family)
    return MpUnreach(family, value[3:])


def read_mp_reach(
    value: bytes, context: AttributeContext
) -> tuple[MpReach | None, Problem | None]:
    """Return the attribute and its problem; both where only the next hop is unusable."""
    if len(value) < 5 or len(value) < 5 + value[3]:
        return None, _mp_short(codes.MP_REACH_NLRI, value)
    family = Family(int.from_bytes(value[:2], "big"), value[2])
    if family not in context.families:
        return None, _not_negotiated(codes.MP_REACH_NLRI, family)
    stop = 4 + value[3]
    next_hop = value[4:stop]
    is_address = family.safi in (SAFI_UNICAST, _SAFI_MULTICAST)
    if is_address:
        lengths = (
            EXTENDED_NEXT_HOP_LENGTHS
            if family in context.extended_next_hop
            else NEXT_HOP_LENGTHS.get(family.afi, ())
        )
        if len(next_hop) not in lengths:
            text = f"MP_REACH_NLRI: next hop of {len(next_hop)} octets for {family}"
            return None, Problem(
                SESSION_RESET,
                f"{text} (RFC 7606 7.11)",
                codes.MP_REACH_NLRI,
                codes.OPTIONAL_ATTRIBUTE_ERROR,
                encode_attribute(codes.MP_REACH_NLRI, value),
            )
    if is_address and len(next_hop) == 32:
        next_hop = _usable(next_hop)
    # One reserved octet follows: SNPAs of RFC 2858, ignored by RFC 4760 3.
    reach = MpReach(family, next_hop, value[stop + 1 :])
    if not is_address or _is_host(next_hop, context):
        return reach, None
    return reach, Problem(
        TREAT_AS_WITHDRAW,
        f"MP_REACH_NLRI: next hop {next_hop.hex()} is not a host address (RFC 4271 6.3)",
        codes.MP_REACH_NLRI,
        codes.OPTIONAL_ATTRIBUTE_ERROR,
        is_about_routes=True,
    )


def _usable(pair: bytes) -> bytes:
    """Return the usable address of a next hop with two (RFC 2545 3).

    Without a global address some send none, some the link-local one twice. A second
    address that is not link-local has no meaning.
    """
    first, second = pair[:16], pair[16:]
    if not is_link_local(second):
        return first
    return second if not any(first) or is_link_local(first) else pair


def _is_host(next_hop: bytes, context: AttributeContext) -> bool:
    if len(next_hop) == 4:
        return is_host(next_hop, context)
    first = next_hop[:16]
    return first not in _NO_HOSTS and first[0] != 0xFF


def _mp_short(code: int, value: bytes) -> Problem:
    row = TABLE[code]
    return Problem(
        SESSION_RESET,
        f"{row.name}: {len(value)} octets are too few ({row.clause})",
        code,
        codes.OPTIONAL_ATTRIBUTE_ERROR,
        encode_attribute(code, value),
    )


def _not_negotiated(code: int, family: Family) -> Problem:
    text = f"{TABLE[code].name}: {family} was not negotiated (RFC 4760 8)"
    return Problem(ATTRIBUTE_DISCARD, text, code, codes.OPTIONAL_ATTRIBUTE_ERROR)
