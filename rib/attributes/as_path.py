"""AS paths as their octets: reading, checking and rewriting (RFC 4271 4.3 b, 5.1.2).

The value of an AS_PATH is a run of segments: a type octet, a count octet and so many AS
numbers. Inside the RIB every AS number has 4 octets (RFC 6793); the 2-octet form exists
only on the way in and out, in ``rib.attributes.four_octet_as``.

RFC 4271 9.1.2.2 counts an AS_SET as one hop; RFC 5065 5.3 counts confederation segments
as none.
"""

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import count
from struct import unpack_from
from typing import Final

AS_SET: Final = 1
AS_SEQUENCE: Final = 2
AS_CONFED_SEQUENCE: Final = 3  # RFC 5065
AS_CONFED_SET: Final = 4  # RFC 5065

SEGMENT_MAX: Final = 255  # AS numbers; the count is one octet
ASN_MAX: Final = 0xFFFFFFFF

# RFC 6996 5: what a network uses inside and should not show outside.
PRIVATE_ASNS: Final = (range(64512, 65535), range(4200000000, 4294967295))

Segment = tuple[int, tuple[int, ...]]

_ASN_FORMATS: Final = {2: "H", 4: "I"}
_BRACKETS: Final = {
    AS_SET: ("{", ",", "}"),
    AS_SEQUENCE: ("", " ", ""),
    AS_CONFED_SEQUENCE: ("(", " ", ")"),
    AS_CONFED_SET: ("[", ",", "]"),
}
_TEXT_PIECE: Final = re.compile(
    r"\s*(?:(?P<word>[^\s{}()\[\]]+)|(?P<opening>[{(\[])(?P<inside>[\d.,\s]*)"
    r"(?P<closing>[})\]]))"
)
_TYPE_OF_BRACKETS: Final = {
    opening + closing: kind for kind, (opening, _, closing) in _BRACKETS.items()
}


def check_segments(value: bytes, asn_len: int = 4) -> str:
    """Return what makes ``value`` malformed (RFC 7606 7.2), or an empty string.

    Only the structure is checked: segment types, counts, over- and underrun.

    Args:
        value: Octets of the attribute.
        asn_len: Octets of an AS number, 2 or 4.
    """
    at, end = 0, len(value)
    while at < end:
        if at + 2 > end:
            return "one octet left where a segment should start"
        kind, count = value[at], value[at + 1]
        if not AS_SET <= kind <= AS_CONFED_SET:
            return f"segment type {kind} is unknown"
        if not count:
            return "a segment of no AS numbers"
        at += 2 + count * asn_len
    return "" if at == end else "a segment runs past the end"


def iterate_segments(value: bytes, asn_len: int = 4) -> Iterator[Segment]:
    """Yield ``(type, AS numbers)`` of a value that ``check_segments`` found sound."""
    at, end = 0, len(value)
    letter = _ASN_FORMATS[asn_len]
    while at < end:
        count = value[at + 1]
        yield value[at], unpack_from(f"!{count}{letter}", value, at + 2)
        at += 2 + count * asn_len


def encode_segments(segments: Iterable[Segment], asn_len: int = 4) -> bytes:
    """Return the octets of ``segments``; long ones are divided, empty ones left out."""
    pieces = []
    for kind, asns in segments:
        for start in range(0, len(asns), SEGMENT_MAX):
            part = asns[start : start + SEGMENT_MAX]
            pieces.append(bytes((kind, len(part))))
            pieces.extend(asn.to_bytes(asn_len, "big") for asn in part)
    return b"".join(pieces)


def count_hops(value: bytes) -> int:
    """Return the path length the decision process compares (RFC 4271 9.1.2.2 a)."""
    at, end, hops = 0, len(value), 0
    while at < end:
        kind, count = value[at], value[at + 1]
        if kind == AS_SEQUENCE:
            hops += count
        elif kind == AS_SET:
            hops += 1
        at += 2 + 4 * count
    return hops


