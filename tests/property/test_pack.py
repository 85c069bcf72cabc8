"""Packed UPDATEs say each piece once, in messages that are no longer than agreed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpd.wire.pack import pack_announce, pack_blocks, pack_withdraw
from bgpd.wire.update import split_fields
from rib.attributes import extract_mp
from rib.family import ADDRESS_OCTETS, IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import make_nlri
from tests.support.attributes import BASE, attribute
from tests.support.told import messages_of

families = st.sampled_from((IPV4_UNICAST, IPV6_UNICAST))
limits = st.sampled_from((4096, 65535))


@st.composite
def pieces_of(draw: st.DrawFn, family: Family) -> list[bytes]:
    """Distinct NLRI of mixed lengths, many at once, with or without identifiers."""
    octets = ADDRESS_OCTETS[family.afi]
    lengths = draw(st.lists(st.integers(8, octets * 8), min_size=1, max_size=4))
    count = draw(st.sampled_from((1, 2, 50, 3000, 9000)))
    has_ids = draw(st.booleans())
    pieces: dict[bytes, None] = {}
    for number in range(count):
        length = lengths[number % len(lengths)]
        address = (number * 2654435761 % 2**32).to_bytes(4, "big").ljust(octets, b"\7")
        path_id = number.to_bytes(4, "big") if has_ids else b""
        pieces[path_id + make_nlri(address, length)] = None
    return list(pieces)


cases = families.flatmap(
    lambda family: st.tuples(st.just(family), pieces_of(family), limits)
)


@given(cases, st.integers(0, 3900), st.booleans())
def test_announcements(case, padding, is_extended) -> None:
    family, pieces, limit = case
    block = BASE + (attribute(99, bytes(padding), 0xC0) if padding else b"")
    next_hop = b""
    if family == IPV6_UNICAST or is_extended:
        next_hop = bytes(15) + b"\1"
    sent = pack_announce(family, block, next_hop, pieces, limit)
    run = b""
    for kind, body in messages_of(sent):
        assert kind == 2
        assert 19 + len(body) <= limit
        withdrawn, attributes, nlri = split_fields(body)
        assert not withdrawn
        if next_hop:
            assert not nlri
            assert attributes[1] == 14  # RFC 7606 5.1: first
            found = extract_mp(attributes)
            assert found is not None
            rest, reach, unreach = found
            assert unreach is None
            assert reach is not None
            head = family.afi.to_bytes(2, "big") + bytes((family.safi, len(next_hop)))
            assert reach.startswith(head + next_hop + b"\0")
            nlri = reach[len(head) + len(next_hop) + 1 :]
            attributes = rest
        assert attributes == block
        assert nlri
        run += nlri
    assert run == b"".join(pieces)


@given(cases)
def test_withdrawals(case) -> None:
    family, pieces, limit = case
    run = b""
    for kind, body in messages_of(pack_withdraw(family, pieces, limit)):
        assert kind == 2
        assert 19 + len(body) <= limit
        withdrawn, attributes, nlri = split_fields(body)
        assert not nlri
        if family == IPV6_UNICAST:
            assert not withdrawn
            found = extract_mp(attributes)
            assert found is not None
            rest, reach, unreach = found
            assert not rest
            assert reach is None
            assert unreach is not None
            assert unreach[:3] == b"\0\2\1"
            withdrawn = unreach[3:]
        assert withdrawn
        run += withdrawn
    assert run == b"".join(pieces)


@given(cases)
def test_messages_are_as_few_as_can_be(case) -> None:
    """All but the last lack room for one more prefix of the longest kind."""
    family, pieces, limit = case
    sent = messages_of(pack_withdraw(family, pieces, limit))
    longest = 5 + ADDRESS_OCTETS[family.afi]
    for _, body in sent[:-1]:
        assert 19 + len(body) + longest > limit


@pytest.mark.parametrize("room", [-1, 0, 4])
def test_attributes_without_room_for_a_prefix_are_rejected(room: int) -> None:
    size = 4096 - 23 - len(BASE) - 4 - room
    block = BASE + attribute(99, bytes(size), 0xD0)
    with pytest.raises(ValueError, match="too few for a prefix"):
        pack_announce(IPV4_UNICAST, block, b"", [b"\x20\1\2\3\4"], 4096)


def test_the_last_prefix_that_fits_is_sent() -> None:
    block = BASE + attribute(99, bytes(4096 - 23 - len(BASE) - 4 - 5), 0xD0)
    sent = pack_announce(IPV4_UNICAST, block, b"", [b"\x20\1\2\3\4"] * 2, 4096)
    assert [len(body) for _, body in messages_of(sent)] == [4077, 4077]


@given(
    st.lists(st.tuples(pieces_of(IPV4_UNICAST), st.integers(0, 4000)), max_size=4),
    st.sampled_from((b"", attribute(10, b"\1\2\3\4", 0x80))),
)
def test_blocks_packed_together_equal_each_packed_alone_if_one_message_is_enough(
    cases, tail
) -> None:
    routes = {
        BASE + attribute(8, padding.to_bytes(4, "big") + bytes(padding), 0xD0): pieces
        for pieces, padding in cases
    }
    sent, left = pack_blocks(routes, tail, 4096)
    told = [block for block in routes if block + tail not in left]
    assert sent == b"".join(
        pack_announce(IPV4_UNICAST, block + tail, b"", routes[block], 4096)
        for block in told
    )
    assert len(messages_of(sent)) == len(told)
    for block, pieces in left.items():
        assert pieces is routes[block.removesuffix(tail)]
        assert 23 + len(block) + len(b"".join(pieces)) > 4096
