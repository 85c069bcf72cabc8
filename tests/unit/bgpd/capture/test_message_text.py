"""What a message says in one line."""

from dataclasses import replace

from bgpd.capture.message_text import MOST_PREFIXES, text_of
from bgpd.wire.errors import CeaseSubcode
from bgpd.wire.framing import KEEPALIVE, encode_message
from bgpd.wire.notification import cease, encode_notification
from bgpd.wire.pack import pack_announce, pack_withdraw
from bgpd.wire.route_refresh import RefreshSubtype, RouteRefresh, encode_route_refresh
from bgpd.wire.update import end_of_rib
from rib.attributes import AttributeContext, make_attributes, parse_as_path
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from rib.nlri import parse_address, parse_prefix
from tests.support.scripted_peer import a_withdrawal, an_open, an_update
from tests.support.speakers import some_nlris

CONTEXT = AttributeContext(
    is_ibgp=True, four_octet_as=True, peer_as=64512, local_as=64512
)


def said(octets: bytes, *add_path: object) -> str:
    return text_of(octets, CONTEXT, frozenset(add_path))  # type: ignore[arg-type]


def test_an_open_names_what_it_offers() -> None:
    text = said(an_open(64512, hold_time=9, has_route_refresh=True, hostname="tor-1"))
    assert text == (
        "AS 64512, hold time 9 s, router ID 10.0.0.99, ipv4-unicast, ipv6-unicast, "
        "route refresh, four-octet AS, host name tor-1"
    )


def test_an_update_names_prefixes_and_attributes() -> None:
    text = said(an_update(some_nlris(2), "10.9.9.9", "65001 65002"))
    assert text == (
        "advertises 10.0.0.0/24, 10.0.1.0/24; next hop 10.9.9.9, AS path 65001 65002, "
        "origin IGP, local preference 100"
    )
    assert said(a_withdrawal(b"\x18\x0a\1\2")) == "withdraws 10.1.2.0/24"
    attributes = make_attributes(
        next_hop=parse_address("fd00::9"), as_path=parse_as_path(""), local_pref=100
    )
    nlri = parse_prefix("fd00:1::/64")[1]
    message = pack_announce(
        IPV6_UNICAST, attributes.octets, attributes.next_hop, [nlri], 4096
    )
    assert said(message).startswith("advertises fd00:1::/64; next hop fd00::9, ")
    gone = pack_withdraw(IPV6_UNICAST, [nlri], 4096)
    assert said(gone) == "withdraws fd00:1::/64"


def test_a_long_update_names_the_first_prefixes() -> None:
    text = said(an_update(some_nlris(MOST_PREFIXES + 3)))
    assert " and 3 more; next hop" in text


def test_path_identifiers_are_named_where_they_were_negotiated() -> None:
    message = a_withdrawal(b"\0\0\0\7\x18\x0a\1\2")
    assert said(message, IPV4_UNICAST) == "withdraws 10.1.2.0/24 (path 7)"


def test_markers_and_endings_have_words() -> None:
    assert said(end_of_rib(IPV4_UNICAST)) == "End-of-RIB ipv4-unicast"
    assert said(end_of_rib(IPV6_UNICAST)) == "End-of-RIB ipv6-unicast"
    assert said(KEEPALIVE) == ""
    refresh = RouteRefresh(IPV6_UNICAST, RefreshSubtype.BEGIN)
    assert said(encode_route_refresh(refresh)) == "begin ipv6-unicast"
    ending = cease(CeaseSubcode.ADMINISTRATIVE_SHUTDOWN, "maintenance")
    assert said(encode_notification(ending)).endswith('shutdown: "maintenance"')


def test_a_malformed_message_has_a_text_and_never_raises() -> None:
    assert "Withdrawn Routes Length runs past" in said(encode_message(2, b"\1\0\0\0"))
    assert "malformed: prefix length 99" in said(a_withdrawal(b"\x63\x0a"))
    assert said(encode_message(1, b"")) == "malformed: 0 octets"
    assert said(encode_message(3, b"")) == "0 octets"
    assert said(encode_message(77, b"abc")) == "3 octets"
    outer = replace(CONTEXT, is_ibgp=False, peer_as=65009)
    text = text_of(an_update(some_nlris(1)), outer, frozenset())
    assert "malformed: " in text
    for kind in range(7):
        for size in range(64):
            text_of(encode_message(kind, bytes(size)), CONTEXT, frozenset())
