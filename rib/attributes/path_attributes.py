"""One route's path attributes as canonical octets, with reading and editing.

``PathAttributes`` is made once per distinct attribute set and held by hundreds of
thousands; so it keeps two references and decodes what is needed on each call.

Canonical octets have each attribute at most once, in ascending type code, flags as
``FLAGS`` says (Partial kept where it can stand), Extended Length only over 255 octets, AS
numbers in 4 octets. Equal routes are then equal octets, whichever speaker encoded them.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from struct import Struct, unpack
from typing import ClassVar, Final

from rib.attributes.as_path import AsPath, count_hops, neighbour_as
from rib.attributes.codes import (
    AGGREGATOR,
    AIGP,
    AS_PATH,
    ATOMIC_AGGREGATE,
    CLUSTER_LIST,
    COMMUNITIES,
    EXTENDED_COMMUNITIES,
    EXTENDED_LENGTH,
    FLAGS,
    IPV6_EXTENDED_COMMUNITIES,
    LARGE_COMMUNITIES,
    LOCAL_PREF,
    MULTI_EXIT_DISC,
    NEXT_HOP,
    ONLY_TO_CUSTOMER,
    OPTIONAL_TRANSITIVE,
    ORIGIN,
    ORIGINATOR_ID,
    PARTIAL,
    UNKNOWN_FLAGS,
)

ORIGIN_IGP: Final = 0
ORIGIN_EGP: Final = 1
ORIGIN_INCOMPLETE: Final = 2

DecisionFields = tuple[int | None, int, int, int | None, int, int | None, int]

_LARGE: Final = Struct("!III")
_AIGP_TLV: Final = 1  # RFC 7311 3


def sized(code: int, flags: bytes, step: int, most: int, head: bytes = b"") -> bytes:
    r"""Return a pattern of one attribute of 1 to ``most`` items of ``step`` octets.

    A regular expression cannot count, so each length is an alternative of its own, short
    ones first; the engine picks by the length octet.

    Args:
        code: Type code.
        flags: Pattern of the flags octet.
        step: Octets of an item.
        most: Items; a length octet must hold them.
        head: Pattern of a count octet before the items, such as ``\x02`` for a segment
            type, followed by the count itself; empty for none.
    """
    lengths = []
    for count in range(1, most + 1):
        prefix = head + re.escape(bytes((count,))) if head else b""
        length = step * count + (2 if head else 0)
        items = prefix + b".{%d}" % (step * count)
        lengths.append(re.escape(bytes((length,))) + items)
    return flags + re.escape(bytes((code,))) + b"(?:" + b"|".join(lengths) + b")"


def optional(pattern: bytes) -> bytes:
    """Return a pattern of something that may be there.

    An empty alternative; a question mark is a loop to the engine, and takes twice the time.
    """
    return rb"(?:" + pattern + rb"|)"


UP_TO_COMMUNITIES: Final = (
    rb"\x40\x01\x01(.)(\x40\x02\x00|"
    + sized(AS_PATH, rb"\x40", 4, 63, head=rb"\x02")
    + rb")"
    + optional(rb"\x40\x03\x04.{4}")
    + optional(rb"\x80\x04\x04(.{4})")
    + optional(rb"\x40\x05\x04(.{4})")
    + optional(rb"\x40\x06\x00")
    + optional(rb"[\xc0\xe0]\x07\x08.{8}")
    + optional(sized(COMMUNITIES, rb"[\xc0\xe0]", 4, 63))
)
"""Pattern of how a block begins whose AS_PATH is empty or one AS_SEQUENCE; its groups are
ORIGIN's value, all of AS_PATH, and the values of MULTI_EXIT_DISC and LOCAL_PREF."""

# One match reads all that the decision process compares, of nearly all routes. Only codes up
# to 10 are read; the lookahead makes sure that none of them was skipped.
_decision_match: Final[Callable[[bytes], re.Match[bytes] | None]] = re.compile(
    UP_TO_COMMUNITIES
    + optional(rb"\x80\x09\x04(.{4})")
    + optional(rb"(" + sized(CLUSTER_LIST, rb"\x80", 4, 63) + rb")")
    + rb"(?=.[\x0b-\xff]|\Z)",
    re.DOTALL,
).match