def neighbour_as(value: bytes) -> int:
    """Return the AS the route was learned from, for comparing MED (RFC 4271 9.1.2.2 c).

    It is the first AS number, confederation segments aside; 0 for a path that is empty
    or starts with a set: such a route came from inside, or from no particular AS.
    """
    at, end = 0, len(value)
    while at < end:
        kind, count = value[at], value[at + 1]
        if kind == AS_SEQUENCE:
            return int.from_bytes(value[at + 2 : at + 6], "big")
        if kind == AS_SET:
            return 0
        at += 2 + 4 * count
    return 0


class AsPath:
    """A view of an AS_PATH's octets; everything is computed on demand.

    Attributes:
        octets: The attribute's value, AS numbers in 4 octets.
    """

    __slots__ = ("octets",)

    def __init__(self, octets: bytes) -> None:
        self.octets = octets

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsPath) and self.octets == other.octets

    def __hash__(self) -> int:
        return hash(self.octets)

    def __repr__(self) -> str:
        return f"AsPath({format_as_path(self.octets)!r})"

    def __str__(self) -> str:
        return format_as_path(self.octets)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """All segments, ``(type, AS numbers)``."""
        return tuple(iterate_segments(self.octets))

    @property
    def hop_count(self) -> int:
        """Length for the decision process (RFC 4271 9.1.2.2 a)."""
        return count_hops(self.octets)

    @property
    def neighbour_as(self) -> int:
        """First AS, 0 for none; see the function of this name."""
        return neighbour_as(self.octets)

    @property
    def origin_as(self) -> int:
        """The AS that originated the route: the last one; 0 for none or a set."""
        segments = self.segments
        kind, asns = segments[-1] if segments else (AS_SEQUENCE, ())
        return asns[-1] if kind == AS_SEQUENCE and asns else 0

    @property
    def asns(self) -> tuple[int, ...]:
        """All AS numbers from left to right, whatever segment they stand in."""
        return tuple(asn for _, asns in self.segments for asn in asns)

    @property
    def has_set(self) -> bool:
        """Whether an AS_SET or AS_CONFED_SET is in it (RFC 9774)."""
        return has_set(self.octets)

    def contains(self, asn: int) -> int:
        """Return how often ``asn`` occurs in the path: loop detection, RFC 4271 9.1.2."""
        octets = asn.to_bytes(4, "big")
        if octets not in self.octets:  # one C call answers nearly always
            return 0
        return self.asns.count(asn)


def has_set(value: bytes) -> bool:
    """Whether an AS_SET or AS_CONFED_SET is in it (RFC 9774)."""
    at, end = 0, len(value)
    while at < end:
        if value[at] in (AS_SET, AS_CONFED_SET):
            return True
        at += 2 + 4 * value[at + 1]
    return False


def prepend(value: bytes, asn: int, times: int = 1) -> bytes:
    """Return the path with ``asn`` prepended ``times`` times (RFC 4271 5.1.2 b).

    A leading AS_SEQUENCE takes it in until it has 255 entries; then, or before a set or
    an empty path, a new AS_SEQUENCE is started.
    """
    octets = asn.to_bytes(4, "big")
    while times > 0:
        has_sequence = value[:1] == b"\x02" and value[1] < SEGMENT_MAX
        count = value[1] if has_sequence else 0
        rest = value[2:] if has_sequence else value
        room = min(times, SEGMENT_MAX - count)
        value = bytes((AS_SEQUENCE, count + room)) + octets * room + rest
        times -= room
    return value


def is_private(asn: int) -> bool:
    """Whether ``asn`` is reserved for private use (RFC 6996)."""
    return any(asn in numbers for numbers in PRIVATE_ASNS)


class PrivateScope(Enum):
    """Which private AS numbers are hidden from another AS (RFC 6996 4)."""

    NONE = "off"
    WHOLE = "if-all-private"  # all, but only of a path that has no other
    LEADING = "leading"  # those before the first public one
    ALL = "all"


