"""Sets of communities, written as values and as patterns of them. Pure.

``65000:*`` and ``65000:100-199`` stand for many communities; so do ``65000:1:*`` for large
ones and ``rt:65000:*`` or ``0x4004*`` for extended ones. A pattern looks at the parts of a
community, each within bounds; what has no pattern in it stays a plain value, so that the
usual list costs one set operation.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from rib.attributes.as_path import parse_asn
from rib.attributes.communities import (
    EXT_SUB_TYPES,
    parse_community,
    parse_ext_community,
    parse_large_community,
)
from rib.nlri import parse_address

Bounds = tuple[int, int]
Parts = tuple[int, ...]

_FIELD: Final = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?|\*", re.ASCII)
_HEX: Final = re.compile(r"0x([0-9a-fA-F]{0,15})\*", re.ASCII)
_OCTETS_2: Final = 0xFFFF
_OCTETS_4: Final = 0xFFFFFFFF
_OCTETS_8: Final = 0xFFFFFFFFFFFFFFFF

# Forms of an extended community's administrator, AS numbers side by side.
_FORM_OF_TYPE: Final = {
    0x00: 0,
    0x02: 1,
    0x01: 2,
}  # RFC 4360 3.1, RFC 5668, RFC 4360 3.2
_ANY_FORM: Final = (0, 2)
_AS_FORM: Final = (0, 1)
_FOUR_OCTET_FORM: Final = (1, 1)
_ADDRESS_FORM: Final = (2, 2)
_OPAQUE_FORM: Final = 3


class CommunityPattern(NamedTuple):
    """Communities with each part within bounds.

    Attributes:
        bounds: Least and greatest value of each part that ``Kind.parts`` gives.
    """

    bounds: tuple[Bounds, ...]

    def fits(self, parts: Parts) -> bool:
        """Return whether a community of these parts is meant."""
        return all(
            low <= part <= high
            for part, (low, high) in zip(parts, self.bounds, strict=True)
        )


class Kind(NamedTuple):
    """What distinguishes standard, large and extended communities.

    Attributes:
        field: Property of ``PathAttributes`` that has them.
        parts: What patterns look at in one of them.
        parse: Returns a value or a ``CommunityPattern`` from text, or raises ``ValueError``.
    """

    field: str
    parts: Callable[[Any], Parts]
    parse: Callable[[str], Any]


class CommunitySet:
    """Wanted communities of one kind, prepared for fast tests.

    Args:
        wanted: Values and patterns.
        kind: What they are.
    """

    __slots__ = ("_parts", "_patterns", "_values")

    def __init__(self, wanted: Iterable[Any], kind: Kind) -> None:
        wanted = tuple(wanted)
        self._patterns = tuple(w for w in wanted if isinstance(w, CommunityPattern))
        self._values = frozenset(
            w for w in wanted if not isinstance(w, CommunityPattern)
        )
        self._parts = kind.parts

    def __contains__(self, community: object) -> bool:
        """Return whether a value or a pattern means this community."""
        if community in self._values:
            return True
        if not self._patterns:
            return False
        parts = self._parts(community)
        return any(pattern.fits(parts) for pattern in self._patterns)

    def meets_any(self, communities: Iterable[Any]) -> bool:
        """Return whether one of ``communities`` is wanted."""
        communities = tuple(communities)
        if not self._values.isdisjoint(communities):
            return True
        return bool(self._patterns) and any(each in self for each in communities)

    def meets_all(self, communities: Iterable[Any]) -> bool:
        """Return whether each value is there, and for each pattern one that it means."""
        communities = tuple(communities)
        if not self._values.issubset(communities):
            return False
        parts = [self._parts(each) for each in communities] if self._patterns else []
        return all(any(map(pattern.fits, parts)) for pattern in self._patterns)

    def meets_exactly(self, communities: Iterable[Any]) -> bool:
        """Return whether ``meets_all`` holds, and each of ``communities`` is wanted."""
        communities = tuple(communities)
        return self.meets_all(communities) and all(each in self for each in communities)


def _standard_parts(community: int) -> Parts:
    return community >> 16, community & _OCTETS_2


def _large_parts(community: Parts) -> Parts:
    return community


def _ext_parts(community: int) -> Parts:
    """Return form, sub-type, administrator, local part, and the whole."""
    type_, sub_type = community >> 56, community >> 48 & 0xFF
    form = _FORM_OF_TYPE.get(type_, _OPAQUE_FORM)
    if form == 0:
        return (
            form,
            sub_type,
            community >> 32 & _OCTETS_2,
            community & _OCTETS_4,
            community,
        )
    administrator = community >> 16 & _OCTETS_4
    return form, sub_type, administrator, community & _OCTETS_2, community


def _parse_standard(text: str) -> int | CommunityPattern:
    words = text.split(":")
    if len(words) != 2 or not _is_pattern(text):
        return parse_community(text)
    return CommunityPattern(tuple(_bounds(text, word, _OCTETS_2) for word in words))


def _parse_large(text: str) -> Parts | CommunityPattern:
    words = text.split(":")
    if len(words) != 3 or not _is_pattern(text):
        return parse_large_community(text)
    return CommunityPattern(tuple(_bounds(text, word, _OCTETS_4) for word in words))


def _parse_ext(text: str) -> int | CommunityPattern:
    leading = _HEX.fullmatch(text)
    if leading is not None:
        digits = leading[1]
        free = 4 * (16 - len(digits))
        low = int(digits or "0", 16) << free
        everything = (0, _OCTETS_8)
        whole = (low, low | (1 << free) - 1)
        return CommunityPattern((*(everything,) * 4, whole))
    name, _, rest = text.partition(":")
    administrator, _, local = rest.rpartition(":")
    sub_type = EXT_SUB_TYPES.get(name)
    if sub_type is None or not _is_pattern(rest):
        return parse_ext_community(text)
    form, numbers = _administrator(text, administrator)
    return CommunityPattern(
        (
            form,
            (sub_type, sub_type),
            numbers,
            _bounds(text, local, _OCTETS_4),
            (0, _OCTETS_8),
        )
    )


def _administrator(text: str, word: str) -> tuple[Bounds, Bounds]:
    """Return the forms and the numbers that ``*``, an address or AS numbers mean."""
    if word == "*":
        return _ANY_FORM, (0, _OCTETS_4)
    if word.count(".") == 3:
        number = int.from_bytes(parse_address(word), "big")
        return _ADDRESS_FORM, (number, number)
    if word.endswith("L"):
        asn = parse_asn(word.removesuffix("L"))
        return _FOUR_OCTET_FORM, (asn, asn)
    return _AS_FORM, _bounds(text, word, _OCTETS_4)


def _is_pattern(text: str) -> bool:
    return "*" in text or "-" in text


def _bounds(text: str, word: str, most: int) -> Bounds:
    match = _FIELD.fullmatch(word)
    if match is None:
        raise ValueError(
            f"{text!r} is not a community pattern: {word!r} is neither a number, "
            "a range such as 1-99, nor *"
        )
    if word == "*":
        return 0, most
    low, high = int(match[1]), int(match[2] or match[1])
    if low > high:
        raise ValueError(f"{text!r}: the range {word} is empty")
    if high > most:
        raise ValueError(f"{text!r} has a number larger than {most}")
    return low, high


STANDARD: Final = Kind("communities", _standard_parts, _parse_standard)
LARGE: Final = Kind("large_communities", _large_parts, _parse_large)
EXTENDED: Final = Kind("ext_communities", _ext_parts, _parse_ext)
KINDS: Final = (STANDARD, LARGE, EXTENDED)