class PathAttributes:
    """The attributes of a route, canonical and validated; two of them are compared by ``is``.

    Attributes:
        octets: Canonical attribute block, without MP_REACH_NLRI. It has NEXT_HOP where
            the next hop is an IPv4 address, and only then.
        next_hop: 4 octets, 16, or 32 (a global and a link-local address, RFC 2545 3).
        is_plain: See ``PlainAttributes``.
        is_spliced: See ``SplicedAttributes``.
    """

    __slots__ = ("next_hop", "octets")

    is_plain: ClassVar[bool] = False
    is_spliced: ClassVar[bool] = False

    def __init__(self, octets: bytes, next_hop: bytes) -> None:
        self.octets = octets
        self.next_hop = next_hop

    def __repr__(self) -> str:
        return f"PathAttributes({self.octets.hex()}, next_hop={self.next_hop.hex()})"

    def share_next_hop(self, equal: bytes) -> None:
        """Refer to equal octets: one object for all routes in place of one for each."""
        self.next_hop = equal

    def get(self, code: int) -> bytes | None:
        """Return the value octets of attribute ``code``, ``None`` where it is absent."""
        octets = self.octets
        at, end = 0, len(octets)
        while at < end:
            here = octets[at + 1]
            if octets[at] & EXTENDED_LENGTH:
                start = at + 4
                stop = start + (octets[at + 2] << 8) + octets[at + 3]
            else:
                start = at + 3
                stop = start + octets[at + 2]
            if here >= code:
                return octets[start:stop] if here == code else None
            at = stop
        return None

    def with_changes(
        self, changes: Mapping[int, bytes | None], next_hop: bytes | None = None
    ) -> "PathAttributes":
        """Return attributes with ``changes`` made; see ``edit``.

        Args:
            changes: Type code to new value octets, ``None`` removes it.
            next_hop: New next hop, ``None`` keeps it. NEXT_HOP follows it: it is set for
                4 octets and removed for others.
        """
        if next_hop is None:
            next_hop = self.next_hop
        elif next_hop != self.next_hop:
            shown = next_hop if len(next_hop) == 4 else None
            changes = {**changes, NEXT_HOP: shown}
        return PathAttributes(edit(self.octets, changes), next_hop)

    def decision_fields(self) -> DecisionFields:
        """Return what RFC 4271 9.1.2.2 and RFC 4456 9 compare, in one pass, about 1 us.

        Returns:
            ``(local_pref or None, AS path length, origin, med or None, neighbour AS,
            originator id or None, length of the cluster list)``.
        """
        match = _decision_match(self.octets)
        if match is None:
            return self._decision_fields_by_walk()
        origin, path, med, local_pref, originator, clusters = match.groups()
        number = int.from_bytes
        return (
            None if local_pref is None else number(local_pref, "big"),
            path[4] if len(path) > 3 else 0,
            origin[0],
            None if med is None else number(med, "big"),
            number(path[5:9], "big"),
            None if originator is None else number(originator, "big"),
            0 if clusters is None else clusters[2] >> 2,
        )

    def _decision_fields_by_walk(self) -> DecisionFields:
        values = {code: value for _, code, value in iterate(self.octets)}
        path = values.get(AS_PATH, b"")
        return (
            _integer(values.get(LOCAL_PREF)),
            count_hops(path),
            values.get(ORIGIN, b"\x02")[0],
            _integer(values.get(MULTI_EXIT_DISC)),
            neighbour_as(path),
            _integer(values.get(ORIGINATOR_ID)),
            len(values.get(CLUSTER_LIST, b"")) >> 2,
        )

    @property
    def origin(self) -> int:
        """0 IGP, 1 EGP, 2 INCOMPLETE (RFC 4271 5.1.1)."""
        return (self.get(ORIGIN) or b"\x02")[0]

    @property
    def as_path(self) -> AsPath:
        """A view of AS_PATH (RFC 4271 5.1.2)."""
        return AsPath(self.get(AS_PATH) or b"")

    @property
    def med(self) -> int | None:
        """MULTI_EXIT_DISC (RFC 4271 5.1.4)."""
        return _integer(self.get(MULTI_EXIT_DISC))

    @property
    def local_pref(self) -> int | None:
        """LOCAL_PREF (RFC 4271 5.1.5)."""
        return _integer(self.get(LOCAL_PREF))

    @property
    def atomic_aggregate(self) -> bool:
        """Whether ATOMIC_AGGREGATE is there (RFC 4271 5.1.6)."""
        return self.get(ATOMIC_AGGREGATE) is not None

    @property
    def aggregator(self) -> tuple[int, bytes] | None:
        """AS number and 4 address octets of the aggregating speaker (RFC 4271 5.1.7)."""
        value = self.get(AGGREGATOR)
        return None if value is None else (int.from_bytes(value[:4], "big"), value[4:])

    @property
    def communities(self) -> tuple[int, ...]:
        """COMMUNITIES (RFC 1997), each 32 bits."""
        return _integers(self.get(COMMUNITIES), 4)

    @property
    def ext_communities(self) -> tuple[int, ...]:
        """EXTENDED COMMUNITIES (RFC 4360), each 64 bits."""
        return _integers(self.get(EXTENDED_COMMUNITIES), 8)

    @property
    def ipv6_ext_communities(self) -> tuple[bytes, ...]:
        """IPv6 specific extended communities (RFC 5701), each 20 octets."""
        value = self.get(IPV6_EXTENDED_COMMUNITIES) or b""
        return tuple(value[at : at + 20] for at in range(0, len(value), 20))

    @property
    def large_communities(self) -> tuple[tuple[int, int, int], ...]:
        """LARGE_COMMUNITY (RFC 8092): global administrator and two local parts."""
        return tuple(_LARGE.iter_unpack(self.get(LARGE_COMMUNITIES) or b""))

    @property
    def originator_id(self) -> int | None:
        """ORIGINATOR_ID (RFC 4456 8)."""
        return _integer(self.get(ORIGINATOR_ID))

    @property
    def cluster_list(self) -> tuple[int, ...]:
        """CLUSTER_LIST (RFC 4456 8), the latest reflector first."""
        return _integers(self.get(CLUSTER_LIST), 4)

    @property
    def otc(self) -> int | None:
        """The AS of ONLY_TO_CUSTOMER (RFC 9234 5)."""
        return _integer(self.get(ONLY_TO_CUSTOMER))

    @property
    def aigp(self) -> int | None:
        """The accumulated metric of the first AIGP TLV (RFC 7311 3)."""
        value = self.get(AIGP) or b""
        while value:
            length = int.from_bytes(value[1:3], "big")
            if value[0] == _AIGP_TLV:
                return int.from_bytes(value[3:length], "big")
            value = value[length:]
        return None


