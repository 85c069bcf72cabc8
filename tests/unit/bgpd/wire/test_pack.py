"""The edges of a message's room; all sizes are in the property test."""

import pytest

from bgpd.wire.pack import pack_announce, pack_blocks, pack_withdraw
from bgpd.wire.update import split_fields
from rib.attributes import extract_mp
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from tests.support.attributes import BASE, attribute
from tests.support.told import messages_of

PREFIXES = [b"\x18" + bytes((10, n >> 8, n & 255)) for n in range(2000)]
HOP = bytes(15) + b"\1"


def bodies(octets: bytes) -> list[bytes]:
    return [body for _, body in messages_of(octets)]


def padded(size: int) -> bytes:
    """Return attributes of so many octets."""
    return BASE + attribute(99, bytes(size - len(BASE) - 4), 0xD0)


def test_what_fits_is_one_message() -> None:
    (body,) = bodies(pack_announce(IPV4_UNICAST, BASE, b"", PREFIXES[:3], 4096))
    assert split_fields(body) == (b"", BASE, b"".join(PREFIXES[:3]))
    room = 4096 - 23 - 4
    (body,) = bodies(pack_announce(IPV4_UNICAST, padded(room), b"", PREFIXES[:1], 4096))
    assert len(body) == 4096 - 19


def test_what_does_not_is_several() -> None:
    for family, next_hop in ((IPV4_UNICAST, b""), (IPV6_UNICAST, HOP)):
        found = b""
        several = bodies(pack_announce(family, BASE, next_hop, PREFIXES, 4096))
        assert len(several) == 2
        for body in several:
            _, block, run = split_fields(body)
            parts = extract_mp(block)
            assert parts is not None
            assert parts[0] == BASE
            found += run + (parts[1] or b"")[5 + len(next_hop) :]
        assert found == b"".join(PREFIXES)


def test_withdrawn_prefixes_stand_in_their_family_s_field() -> None:
    (body,) = bodies(pack_withdraw(IPV4_UNICAST, PREFIXES[:2], 4096))
    assert split_fields(body) == (b"".join(PREFIXES[:2]), b"", b"")
    (body,) = bodies(pack_withdraw(IPV6_UNICAST, PREFIXES[:2], 4096))
    assert extract_mp(split_fields(body).attributes) == (
        b"",
        None,
        b"\0\2\1" + b"".join(PREFIXES[:2]),
    )
    assert pack_withdraw(IPV4_UNICAST, [], 4096) == b""
    assert len(bodies(pack_withdraw(IPV4_UNICAST, PREFIXES, 4096))) == 2


def test_attributes_that_fill_a_message_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="too few for a prefix"):
        pack_announce(IPV4_UNICAST, padded(4096 - 23 - 3), b"", PREFIXES[:1], 4096)


def test_blocks_that_need_several_messages_are_left_over() -> None:
    tail = attribute(9, bytes(4), 0x80)
    fits = padded(4096 - 23 - len(tail) - 4)
    too_long = padded(4096 - 23 - len(tail) - 3)
    routes = {BASE: PREFIXES[:2], fits: PREFIXES[2:3], too_long: PREFIXES[3:4]}
    octets, left = pack_blocks(routes, tail, 4096)
    assert left == {too_long + tail: PREFIXES[3:4]}
    assert [split_fields(body) for body in bodies(octets)] == [
        (b"", BASE + tail, b"".join(PREFIXES[:2])),
        (b"", fits + tail, PREFIXES[2]),
    ]
