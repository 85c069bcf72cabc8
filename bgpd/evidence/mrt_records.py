"""MRT records: octets, and nothing else (RFC 6396, RFC 8050). Pure.

    +-----------+------+---------+--------+--------------+-----------------------+
    | timestamp | type | subtype | length | microseconds | the record's own part |
    +-----------+------+---------+--------+--------------+-----------------------+
         4         2        2        4     4, *_ET alone

Tables are TABLE_DUMP_V2, messages and changes of state BGP4MP_ET, whose time has microseconds.
"""

from collections.abc import Collection, Sequence
from struct import Struct
from typing import Final, NamedTuple

from bgpd.wire.framing import HEADER_LEN, MessageType
from rib.attributes import PathAttributes, encode_attribute
from rib.attributes.codes import MP_REACH_NLRI, MP_UNREACH_NLRI
from rib.family import AFI_IPV4, AFI_IPV6, IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import Nlri

TABLE_DUMP_V2: Final = 13  # RFC 6396 4
BGP4MP_ET: Final = 17
PEER_INDEX_TABLE: Final = 1  # RFC 6396 4.3.1
STATE_CHANGE_AS4: Final = 5  # RFC 6396 4.4.4
OURSELVES: Final = 0
"""The place in the table of peers of what is originated here."""
MAX_PEERS: Final = 0xFFFF  # RFC 6396 4.3.1: the count has two octets
_AS_TRANS: Final = 23456  # RFC 6793 9

_RIB: Final = {  # RFC 6396 4.3.2, RFC 8050 4
    (IPV4_UNICAST, False): 2,
    (IPV6_UNICAST, False): 4,
    (IPV4_UNICAST, True): 8,
    (IPV6_UNICAST, True): 10,
}
_MESSAGE: Final = {  # by: sent, four-octet AS, path identifiers; RFC 6396 4.4, RFC 8050 3
    (False, False, False): 1,
    (False, True, False): 4,
    (True, False, False): 6,
    (True, True, False): 7,
    (False, False, True): 8,
    (False, True, True): 9,
    (True, False, True): 10,
    (True, True, True): 11,
}

_HEADER: Final = Struct("!IHHI")
_HEADER_ET: Final = Struct("!IHHII")
_RIB_HEAD: Final = Struct("!IHHII")
_ENTRY: Final = Struct("!HIH")
_ENTRY_WITH_ID: Final = Struct("!HIIH")
_FOUR_OCTET_ENDS: Final = Struct("!IIHH")
_TWO_OCTET_ENDS: Final = Struct("!HHHH")
_STATES: Final = Struct("!HH")
_TYPE_AT: Final = 18  # octets from the beginning of a message to its type
_EXTENDED_LENGTH: Final = 0x10
_COUNT: Final = Struct("!H")


class TablePeer(NamedTuple):
    """A peer as the table of peers has it (RFC 6396 4.3.1).

    Attributes:
        router_id: BGP identifier, as an integer.
        address: 4 or 16 octets.
        asn: AS number.
    """

    router_id: int
    address: bytes
    asn: int


class Ends(NamedTuple):
    """Both ends of a session (RFC 6396 4.4).

    Attributes:
        peer_as: 0 while it is open.
        local_as: Ours.
        peer: Address, 4 or 16 octets.
        local: Address of the same family; zero while it is open.
    """

    peer_as: int
    local_as: int
    peer: bytes
    local: bytes


class Encoding(NamedTuple):
    """What decoding an UPDATE depends on.

    Attributes:
        four_octet_as: AS numbers in AS_PATH have 4 octets (RFC 6793).
        add_path: Families with path identifiers (RFC 7911).
    """

    four_octet_as: bool = True
    add_path: frozenset[Family] = frozenset()


def peer_index_table(
    at: float, collector_id: int, peers: Sequence[TablePeer], view: str = ""
) -> bytes:
    """Return the record before those of prefixes, which refer to its peers by their places.

    Args:
        at: Seconds since 1970.
        collector_id: Our BGP identifier, as an integer.
        peers: At most ``MAX_PEERS``.
        view: A name for the table; may be empty.
    """
    name = view.encode()
    body = b"".join(
        (
            collector_id.to_bytes(4, "big"),
            _COUNT.pack(len(name)),
            name,
            _COUNT.pack(len(peers)),
            *map(_table_peer, peers),
        )
    )
    return _HEADER.pack(int(at), TABLE_DUMP_V2, PEER_INDEX_TABLE, len(body)) + body


def _table_peer(peer: TablePeer) -> bytes:
    kind = 2 | (len(peer.address) == 16)  # bit 1: an AS of four octets; bit 0: IPv6
    router_id = peer.router_id.to_bytes(4, "big")
    return bytes((kind,)) + router_id + peer.address + peer.asn.to_bytes(4, "big")


