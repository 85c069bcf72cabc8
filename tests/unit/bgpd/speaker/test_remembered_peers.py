"""The text that tells the next run who was up."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpd.session.settings import PeerSettings
from bgpd.speaker.remembered_peers import (
    MARGIN,
    MAX_MEMBERS,
    RememberedPeer,
    RememberedPeers,
    decode,
    encode_head,
    encode_member,
    patience,
    still_matches,
)
from rib.family import IPV4_UNICAST, IPV6_UNICAST

BOTH = frozenset({IPV4_UNICAST, IPV6_UNICAST})
ONE = RememberedPeer("10.0.0.1", "nodes", "10.0.0.9", 64512, 64513, BOTH, 120)
PLACES = [("0.0.0.0", 179), ("fe80::1%eth0", 1179)]

addresses = st.one_of(
    st.ip_addresses().map(str),
    st.sampled_from(["fe80::1%eth0", "fe80::2%bond0.12"]),
)
as_numbers = st.integers(1, (1 << 32) - 1)
members = st.builds(
    RememberedPeer,
    address=addresses,
    range_name=st.text(max_size=20),
    local_addr=addresses,
    local_as=as_numbers,
    remote_as=as_numbers,
    families=st.frozensets(st.sampled_from(sorted(BOTH))),
    seconds=st.integers(0, 4095),
)


def text_of(*some: RememberedPeer) -> str:
    return "\n".join((encode_head(PLACES), *map(encode_member, some)))


@given(st.lists(members, unique_by=lambda member: member.address))
def test_what_was_written_is_read(some) -> None:
    found = decode(text_of(*some), 7.0)
    assert found == RememberedPeers(
        {member.address: member for member in some}, tuple(sorted(PLACES)), 7.0
    )


@given(st.lists(members, min_size=1, max_size=4), st.data())
def test_whatever_was_done_to_the_text_costs_peers_and_raises_nothing(
    some, data
) -> None:
    octets = bytearray(text_of(*some).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(0, len(octets) - 1)))
        octets[place : place + data.draw(st.integers(0, 9))] = data.draw(
            st.binary(max_size=9)
        )
    found = decode(octets.decode(errors="replace"), 0.0)
    if found is not None:
        assert len(found.members) <= len(some) + 4
        for member in found.members.values():
            assert decode(text_of(member), 0.0) is not None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "{}",
        "null",
        "[" * 100_000,
        '["10.0.0.1", "nodes", "10.0.0.9", 64512, 64513, ["ipv4-unicast"], true]',
        '["10.0.0.1", "nodes", "10.0.0.9", 64512, 64513, ["ipv4-unicast"], -1]',
        '["10.0.0.1", "nodes", "10.0.0.9", 64512, 64513, ["ipv4-unicast"], 1e9]',
        '["10.0.0.1", "nodes", "10.0.0.9", 64512, 64513, ["ipx"], 120]',
        '["10.0.0.1", "nodes", "10.0.0.9", 64512, 4294967296, ["ipv4-unicast"], 1]',
        '["10.0.0", "nodes", "10.0.0.9", 64512, 64513, ["ipv4-unicast"], 120]',
        '["10.0.0.1", "nodes", "", 64512, 64513, ["ipv4-unicast"], 120]',
        '["10.0.0.1", 5, "10.0.0.9", 64512, 64513, ["ipv4-unicast"], 120]',
        '["10.0.0.1", "nodes", "10.0.0.9", 64512, ["ipv4-unicast"], 120]',
        f'["10.0.0.1", "nodes", "10.0.0.9", {"9" * 5000}, 64513, [], 120]',
    ],
)
def test_a_line_that_makes_no_sense_costs_that_peer_alone(line) -> None:
    text = "\n".join((encode_head(PLACES), line, encode_member(ONE)))
    found = decode(text, 0.0)
    assert found is not None
    assert list(found.members.values()) == [ONE]


@pytest.mark.parametrize(
    "head",
    [
        "",
        "junk",
        "[]",
        '{"format": 2, "listening": []}',
        '{"format": 1}',
        '{"format": 1, "listening": [["10.0.0.1"]]}',
        '{"format": 1, "listening": [["10.0.0.1", 70000]]}',
        '{"format": 1, "listening": [["10.0.0.1", "179"]]}',
        '{"format": 1, "listening": [["a name", 179]]}',
    ],
)
def test_a_text_without_its_head_is_rejected(head) -> None:
    assert decode("\n".join((head, encode_member(ONE))), 0.0) is None


@pytest.mark.slow
def test_no_more_is_read_than_can_be_written() -> None:
    line = encode_member(ONE)
    found = decode("\n".join((encode_head(PLACES), *[line] * (MAX_MEMBERS + 5))), 0.0)
    assert found is not None
    assert len(found.members) == 1


def test_one_is_waited_for_until_shortly_before_it_gives_up() -> None:
    assert patience(120) == 120 - MARGIN
    assert patience(2) == 1
    assert patience(0) == 0
    known = RememberedPeers({"a": ONE, "b": ONE._replace(seconds=60)}, (), 30.0)
    assert known.longest == 120 - MARGIN - 30
    assert replace(known, age=500.0).longest == 0
    assert RememberedPeers().longest == 0


SETTINGS = PeerSettings("", "", remote_as=64513, local_as=64512)


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({}, True),
        ({"remote_as": 0}, True),
        ({"remote_as": 64514}, False),
        ({"local_as": 64513}, False),
        ({"local_addr": "10.0.0.9"}, True),
        ({"local_addr": "10.0.0.8"}, False),
    ],
)
def test_with_another_as_or_address_it_is_another_peer(changes, is_same) -> None:
    assert still_matches(ONE, replace(SETTINGS, **changes)) is is_same


def test_our_own_end_is_the_same_whether_its_zone_is_written_or_not() -> None:
    six = ONE._replace(address="fe80::1%eth0", local_addr="fe80::9%eth0")
    for local_addr, is_same in (
        ("fe80::9", True),
        ("fe80::9%eth0", True),
        ("fe80::8", False),
        ("", True),
    ):
        assert still_matches(six, replace(SETTINGS, local_addr=local_addr)) is is_same
