"""One reader for each kind of text: what it accepts can be used everywhere."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpd.calico.addresses import (
    canonical_address,
    canonical_cidr,
    canonical_cluster_id,
    canonical_interface,
    parse_asn,
    parse_gateway,
    parse_number,
    parse_peer,
    parse_unicast,
)
from bgpd.calico.fields import parse_duration
from bgpd.calico.policies import family_of, inside
from rib.nlri import format_prefix, parse_address, parse_prefix

FRAGMENTS = st.sampled_from(
    [
        *("10.0.0.1", "010.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1"),
        *("fe80::1", "::", "::1", "FD00::A", "::ffff:10.0.0.1", "::1.2.3.4", "ff02::1"),
        *("%eth0", "%", "%a b", "%" + "x" * 16, "/0", "/32", "/33", "/128", "/129"),
        *(":179", ":0", ":65536", ":", "[", "]", "]:179", " ", "\t", "\n", "\0"),
        *(
            "\N{ARABIC-INDIC DIGIT ONE}",
            "\N{FULLWIDTH DIGIT ONE}",
            "+1",
            "-1",
            "1_0",
            "None",
            "none",
            "e",
            "1.10",
            ".",
            "64512",
        ),
    ]
)
TEXTS = st.lists(FRAGMENTS | st.text(max_size=3), max_size=4).map("".join)


@given(TEXTS)
def test_what_is_read_can_be_used(text: str) -> None:
    for read in (parse_unicast, parse_gateway):
        try:
            address = read(text)
        except ValueError:
            continue
        octets = parse_address(address.partition("%")[0])
        assert len(octets) in (4, 16)
        assert read(address) == address
    try:
        address, port = parse_peer(text)
    except ValueError:
        return
    assert parse_unicast(address) == address
    assert 0 <= port <= 65535


@given(TEXTS)
def test_prefixes_and_interfaces_are_those_of_the_tables(text: str) -> None:
    try:
        cidr = canonical_cidr(text)
    except ValueError:
        pass
    else:
        afi, nlri = parse_prefix(cidr)
        assert format_prefix(nlri, afi) == cidr
        assert family_of(cidr) == afi
        assert inside(cidr).entries
    for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
        try:
            interface = canonical_interface(text, version)
        except ValueError:
            continue
        address = interface.partition("/")[0]
        assert canonical_address(text, version) == address
        socket.inet_pton(family, address)
        assert canonical_interface(interface, version) == interface


@given(TEXTS)
def test_numbers_and_durations_are_numbers_or_rejected(text: str) -> None:
    for read in (parse_asn, parse_duration, parse_number):
        try:
            found = read(text)
        except ValueError:
            continue
        assert isinstance(found, int)
        assert found >= 0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("fe80::1%eth0", "a gateway has no interface"),
        ("2001:db8::1%eth0", "only a link-local IPv6 address has an interface"),
        ("10.0.0.1%eth0", "only a link-local IPv6 address has an interface"),
        ("fe80::1%", "'' is not an interface name"),
        ("::ffff:10.0.0.1", "10.0.0.1 is IPv4 but written as IPv6"),
        ("0.0.0.0", "0.0.0.0 is not a host address"),
        ("::", ":: is not a host address"),
        ("224.0.0.5", "224.0.0.5 is not a host address"),
        ("255.255.255.255", "255.255.255.255 is not a host address"),
        ("010.0.0.1", "is not an IP address"),
        (" 10.0.0.1", "is not an IP address"),
        ("\N{ARABIC-INDIC DIGIT ONE}0.0.0.1", "is not an IP address"),
        ("10.0.0.0/24", "is not an IP address"),
    ],
)
def test_an_error_says_why_an_address_is_not_a_gateway(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_gateway(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.1", ("10.0.0.1", 0)),
        ("10.0.0.1:1179", ("10.0.0.1", 1179)),
        ("FD00::0A", ("fd00::a", 0)),
        ("[fd00::a]:1179", ("fd00::a", 1179)),
        ("[fe80::1%eth0]:1179", ("fe80::1%eth0", 1179)),
    ],
)
def test_addresses_of_peers(text: str, found: tuple[str, int]) -> None:
    assert parse_peer(text) == found


@pytest.mark.parametrize("text", ["fd00::1", "10.0.0.1/32", "1", "", " 1.1.1.1"])
def test_a_cluster_id_is_four_octets(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_cluster_id(text)


@pytest.mark.parametrize(
    "text",
    ["9" * 400 + "h", "\N{ARABIC-INDIC DIGIT ONE}s", "1", "", "-1s", "1e9s", "s"],
)
def test_text_that_is_not_a_duration_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_duration(text)