def rib_record(
    at: int,
    family: Family,
    sequence: int,
    nlri: Nlri,
    entries: bytes,
    *,
    has_path_ids: bool,
) -> bytes:
    """Return the record of one prefix (RFC 6396 4.3.2, RFC 8050 4).

    Args:
        at: Seconds since 1970.
        family: Of the prefix.
        sequence: Number of the record in its dump.
        nlri: The prefix.
        entries: Their count, two octets, and ``rib_entry`` of each.
        has_path_ids: The entries have path identifiers.
    """
    return b"".join(
        (
            _RIB_HEAD.pack(
                at,
                TABLE_DUMP_V2,
                _RIB[family, has_path_ids],
                4 + len(nlri) + len(entries),
                sequence,
            ),
            nlri,
            entries,
        )
    )


def rib_entry(
    place: int, originated: int, attributes: bytes, path_id: int | None = None
) -> bytes:
    """Return one path (RFC 6396 4.3.4, RFC 8050 4.1).

    Args:
        place: Of its peer in the table of peers.
        originated: When it came, seconds since 1970.
        attributes: See ``table_attributes``.
        path_id: ``None`` where the peer sends none.
    """
    if path_id is None:
        return _ENTRY.pack(place, originated, len(attributes)) + attributes
    head = _ENTRY_WITH_ID.pack(place, originated, path_id, len(attributes))
    return head + attributes


def count_of(entries: Collection[bytes]) -> bytes:
    """Return entries with their count in front."""
    return _COUNT.pack(len(entries)) + b"".join(entries)


def table_attributes(attributes: PathAttributes) -> bytes:
    """Return attributes as tables have them: of MP_REACH_NLRI the next hop alone (RFC 6396 4.3.4)."""
    next_hop = attributes.next_hop
    if len(next_hop) in (0, 4):  # NEXT_HOP has it
        return attributes.octets
    shown = bytes((len(next_hop),)) + next_hop
    return attributes.octets + encode_attribute(MP_REACH_NLRI, shown)


def message_record(
    at: float,
    ends: Ends,
    message: bytes,
    encoding: Encoding,
    *,
    is_sent: bool,
) -> bytes:
    """Return a message as it was on the wire (RFC 6396 4.4.3, RFC 8050 3).

    Args:
        at: Seconds since 1970.
        ends: Of the session.
        message: With its header.
        encoding: What it was encoded by.
        is_sent: By us (*_LOCAL).
    """
    has_path_ids = False
    if encoding.add_path and message[_TYPE_AT] == MessageType.UPDATE:
        has_path_ids = family_of_update(message) in encoding.add_path
    key = (is_sent, encoding.four_octet_as, has_path_ids)
    return _bgp4mp(at, _MESSAGE[key], ends, message, has_four=encoding.four_octet_as)


def state_record(at: float, ends: Ends, old: int, new: int) -> bytes:
    """Return a change of state (RFC 6396 4.4.4).

    Args:
        at: Seconds since 1970.
        ends: Of the session.
        old: The state before, by RFC 4273's numbers, which are those of MRT.
        new: The state from then on.
    """
    return _bgp4mp(at, STATE_CHANGE_AS4, ends, _STATES.pack(old, new), has_four=True)


def _bgp4mp(
    at: float, subtype: int, ends: Ends, tail: bytes, *, has_four: bool
) -> bytes:
    afi = AFI_IPV4 if len(ends.peer) == 4 else AFI_IPV6
    if has_four:
        # The interface's number is left open: 0.
        head = _FOUR_OCTET_ENDS.pack(ends.peer_as, ends.local_as, 0, afi)
    else:
        numbers = (
            n if n <= 0xFFFF else _AS_TRANS for n in (ends.peer_as, ends.local_as)
        )
        head = _TWO_OCTET_ENDS.pack(*numbers, 0, afi)
    seconds, micro = divmod(round(at * 1_000_000), 1_000_000)
    length = 4 + len(head) + 2 * len(ends.peer) + len(tail)
    return b"".join(
        (
            _HEADER_ET.pack(seconds, BGP4MP_ET, subtype, length, micro),
            head,
            ends.peer,
            ends.local,
            tail,
        )
    )


def family_of_update(message: bytes) -> Family:
    """Return the family of an UPDATE's routes: that of its MP attribute, else IPv4 unicast.

    Args:
        message: With its header. What cannot be read is of IPv4 unicast.
    """
    at = HEADER_LEN
    withdrawn = int.from_bytes(message[at : at + 2], "big")
    at += 2 + withdrawn
    end = at + 2 + int.from_bytes(message[at : at + 2], "big")
    at += 2
    if withdrawn or end < len(message):  # has routes outside of attributes
        return IPV4_UNICAST
    while at + 3 <= end:
        has_two = bool(message[at] & _EXTENDED_LENGTH)
        code = message[at + 1]
        value = at + 3 + has_two
        if code in (MP_REACH_NLRI, MP_UNREACH_NLRI):
            afi = int.from_bytes(message[value : value + 2], "big")
            return Family(afi, message[value + 2]) if value + 3 <= end else IPV4_UNICAST
        at = value + int.from_bytes(message[at + 2 : value], "big")
    return IPV4_UNICAST
