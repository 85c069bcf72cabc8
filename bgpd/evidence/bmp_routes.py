"""Routes of tables as UPDATEs for BMP. Pure."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from bgpd.wire.framing import (
    MAX_EXTENDED_MESSAGE_LEN,
    MAX_MESSAGE_LEN,
    MessageType,
    encode_message,
)
from bgpd.wire.pack import pack_announce, pack_withdraw
from rib.attributes import PathAttributes, encode_attribute
from rib.attributes.codes import MP_UNREACH_NLRI
from rib.change import Change
from rib.family import IPV4_UNICAST, Family
from rib.path_set import best_of

_LENGTH_AT: Final = 16  # octets from the beginning of a message to its length

Wrap = Callable[[bytes], bytes]
"""Makes a message of BMP of an UPDATE."""


def announced(
    family: Family, attributes: PathAttributes, pieces: Sequence[bytes], wrap: Wrap
) -> bytes:
    """Return messages that announce prefixes, joined.

    Args:
        family: Of the prefixes.
        attributes: Their attributes.
        pieces: Prefixes, each after its path identifier if there are any.
        wrap: See there.
    """
    next_hop = attributes.next_hop
    shown = b"" if len(next_hop) == 4 else next_hop
    if not shown and family != IPV4_UNICAST:
        shown = bytes(16)  # our own route without a next hop
    try:
        updates = pack_announce(
            family, attributes.octets, shown, pieces, MAX_MESSAGE_LEN
        )
    except ValueError:  # came in an extended message (RFC 8654)
        updates = pack_announce(
            family, attributes.octets, shown, pieces, MAX_EXTENDED_MESSAGE_LEN
        )
    return b"".join(map(wrap, cut(updates)))


def changed(change: Change, family: Family, wrap: Wrap) -> bytes:
    """Return messages about the best path of prefixes, joined; empty where it is the same."""
    old, new = best_of(change.old), best_of(change.new)
    if new is None:
        if old is None:
            return b""
        updates = pack_withdraw(family, change.nlris, MAX_MESSAGE_LEN)
        return b"".join(map(wrap, cut(updates)))
    if old is new or (old is not None and old.attributes is new.attributes):
        return b""
    return announced(family, new.attributes, change.nlris, wrap)


def end_of_rib(family: Family) -> bytes:
    """Return the mark that all routes were sent (RFC 4724 2), with its header."""
    if family == IPV4_UNICAST:
        return encode_message(MessageType.UPDATE, bytes(4))
    value = family.afi.to_bytes(2, "big") + bytes((family.safi,))
    block = encode_attribute(MP_UNREACH_NLRI, value)
    body = bytes(2) + len(block).to_bytes(2, "big") + block
    return encode_message(MessageType.UPDATE, body)


def cut(octets: bytes) -> Iterator[bytes]:
    """Cut joined messages."""
    at = 0
    while at < len(octets):
        length_at = at + _LENGTH_AT
        end = at + int.from_bytes(octets[length_at : length_at + 2], "big")
        yield octets[at:end]
        at = end
