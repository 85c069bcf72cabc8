"""Routes that leave together -> as few UPDATEs as fit (RFC 4271 4.3, RFC 4760 3 and 4).

The pieces packed are opaque octets: an NLRI key, or a path identifier and a key
(RFC 7911). They are joined, not looked at. IPv4 unicast goes into the classic fields,
where its next hop is an attribute; everything else into MP_REACH_NLRI and MP_UNREACH_NLRI,
which stand first in the block, as RFC 7606 5.1 asks.
"""

from collections.abc import Iterator, Mapping, Sequence
from struct import Struct
from typing import Final

from bgpd.wire.framing import MARKER, MessageType
from rib.attributes.codes import MP_REACH_NLRI, MP_UNREACH_NLRI
from rib.family import ADDRESS_OCTETS, IPV4_UNICAST, Family

# marker, length, type, withdrawn routes length, total path attribute length
_ANNOUNCE: Final = Struct(">16sHBHH").pack
_WITHDRAW: Final = Struct(">16sHBH").pack
_UPDATE: Final = int(MessageType.UPDATE)
_OPTIONAL_EXTENDED: Final = 0x90  # flags: optional, two length octets


# hot: per attribute set
def pack_announce(
    family: Family,
    attributes: bytes,
    next_hop: bytes,
    pieces: Sequence[bytes],
    max_message_len: int,
) -> bytes:
    """Return the UPDATEs that announce ``pieces``, joined.

    Args:
        family: AFI and SAFI of the pieces.
        attributes: The outgoing block; it holds NEXT_HOP where ``next_hop`` is empty.
        next_hop: For MP_REACH_NLRI; empty for the classic IPv4 fields.
        pieces: NLRI, each with its path identifier where the session has add-path.
        max_message_len: Octets of a message, 4096 or 65535 (RFC 8654).

    Raises:
        ValueError: The attributes leave no room for a single prefix: the route cannot be
            sent to this peer at all.
    """
    if not next_hop:
        run = b"".join(pieces)
        size = 23 + len(attributes) + len(run)
        if size <= max_message_len:
            head = _ANNOUNCE(MARKER, size, _UPDATE, 0, len(attributes))
            return head + attributes + run
    packed = []
    mp_head = family.afi.to_bytes(2, "big") + bytes([family.safi, len(next_hop)])
    fixed = 23 + len(attributes)
    if next_hop:
        fixed += 4 + len(mp_head) + len(next_hop) + 1
    for run in _runs(pieces, max_message_len - fixed, family):
        if next_hop:
            value = mp_head + next_hop + b"\0" + run
            block = _mp_attribute(MP_REACH_NLRI, value) + attributes
            tail = b""
        else:
            block, tail = attributes, run
        size = 23 + len(block) + len(tail)
        packed.append(_ANNOUNCE(MARKER, size, _UPDATE, 0, len(block)) + block + tail)
    return b"".join(packed)


# hot: per attribute set
def pack_blocks(
    routes: Mapping[bytes, Sequence[bytes]], tail: bytes, max_message_len: int
) -> tuple[bytes, dict[bytes, Sequence[bytes]]]:
    """Return the UPDATEs that announce IPv4 unicast routes, joined, and what is left over.

    As ``pack_announce`` for each block, but in one go, and for what fits one message alone.

    Args:
        routes: Blocks with NEXT_HOP, and the prefixes of each.
        tail: Attributes that follow those of each block.
        max_message_len: As in ``pack_announce``.
    """
    parts: list[bytes] = []
    left: dict[bytes, Sequence[bytes]] = {}
    pack, join, tail_len = _ANNOUNCE, b"".join, len(tail)
    for block, pieces in routes.items():
        run = join(pieces)
        block_len = len(block) + tail_len
        size = 23 + block_len + len(run)
        if size <= max_message_len:
            parts += (pack(MARKER, size, _UPDATE, 0, block_len), block, tail, run)
        else:
            left[block + tail] = pieces
    return join(parts), left


def pack_withdraw(
    family: Family, pieces: Sequence[bytes], max_message_len: int
) -> bytes:
    """Return the UPDATEs that withdraw ``pieces``, joined."""
    packed = []
    if family == IPV4_UNICAST:
        for run in _runs(pieces, max_message_len - 23, family):
            head = _WITHDRAW(MARKER, 23 + len(run), _UPDATE, len(run))
            packed.append(head + run + b"\0\0")
        return b"".join(packed)
    mp_head = family.afi.to_bytes(2, "big") + bytes([family.safi])
    for run in _runs(pieces, max_message_len - 30, family):
        block = _mp_attribute(MP_UNREACH_NLRI, mp_head + run)
        size = 23 + len(block)
        packed.append(_ANNOUNCE(MARKER, size, _UPDATE, 0, len(block)) + block)
    return b"".join(packed)


def _mp_attribute(type_code: int, value: bytes) -> bytes:
    head = bytes([_OPTIONAL_EXTENDED, type_code])
    return head + len(value).to_bytes(2, "big") + value


def _runs(pieces: Sequence[bytes], room: int, family: Family) -> Iterator[bytes]:
    """Cut pieces into joined runs of at most ``room`` octets.

    Cuts by count where every piece is sure to fit: joining and measuring whole slices is
    one C call each, and the last octets of a message are not worth a loop per prefix.
    """
    longest = 4 + 1 + ADDRESS_OCTETS[family.afi]
    at, end = 0, len(pieces)
    while at < end:
        stop = min(end, at + max(1, room // longest))
        run = b"".join(pieces[at:stop])
        while stop < end and len(run) + longest <= room:
            more = min(end, stop + max(1, (room - len(run)) // longest))
            run += b"".join(pieces[stop:more])
            stop = more
        if len(run) > room:
            raise ValueError(
                f"the attributes leave {room} octets, too few for a prefix"
            )
        yield run
        at = stop