class PlainAttributes(PathAttributes):
    """Attributes that a reflector passes on by appending to them (RFC 4456 8, 10).

    A block as nearly all are: it begins as ``UP_TO_COMMUNITIES`` says and ends there, its
    NEXT_HOP has 4 octets, and no octets of it could be a community that keeps a route from
    a peer (``BARRIER``). So nothing but its source decides who is sent it, and
    ORIGINATOR_ID and CLUSTER_LIST belong after all others.

    A class says so without a field, which would cost memory a hundred thousand times. Only
    ``decode_usual`` makes it. Every short cut of import, decision and reflection asks
    ``is_plain`` and nothing else, and gives what the long way gives for a
    ``PathAttributes`` of the same octets (``tests/property/test_short_ways.py``).
    """

    __slots__ = ()

    is_plain: ClassVar[bool] = True


class SplicedAttributes(PathAttributes):
    """Attributes that a reflector passes on by a splice in their middle (RFC 4456 8, 10).

    As ``PlainAttributes``, but something follows COMMUNITIES: ORIGINATOR_ID and
    CLUSTER_LIST of another reflector, or communities of other kinds. Again nothing but its
    source decides which internal peers are sent it. ``decode_usual`` alone makes it, and
    every short cut asks ``is_spliced``.

    Attributes:
        cluster_at: Index in ``octets`` where CLUSTER_LIST begins, or where both belong that
            reflection adds if there is neither. Never the end of the block.
    """

    __slots__ = ("cluster_at",)

    is_spliced: ClassVar[bool] = True

    def __init__(self, octets: bytes, next_hop: bytes, cluster_at: int) -> None:
        self.octets = octets
        self.next_hop = next_hop
        self.cluster_at = cluster_at


def _integer(value: bytes | None) -> int | None:
    return None if value is None else int.from_bytes(value, "big")


def _integers(value: bytes | None, size: int) -> tuple[int, ...]:
    if not value:
        return ()
    return unpack(f"!{len(value) // size}{'I' if size == 4 else 'Q'}", value)


