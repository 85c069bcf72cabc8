"""One row per path attribute: flags, syntax, and what a malformed one costs (RFC 7606).

The decoder walks this table and has no branch of its own per attribute, except for the
two that carry NLRI (RFC 4760). What is not in the table is carried or dropped unseen, by
its flags (RFC 4271 5).

Our choices where the RFCs leave room:

* A NEXT_HOP of 240.0.0.0/4 is accepted, since networks do number from it; 0.0.0.0/8,
  multicast and the broadcast address are not host addresses, so they are rejected (RFC 4271 6.3).
  So is 127.0.0.0/8: from any sender, such an address is the receiver's own
  (RFC 1122 3.2.1.3 g), but for sessions between two of them.
* We are in no confederation: confederation segments make a path malformed (RFC 5065 5).
* AIGP is taken from internal peers only (RFC 7311 3.3: AIGP_SESSION off towards others).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from rib.attributes import codes
from rib.attributes.as_path import AS_CONFED_SEQUENCE, AS_SEQUENCE, check_segments
from rib.attributes.as_path import iterate_segments as segments_of
from rib.errors import Remedy
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family

ATTRIBUTE_DISCARD: Final = Remedy.ATTRIBUTE_DISCARD
TREAT_AS_WITHDRAW: Final = Remedy.TREAT_AS_WITHDRAW


@dataclass(frozen=True, slots=True)
class AttributeContext:
    """What both OPENs and the configuration say about a session's attributes.

    Attributes:
        is_ibgp: The peer is internal.
        four_octet_as: RFC 6793 was negotiated.
        peer_as: The peer's AS number.
        local_as: Ours on this session.
        enforces_first_as: An external peer's path must start with its AS (RFC 4271 6.3).
        allows_as_set: Keep routes with AS_SET in their path (RFC 9774 says withdraw).
        families: Families negotiated; MP attributes of others are ignored.
        extended_next_hop: IPv4 families that may have IPv6 next hops (RFC 8950).
        discarded: Type codes of attributes that are taken off received routes.
        withdrawn: Type codes of attributes whose routes are treated as withdrawn.
        is_same_domain: The peer is external, and of our administrative domain: attributes
            that mean something within it alone are taken (``rib.attributes.scoped``).
        is_on_loopback: The peer's address is in 127.0.0.0/8, so its next hops may be.
    """

    is_ibgp: bool
    four_octet_as: bool
    peer_as: int
    local_as: int
    enforces_first_as: bool = True
    allows_as_set: bool = False
    families: frozenset[Family] = field(default=frozenset((IPV4_UNICAST, IPV6_UNICAST)))
    extended_next_hop: frozenset[Family] = frozenset()
    discarded: frozenset[int] = frozenset()
    withdrawn: frozenset[int] = frozenset()
    is_same_domain: bool = False
    is_on_loopback: bool = False

    @property
    def looks_through(self) -> bool:
        """Whether each attribute must be examined, so that no block may be read as a whole."""
        return bool(self.discarded or self.withdrawn)


NEEDED_ATTRIBUTES: Final = frozenset(
    {
        codes.ORIGIN,
        codes.AS_PATH,
        codes.NEXT_HOP,
        codes.MP_REACH_NLRI,
        codes.MP_UNREACH_NLRI,
    }
)
"""Every route needs these: none of them can be discarded."""


class Fault(NamedTuple):
    """What is wrong with a value.

    Attributes:
        subcode: UPDATE Message Error subcode (RFC 4271 6.3).
        text: What was found.
        is_about_routes: See ``Problem``: the value can be read, and a rule about routes
            refuses it.
    """

    subcode: int
    text: str
    is_about_routes: bool = False


_LOOPBACK: Final = 127  # the first octet of 127.0.0.0/8

Check = Callable[[bytes, AttributeContext], Fault | None]


@dataclass(frozen=True, slots=True)
class AttributeRow:
    """How one attribute is read.

    Attributes:
        code: Type code.
        name: As the RFC writes it.
        check: Returns the fault of a value, ``None`` for a sound one. Attributes with NLRI
            have none: ``rib.attributes.mp`` reads them.
        malformed: Remedy for a malformed value.
        clause: Where remedy and syntax stand.
        wrong_flags: Remedy for a wrong Optional or Transitive bit, RFC 7606 3 c.
        is_internal: Discarded when an external peer sends it, whatever it holds.
    """

    code: int
    name: str
    check: Check | None
    malformed: Remedy
    clause: str
    wrong_flags: Remedy = TREAT_AS_WITHDRAW
    is_internal: bool = False

    @property
    def flags(self) -> int:
        """Optional and Transitive bits the attribute must have."""
        return codes.FLAGS[self.code]


def _length(expected: int) -> Check:
    def check(value: bytes, _: AttributeContext) -> Fault | None:
        if len(value) == expected:
            return None
        text = f"length {len(value)} instead of {expected}"
        return Fault(codes.ATTRIBUTE_LENGTH_ERROR, text)

    return check


def _items(size: int) -> Check:
    def check(value: bytes, _: AttributeContext) -> Fault | None:
        if value and not len(value) % size:
            return None
        text = f"length {len(value)} is not a positive multiple of {size}"
        return Fault(codes.ATTRIBUTE_LENGTH_ERROR, text)

    return check


_check_origin_length: Final = _length(1)
_check_four_octets: Final = _length(4)


def _check_origin(value: bytes, context: AttributeContext) -> Fault | None:
    fault = _check_origin_length(value, context)
    if fault is None and value[0] > 2:
        return Fault(codes.INVALID_ORIGIN, f"value {value[0]} is undefined")
    return fault


def _check_as_path(value: bytes, context: AttributeContext) -> Fault | None:
    asn_len = 4 if context.four_octet_as else 2
    text = check_segments(value, asn_len)
    if text:
        return Fault(codes.MALFORMED_AS_PATH, text)
    for kind, asns in segments_of(value, asn_len):
        text = ""
        if kind >= AS_CONFED_SEQUENCE:
            text = "confederation segment (RFC 5065 5)"
        elif 0 in asns:
            text = "AS 0 (RFC 7607 2)"
        elif kind != AS_SEQUENCE and not context.allows_as_set:
            text = "AS_SET (RFC 9774 3)"
        if text:
            return Fault(codes.MALFORMED_AS_PATH, text, is_about_routes=True)
    return None


def _check_next_hop(value: bytes, context: AttributeContext) -> Fault | None:
    fault = _check_four_octets(value, context)
    if fault is not None:
        return fault
    if is_host(value, context):
        return None
    text = f"{'.'.join(map(str, value))} is not a host address"
    return Fault(codes.INVALID_NEXT_HOP, text, is_about_routes=True)


def is_host(next_hop: bytes, context: AttributeContext) -> bool:
    """Return whether an IPv4 next hop can be another machine (RFC 4271 6.3)."""
    first = next_hop[0]
    if first == _LOOPBACK:
        return context.is_on_loopback
    return first != 0 and not 0xE0 <= first <= 0xEF and next_hop != b"\xff" * 4


def _check_aggregator(value: bytes, context: AttributeContext) -> Fault | None:
    expected = 8 if context.four_octet_as else 6
    if len(value) != expected:
        text = f"length {len(value)} instead of {expected}"
        return Fault(codes.ATTRIBUTE_LENGTH_ERROR, text)
    if not any(value[:-4]):
        return Fault(codes.OPTIONAL_ATTRIBUTE_ERROR, "AS 0 (RFC 7607 2)")
    return None


def _check_as4_path(value: bytes, context: AttributeContext) -> Fault | None:
    if context.four_octet_as:
        return Fault(
            codes.OPTIONAL_ATTRIBUTE_ERROR, "sent by a peer with 4-octet AS numbers"
        )
    if not value:
        return Fault(codes.OPTIONAL_ATTRIBUTE_ERROR, "length 0")
    text = check_segments(value)
    if text:
        return Fault(codes.OPTIONAL_ATTRIBUTE_ERROR, text)
    if any(0 in asns for _, asns in segments_of(value)):
        return Fault(codes.OPTIONAL_ATTRIBUTE_ERROR, "AS 0 (RFC 7607 2)")
    return None


def _check_as4_aggregator(value: bytes, context: AttributeContext) -> Fault | None:
    if context.four_octet_as:
        return Fault(
            codes.OPTIONAL_ATTRIBUTE_ERROR, "sent by a peer with 4-octet AS numbers"
        )
    if len(value) != 8:
        text = f"length {len(value)} instead of 8"
        return Fault(codes.ATTRIBUTE_LENGTH_ERROR, text)
    if not any(value[:4]):
        return Fault(codes.OPTIONAL_ATTRIBUTE_ERROR, "AS 0 (RFC 7607 2)")
    return None


def _check_aigp(value: bytes, _: AttributeContext) -> Fault | None:
    rest, is_first = value, True
    while rest:
        length = int.from_bytes(rest[1:3], "big")
        if length < 3 or length > len(rest):
            return Fault(codes.OPTIONAL_ATTRIBUTE_ERROR, f"TLV of length {length}")
        if rest[0] == 1 and is_first:
            is_first = False
            if length != 11:
                return Fault(
                    codes.OPTIONAL_ATTRIBUTE_ERROR, f"AIGP TLV of length {length}"
                )
            if rest[3:11] == b"\xff" * 8:
                return Fault(codes.OPTIONAL_ATTRIBUTE_ERROR, "metric is the maximum")
        rest = rest[length:]
    return None if value else Fault(codes.OPTIONAL_ATTRIBUTE_ERROR, "no TLV")


_ROWS: Final = (
    AttributeRow(
        codes.ORIGIN, "ORIGIN", _check_origin, TREAT_AS_WITHDRAW, "RFC 7606 7.1"
    ),
    AttributeRow(
        codes.AS_PATH, "AS_PATH", _check_as_path, TREAT_AS_WITHDRAW, "RFC 7606 7.2"
    ),
    AttributeRow(
        codes.NEXT_HOP, "NEXT_HOP", _check_next_hop, TREAT_AS_WITHDRAW, "RFC 7606 7.3"
    ),
    AttributeRow(
        codes.MULTI_EXIT_DISC,
        "MULTI_EXIT_DISC",
        _check_four_octets,
        TREAT_AS_WITHDRAW,
        "RFC 7606 7.4",
    ),
    AttributeRow(
        codes.LOCAL_PREF,
        "LOCAL_PREF",
        _check_four_octets,
        TREAT_AS_WITHDRAW,
        "RFC 7606 7.5",
        is_internal=True,
    ),
    AttributeRow(
        codes.ATOMIC_AGGREGATE,
        "ATOMIC_AGGREGATE",
        _length(0),
        ATTRIBUTE_DISCARD,
        "RFC 7606 7.6",
    ),
    AttributeRow(
        codes.AGGREGATOR,
        "AGGREGATOR",
        _check_aggregator,
        ATTRIBUTE_DISCARD,
        "RFC 7606 7.7",
    ),
    AttributeRow(
        codes.COMMUNITIES, "COMMUNITIES", _items(4), TREAT_AS_WITHDRAW, "RFC 7606 7.8"
    ),
    AttributeRow(
        codes.ORIGINATOR_ID,
        "ORIGINATOR_ID",
        _check_four_octets,
        TREAT_AS_WITHDRAW,
        "RFC 7606 7.9",
        is_internal=True,
    ),
    AttributeRow(
        codes.CLUSTER_LIST,
        "CLUSTER_LIST",
        _items(4),
        TREAT_AS_WITHDRAW,
        "RFC 7606 7.10",
        is_internal=True,
    ),
    AttributeRow(
        codes.MP_REACH_NLRI,
        "MP_REACH_NLRI",
        None,
        Remedy.SESSION_RESET,
        "RFC 7606 7.11",
    ),
    AttributeRow(
        codes.MP_UNREACH_NLRI,
        "MP_UNREACH_NLRI",
        None,
        Remedy.SESSION_RESET,
        "RFC 7606 7.12",
    ),
    AttributeRow(
        codes.EXTENDED_COMMUNITIES,
        "EXTENDED_COMMUNITIES",
        _items(8),
        TREAT_AS_WITHDRAW,
        "RFC 7606 7.14",
    ),
    AttributeRow(
        codes.AS4_PATH, "AS4_PATH", _check_as4_path, ATTRIBUTE_DISCARD, "RFC 6793 6"
    ),
    AttributeRow(
        codes.AS4_AGGREGATOR,
        "AS4_AGGREGATOR",
        _check_as4_aggregator,
        ATTRIBUTE_DISCARD,
        "RFC 6793 6",
    ),
    AttributeRow(
        codes.IPV6_EXTENDED_COMMUNITIES,
        "IPV6_EXTENDED_COMMUNITIES",
        _items(20),
        TREAT_AS_WITHDRAW,
        "RFC 7606 7.15",
    ),
    AttributeRow(
        codes.AIGP,
        "AIGP",
        _check_aigp,
        ATTRIBUTE_DISCARD,
        "RFC 7311 3.2",
        wrong_flags=ATTRIBUTE_DISCARD,
        is_internal=True,
    ),
    AttributeRow(
        codes.LARGE_COMMUNITIES,
        "LARGE_COMMUNITY",
        _items(12),
        TREAT_AS_WITHDRAW,
        "RFC 8092 6",
    ),
    AttributeRow(
        codes.ONLY_TO_CUSTOMER,
        "ONLY_TO_CUSTOMER",
        _check_four_octets,
        TREAT_AS_WITHDRAW,
        "RFC 9234 5",
    ),
)

TABLE: Final = MappingProxyType({row.code: row for row in _ROWS})
"""All attributes we understand, by type code."""
