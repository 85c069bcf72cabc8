"""The three fields of an UPDATE, and the markers made of empty ones (RFC 4271 4.3).

Octets of NLRI and attributes belong to ``rib``; this module only finds where they start
and end. A body here is the message without its 19-octet header.

    +-----------------------------------------------------+
    |   Withdrawn Routes Length (2 octets)                |
    |   Withdrawn Routes (variable)                       |
    |   Total Path Attribute Length (2 octets)            |
    |   Path Attributes (variable)                        |
    |   Network Layer Reachability Information (variable) |
    +-----------------------------------------------------+
"""

from typing import Final, NamedTuple

from bgpd.wire.errors import ErrorCode, NotifyError, UpdateSubcode
from rib.family import IPV4_UNICAST, Family

_MARKER: Final = b"\xff" * 16
_UPDATE_TYPE: Final = b"\x02"


class Fields(NamedTuple):
    """An UPDATE's fields, undivided."""

    withdrawn: bytes
    attributes: bytes
    nlri: bytes


def split_fields(body: bytes) -> Fields:
    """Return the three fields of an UPDATE's body.

    Raises:
        NotifyError: 3/1 where a length runs past the end (RFC 4271 6.3, RFC 7606 3 b): the
            NLRI cannot be located, so nothing milder is possible.
    """
    end = len(body)
    if end < 4:
        raise _malformed(f"the body has {end} octets, fewer than 4")
    withdrawn_end = 2 + (body[0] << 8 | body[1])
    if withdrawn_end + 2 > end:
        raise _malformed("Withdrawn Routes Length runs past the end")
    attributes_start = withdrawn_end + 2
    attributes_end = attributes_start + (
        body[withdrawn_end] << 8 | body[withdrawn_end + 1]
    )
    if attributes_end > end:
        raise _malformed("Total Path Attribute Length runs past the end")
    return Fields(
        body[2:withdrawn_end],
        body[attributes_start:attributes_end],
        body[attributes_end:],
    )


def _malformed(text: str) -> NotifyError:
    return NotifyError(
        ErrorCode.UPDATE, UpdateSubcode.MALFORMED_ATTRIBUTE_LIST, text=f"UPDATE: {text}"
    )


def end_of_rib(family: Family) -> bytes:
    """Return the whole End-of-RIB message of a family (RFC 4724 2)."""
    if family == IPV4_UNICAST:
        return message(b"\0\0\0\0")
    mp_unreach = b"\x80\x0f\x03" + family.afi.to_bytes(2, "big") + bytes([family.safi])
    return message(b"\0\0\0\x06" + mp_unreach)


def message(body: bytes) -> bytes:
    """Return an UPDATE with its header."""
    return _MARKER + (19 + len(body)).to_bytes(2, "big") + _UPDATE_TYPE + body