def iterate(octets: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield ``(flags, type code, value)`` of each attribute of a canonical block."""
    at, end = 0, len(octets)
    while at < end:
        stop = _next_attribute(octets, at)
        start = at + (4 if octets[at] & EXTENDED_LENGTH else 3)
        yield octets[at], octets[at + 1], octets[start:stop]
        at = stop


def _next_attribute(octets: bytes, at: int) -> int:
    if octets[at] & EXTENDED_LENGTH:
        return at + 4 + (octets[at + 2] << 8) + octets[at + 3]
    return at + 3 + octets[at + 2]


def encode_attribute(code: int, value: bytes, flags: int | None = None) -> bytes:
    """Return one attribute as octets.

    Args:
        code: Type code.
        value: Value octets, at most 65535.
        flags: ``None`` takes the table's; Extended Length is set as the value asks.
    """
    if flags is None:
        flags = FLAGS.get(code, UNKNOWN_FLAGS)
    length = len(value)
    if length > 255:
        flags |= EXTENDED_LENGTH
        return bytes((flags, code, length >> 8, length & 0xFF)) + value
    return bytes((flags & ~EXTENDED_LENGTH, code, length)) + value


# hot: per attribute set
def edit(octets: bytes, changes: Mapping[int, bytes | None]) -> bytes:
    """Return the canonical block with attributes set, replaced or removed.

    Args:
        octets: Canonical block.
        changes: Type code to new value octets; ``None`` removes the attribute. What is
            replaced keeps its Partial bit (RFC 4271 4.3: once set, it stays).
    """
    pieces = []
    kept_from = at = 0
    end = len(octets)
    for code in sorted(changes):
        partial = 0
        while at < end and (here := octets[at + 1]) <= code:
            if here == code:  # the old value is left out
                pieces.append(octets[kept_from:at])
                partial = octets[at] & PARTIAL
                kept_from = at = _next_attribute(octets, at)
                break
            if octets[at] & EXTENDED_LENGTH:
                at += 4 + (octets[at + 2] << 8) + octets[at + 3]
            else:
                at += 3 + octets[at + 2]
        value = changes[code]
        if value is not None:
            if kept_from < at:
                pieces.append(octets[kept_from:at])
                kept_from = at
            flags = FLAGS.get(code, UNKNOWN_FLAGS) | partial
            pieces.append(encode_attribute(code, value, flags))
    pieces.append(octets[kept_from:])
    return b"".join(pieces)


def canonical_flags(code: int, flags: int) -> int:
    """Return the flags a canonical block has for an attribute received with ``flags``."""
    expected = FLAGS.get(code)
    if expected is None:
        return UNKNOWN_FLAGS
    if expected == OPTIONAL_TRANSITIVE:
        return expected | (flags & PARTIAL)
    return expected


def make_attributes(
    *,
    next_hop: bytes,
    origin: int = ORIGIN_IGP,
    as_path: bytes = b"",
    med: int | None = None,
    local_pref: int | None = None,
    atomic_aggregate: bool = False,
    aggregator: tuple[int, bytes] | None = None,
    communities: Iterable[int] = (),
    originator_id: int | None = None,
    cluster_list: Iterable[int] = (),
    ext_communities: Iterable[int] = (),
    ipv6_ext_communities: Iterable[bytes] = (),
    aigp: int | None = None,
    large_communities: Iterable[tuple[int, int, int]] = (),
    otc: int | None = None,
    others: Mapping[int, bytes] | None = None,
) -> PathAttributes:
    """Return attributes of a route originated here.

    ``next_hop`` has 4, 16 or 32 octets, or none yet; ``as_path`` is value octets, as of
    ``rib.attributes.as_path.parse_as_path``; ``others`` are further attributes, type code to value
    octets. The other arguments are as the properties of ``PathAttributes`` return them;
    what is ``None`` or empty is left out.
    """
    word = _word
    values: dict[int, bytes | None] = {
        **(others or {}),
        ORIGIN: bytes((origin,)),
        AS_PATH: as_path,
        NEXT_HOP: next_hop if len(next_hop) == 4 else None,
        MULTI_EXIT_DISC: word(med),
        LOCAL_PREF: word(local_pref),
        ATOMIC_AGGREGATE: b"" if atomic_aggregate else None,
        AGGREGATOR: (
            None if aggregator is None else (word(aggregator[0]) or b"") + aggregator[1]
        ),
        COMMUNITIES: encode_communities(communities) or None,
        ORIGINATOR_ID: word(originator_id),
        CLUSTER_LIST: encode_communities(cluster_list) or None,
        EXTENDED_COMMUNITIES: encode_ext_communities(ext_communities) or None,
        IPV6_EXTENDED_COMMUNITIES: b"".join(ipv6_ext_communities) or None,
        AIGP: None if aigp is None else b"\x01\x00\x0b" + aigp.to_bytes(8, "big"),
        LARGE_COMMUNITIES: encode_large_communities(large_communities) or None,
        ONLY_TO_CUSTOMER: word(otc),
    }
    return PathAttributes(edit(b"", values), next_hop)


def _word(number: int | None) -> bytes | None:
    return None if number is None else number.to_bytes(4, "big")


def encode_communities(communities: Iterable[int]) -> bytes:
    """Return value octets of COMMUNITIES or CLUSTER_LIST, in the given order."""
    return b"".join(item.to_bytes(4, "big") for item in communities)


def encode_ext_communities(communities: Iterable[int]) -> bytes:
    """Return value octets of EXTENDED COMMUNITIES (RFC 4360 2), in the given order."""
    return b"".join(item.to_bytes(8, "big") for item in communities)


def encode_large_communities(communities: Iterable[tuple[int, int, int]]) -> bytes:
    """Return value octets of LARGE_COMMUNITY, repeated ones once (RFC 8092 3)."""
    return b"".join(_LARGE.pack(*item) for item in dict.fromkeys(communities))