def hide_private(
    value: bytes, scope: PrivateScope, *, kept: int, stand_in: int | None = None
) -> bytes:
    """Return the path without its private AS numbers, order kept.

    Args:
        value: AS_PATH.
        scope: Which of them.
        kept: A number that stays: that of the peer, whose loop check needs it.
        stand_in: Replaces each; ``None`` removes them.
    """
    asns = AsPath(value).asns
    public = next((n for n, asn in enumerate(asns) if not is_private(asn)), len(asns))
    end = {
        PrivateScope.NONE: 0,
        PrivateScope.WHOLE: len(asns) if public == len(asns) else 0,
        PrivateScope.LEADING: public,
        PrivateScope.ALL: len(asns),
    }[scope]
    positions = count()

    def shown(asn: int) -> tuple[int, ...]:
        if next(positions) >= end or asn == kept or not is_private(asn):
            return (asn,)
        return () if stand_in is None else (stand_in,)

    return encode_segments(
        (kind, tuple(each for asn in asns for each in shown(asn)))
        for kind, asns in iterate_segments(value)
    )


def split_leading(value: bytes, number: int) -> tuple[bytes, bytes]:
    """Return the first ``number`` AS numbers of a path, and the rest of it."""
    before: list[Segment] = []
    after: list[Segment] = []
    for kind, asns in iterate_segments(value):
        room = max(number - sum(len(each) for _, each in before), 0)
        before.append((kind, asns[:room]))
        after.append((kind, asns[room:]))
    return encode_segments(before), encode_segments(after)


def replace_as(value: bytes, old: int, new: int) -> bytes:
    """Return the path with every ``old`` replaced by ``new``, its length unchanged."""
    return encode_segments(
        (kind, tuple(new if asn == old else asn for asn in asns))
        for kind, asns in iterate_segments(value)
    )


def format_as_path(value: bytes) -> str:
    """Return the usual text: ``65001 65002 {65003,65004} (64512) [64513]``."""
    texts = []
    for kind, asns in iterate_segments(value):
        opening, comma, closing = _BRACKETS[kind]
        texts.append(opening + comma.join(map(str, asns)) + closing)
    return " ".join(texts)


def parse_as_path(text: str) -> bytes:
    """Return the octets of what ``format_as_path`` writes; AS numbers also as ``1.10``.

    Raises:
        ValueError: ``text`` is not an AS path.
    """
    segments: list[Segment] = []
    sequence: list[int] = []
    at, text = 0, text.rstrip()
    while at < len(text):
        piece = _TEXT_PIECE.match(text, at)
        if piece is None:
            raise ValueError(f"{text!r} is not an AS path")
        at = piece.end()
        if piece["word"] is not None:
            sequence.append(parse_asn(piece["word"]))
            continue
        kind = _TYPE_OF_BRACKETS.get(piece["opening"] + piece["closing"])
        if kind is None:
            raise ValueError(f"{text!r} is not an AS path: brackets do not match")
        segments.append((AS_SEQUENCE, tuple(sequence)))
        sequence = []
        words = re.split(r"[\s,]+", piece["inside"].strip())
        segments.append((kind, tuple(map(parse_asn, words))))
    segments.append((AS_SEQUENCE, tuple(sequence)))
    return encode_segments(segments)


def parse_asn(text: str) -> int:
    """Return an AS number written plainly or as ``high.low`` (RFC 5396).

    Raises:
        ValueError: ``text`` is not an AS number of 4 octets.
    """
    high, dot, low = text.partition(".")
    words = (high, low) if dot else (high,)
    if not all(word.isascii() and word.isdigit() for word in words):
        raise ValueError(f"{text!r} is not an AS number")
    numbers = [int(word) for word in words]
    if dot and max(numbers) > 0xFFFF:
        raise ValueError(f"{text!r} is not an AS number")
    asn = (numbers[0] << 16) + numbers[1] if dot else numbers[0]
    if asn > ASN_MAX:
        raise ValueError(f"AS number {text} is larger than {ASN_MAX}")
    return asn
