"""Attributes that only have a meaning within one administrative domain; we do not interpret them.

They are passed on inside of it with the Partial bit, as RFC 4271 5 has it for what is not
understood. Two things are asked of every speaker at the border, and of every one that a
malformed attribute reaches: not to let it in or out unless told to, and the remedy of the
attribute's own RFC. Only the form is checked.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from rib.attributes import codes
from rib.errors import Remedy

_LABEL_INDEX: Final = 1  # RFC 8669 3.1, of 7 octets
_ORIGINATOR_SRGB: Final = 3  # RFC 8669 3.2, of 2 octets and 6 for each range
_LONG_SUB_TLV: Final = 128  # from this type on the length has two octets (RFC 9012 2)


@dataclass(frozen=True, slots=True)
class ScopedRow:
    """How one such attribute is handled.

    Attributes:
        code: Type code.
        name: As its RFC writes it.
        check: Returns what is wrong with the form of a value; empty for nothing.
        malformed: Remedy for a malformed value, and for one that is not transitive.
        clause: Where that stands.
        scope: Where it stands that the attribute stays within a domain.
    """

    code: int
    name: str
    check: Callable[[bytes], str]
    malformed: Remedy
    clause: str
    scope: str


class _BadFormError(Exception):
    """TLVs do not fill their field."""


def _tlvs(
    value: bytes, type_size: int, long_from: int = 0
) -> Iterator[tuple[int, bytes]]:
    """Yield types and values; the length has two octets from type ``long_from`` on.

    Raises:
        _BadFormError: The last one runs past the end.
    """
    at, end = 0, len(value)
    while at < end:
        kind = int.from_bytes(value[at : at + type_size], "big")
        start = at + type_size + (2 if kind >= long_from else 1)
        stop = start + int.from_bytes(value[at + type_size : start], "big")
        if start > end or stop > end:
            raise _BadFormError
        yield kind, value[start:stop]
        at = stop


def _check_tunnels(value: bytes) -> str:
    """RFC 9012 13: each TLV ends with its last sub-TLV, and there is one at least."""
    try:
        tunnels = [inner for _, inner in _tlvs(value, 2)]
        for inner in tunnels:
            for _ in _tlvs(inner, 1, _LONG_SUB_TLV):
                pass
    except _BadFormError:
        return "a TLV runs past the end"
    return "" if tunnels else "no TLV"


def _check_prefix_sid(value: bytes) -> str:
    """RFC 8669 6: a length that is too short for a TLV, wrong for its type, or too long."""
    try:
        for kind, inner in _tlvs(value, 1):
            size = len(inner)
            is_wrong = (kind == _LABEL_INDEX and size != 7) or (
                kind == _ORIGINATOR_SRGB and (size < 8 or size % 6 != 2)
            )
            if is_wrong:
                return f"TLV {kind} of {size} octets"
    except _BadFormError:
        return "a TLV runs past the end"
    return "" if value else "no TLV"


_ROWS: Final = (
    ScopedRow(
        codes.TUNNEL_ENCAPSULATION,
        "tunnel encapsulation",
        _check_tunnels,
        Remedy.TREAT_AS_WITHDRAW,
        "RFC 9012 13",
        "RFC 9012 11",
    ),
    ScopedRow(
        codes.PREFIX_SID,
        "prefix SID",
        _check_prefix_sid,
        Remedy.ATTRIBUTE_DISCARD,
        "RFC 8669 6",
        "RFC 8669 4",
    ),
)

SCOPED: Final = MappingProxyType({row.code: row for row in _ROWS})
"""Attributes that stay within a domain, by type code."""
