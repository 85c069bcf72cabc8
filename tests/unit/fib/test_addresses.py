"""Which of our addresses are named as next hops (RFC 2545 3, RFC 6724 5 in spirit)."""

from itertools import permutations

import pytest

from fib.addresses import OwnAddress, choose_link_local, choose_sibling
from fib.netlink.rtnetlink import (
    IFA_F_DADFAILED,
    IFA_F_DEPRECATED,
    IFA_F_OPTIMISTIC,
    IFA_F_PERMANENT,
    IFA_F_SECONDARY,
    IFA_F_TENTATIVE,
)
from rib.nlri import parse_address

LO, ETH0, ETH1 = 1, 2, 3
OURS = parse_address("10.0.0.1")


def own(text: str, flags: int = IFA_F_PERMANENT, link: int = ETH0) -> OwnAddress:
    address, _, bits = text.partition("/")
    octets = parse_address(address)
    return OwnAddress(link, octets, int(bits or 8 * len(octets)), flags)


LOCAL = own("10.0.0.1/24")


def chosen(*others: OwnAddress, local: bytes = OURS, octets: int = 16) -> bytes:
    """Return the choice, which must not depend on the order of the addresses."""
    choices = {
        choose_sibling((LOCAL, *some), local, octets) for some in permutations(others)
    }
    assert len(choices) == 1
    return choices.pop()


# From the best to the worst: each goes before all that follow, whatever their numbers.
RANKED = (
    own("2001:db8:9::1/64"),
    own("2001:db8:8::1/128", flags=0),  # from DHCPv6, it has a lifetime
    own("2001:db8:7::1/64", IFA_F_SECONDARY),  # RFC 8981: temporary
    own("2001:db8:6::1/128"),  # virtual, as of kube-vip
    own("2001:db8:5::1/64", IFA_F_PERMANENT | IFA_F_DEPRECATED),
    own("2001:db8:4::1/128", IFA_F_PERMANENT | IFA_F_DEPRECATED),  # of keepalived
    own("2001:db8:3::1/64", link=ETH1),
)
UNUSABLE = (
    own("2001:db8:2::1/64", IFA_F_PERMANENT | IFA_F_TENTATIVE),
    own("2001:db8:1::1/64", IFA_F_PERMANENT | IFA_F_DADFAILED | IFA_F_TENTATIVE),
    own("2001:db8:1::2/64", IFA_F_PERMANENT | IFA_F_DADFAILED),
    own("fe80::1/64"),
    own("::1/128", link=LO),
    own("2001:db8::1/128", link=LO),
)


@pytest.mark.parametrize("place", range(len(RANKED)))
def test_preferred_and_stable_ones_go_first(place: int) -> None:
    worse = RANKED[place + 1 :]
    for other in (*worse, *UNUSABLE):
        assert chosen(RANKED[place], other) == RANKED[place].address
    assert chosen(*RANKED[place : place + 4]) == RANKED[place].address


@pytest.mark.parametrize("entry", UNUSABLE)
def test_an_address_that_no_peer_could_send_to_is_never_chosen(
    entry: OwnAddress,
) -> None:
    assert chosen(entry) == b""


def test_an_optimistic_address_is_in_use_already() -> None:
    flags = IFA_F_PERMANENT | IFA_F_TENTATIVE | IFA_F_OPTIMISTIC
    entry = own("2001:db8::5/64", flags)
    assert chosen(entry) == entry.address


def test_of_equals_the_lowest_is_named() -> None:
    one, other = own("2001:db8::1/64"), own("2001:db8::2/64")
    assert chosen(one, other) == one.address


def test_an_ipv4_address_over_ipv6_is_chosen_likewise() -> None:
    local = own("2001:db8::1/64")
    primary, second = own("192.0.2.9/24"), own("192.0.2.1/24", 0x80 | IFA_F_SECONDARY)
    virtual = own("192.0.2.2/32")
    for entries in permutations((primary, second, virtual, local)):
        found = choose_sibling(entries, local.address, 4)
        assert found == primary.address
    assert choose_sibling((second, virtual, local), local.address, 4) == second.address


def test_loopback_is_for_sessions_over_loopback() -> None:
    entries = (own("127.0.0.1/8", link=LO), own("::1/128", link=LO))
    assert choose_sibling(entries, parse_address("::1"), 4) == entries[0].address
    assert choose_sibling(entries, parse_address("127.0.0.1"), 16) == entries[1].address
    assert choose_sibling(entries, parse_address("2001:db8::1"), 4) == b""


def test_a_session_from_an_address_of_lo_names_one_of_lo() -> None:
    local = own("10.9.9.9/32", link=LO)
    six, other = own("2001:db8::9/128", link=LO), own("2001:db8:1::1/64")
    loopback = own("::1/128", link=LO)
    found = choose_sibling((loopback, local, six, other), local.address, 16)
    assert found == six.address


def test_each_link_has_its_own_link_local_address() -> None:
    entries = (
        own("fe80::1/64"),
        own("fe80::2/64", IFA_F_PERMANENT | IFA_F_TENTATIVE, link=ETH1),
        own("fe80::3/64", link=ETH1),
        own("2001:db8::1/64", link=ETH1),
    )
    assert choose_link_local(entries, ETH0) == parse_address("fe80::1")
    assert choose_link_local(entries, ETH1) == parse_address("fe80::3")
    assert choose_link_local(entries, LO) == b""
