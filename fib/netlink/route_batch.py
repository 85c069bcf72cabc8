"""Changes of routes -> the octets of their netlink messages, many at a time."""

from array import array
from collections.abc import Sequence
from itertools import repeat
from struct import Struct
from typing import Final

from fib.netlink.rtnetlink import (
    AF_OF_AFI,
    HEADER_LEN,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NLM_F_REQUEST,
    RTA_DST,
    RTM_DELROUTE,
    RTM_NEWROUTE,
)
from fib.plan import CREATE, DELETE, REPLACE, Entry, Operation, Verb
from rib.family import ADDRESS_OCTETS, AFI_IPV4, AFI_IPV6

_ROUTE_WITH_DST = {
    AFI_IPV4: Struct("=IHHIIBB10sHH4s"),
    AFI_IPV6: Struct("=IHHIIBB10sHH16s"),
}
_VERBS = {
    CREATE: (RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL),
    REPLACE: (RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE),
    DELETE: (RTM_DELROUTE, NLM_F_REQUEST),
}

_FEW: Final = 8  # operations not worth the preparation of writing them alike
_SEQUENCE_AT: Final = 8  # octets into a message
_PREFIX_LEN_AT: Final = HEADER_LEN + 1


# hot: per prefix
def encode_operations(
    operations: Sequence[Operation], afi: int, first_sequence: int
) -> bytes:
    """Return the messages of ``operations``, numbered from ``first_sequence``."""
    if len(operations) > _FEW:
        verbs_asked, nlris, entries = zip(*operations, strict=True)
        verb, entry, count = verbs_asked[0], entries[0], len(nlris)
        if verbs_asked.count(verb) == count and entries.count(entry) == count:
            return encode_alike(verb, nlris, entry, afi, first_sequence)
    layout = _ROUTE_WITH_DST[afi]
    pack, fixed, verbs = layout.pack, layout.size, _VERBS
    family, attr_len = AF_OF_AFI[afi], 4 + ADDRESS_OCTETS[afi]
    parts: list[bytes] = []
    sequence = first_sequence
    for verb, nlri, entry in operations:
        rest, tail = entry.delete_body if verb is DELETE else entry.body
        kind, flags = verbs[verb]
        # "4s" and "16s" fill up the NLRI's octets with zeros by themselves.
        parts.append(
            pack(
                fixed + len(tail), kind, flags, sequence, 0, family, nlri[0],
                rest, attr_len, RTA_DST, nlri[1:],
            )
        )  # fmt: skip
        parts.append(tail)
        sequence += 1
    return b"".join(parts)


# hot: per prefix
def encode_alike(
    verb: Verb, nlris: Sequence[bytes], entry: Entry, afi: int, first_sequence: int
) -> bytes:
    """Do as ``encode_operations`` for messages that differ in prefix and number only.

    Args:
        verb: Done to all routes.
        nlris: At least one.
        entry: Of all routes.
        afi: Their family's.
        first_sequence: Number of the first message.

    One message is repeated and its differing octets are filled in column by column.
    """
    layout, address_len, count = _ROUTE_WITH_DST[afi], ADDRESS_OCTETS[afi], len(nlris)
    rest, tail = entry.delete_body if verb is DELETE else entry.body
    kind, flags = _VERBS[verb]
    head = layout.pack(
        layout.size + len(tail), kind, flags, 0, 0, AF_OF_AFI[afi], 0,
        rest, 4 + address_len, RTA_DST, b"",
    )  # fmt: skip
    step = len(head) + len(tail)
    octets = bytearray((head + tail) * count)
    numbers = array("I", range(first_sequence, first_sequence + count)).tobytes()
    for n in range(4):
        octets[_SEQUENCE_AT + n :: step] = numbers[n::4]
    size = 1 + address_len
    filled = map(bytes.ljust, nlris, repeat(size), repeat(b"\0"))
    prefixes = b"".join(filled)
    octets[_PREFIX_LEN_AT::step] = prefixes[::size]
    for n in range(address_len):
        octets[layout.size - address_len + n :: step] = prefixes[1 + n :: size]
    return bytes(octets)
