"""What we are as a next hop: which address, both of them on a shared link, and changes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bgpd.wire.framing import MessageType
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from rib.nlri import parse_address
from tests.support.links import FAMILIES, OURS, Links, WirePeer, next_hop_of
from tests.support.routers import needs_root

pytestmark = [pytest.mark.root, pytest.mark.slow, needs_root]

BGP = {
    "as": 65000,
    "router_id": "10.0.0.1",
    "defaults": {
        "families": ["ipv4-unicast", "ipv6-unicast"],
        "import_policy": "accept-all",
        "export_policy": "accept-all",
        "passive": True,
    },
}
PREFIX6, PREFIX4 = "fd00:1::/64", "10.1.0.0/16"
LINK_LOCAL = parse_address("fe80::d")


def settings(address: str, prefix: str, **more: Any) -> dict[str, Any]:
    peer = {"address": address, "as": 65001, **more}
    return {
        "bgp": BGP,
        "peers": [peer],
        "routes": {"originate": [{"prefix": prefix}]},
    }


class Told:
    """Reads what a peer receives of the only route."""

    def __init__(self, peer: WirePeer) -> None:
        self._peer = peer

    def next_hop(self) -> bytes:
        """Return the next hop of the next announcement, its first address alone."""
        found: list[bytes] = []

        def is_it(kind: int, body: bytes) -> bool:
            hop = next_hop_of(body) if kind == MessageType.UPDATE else None
            found.extend([hop] if hop else [])
            return bool(hop)

        self._peer.until(is_it)
        return found[-1]

    def withdrawal(self) -> None:
        self._peer.until(
            lambda kind, body: kind == MessageType.UPDATE and body[5:6] == b"\x0f"
        )


@pytest.fixture
def links() -> Iterator[Links]:
    with Links() as made:
        made.machine(OURS, "a")
        made.join("a", "eth0", ours=["10.0.0.1/24"], theirs=["10.0.0.2/24"])
        yield made


def set_address(links: Links, text: str, *more: str, verb: str = "replace") -> None:
    line = " ".join((f"addr {verb} {text} dev eth0", *more))
    links.ip(OURS, line if verb == "del" else f"{line} nodad")


def test_addresses_of_an_ipv4_session_are_followed(
    links: Links, tmp_path: Path
) -> None:
    """Deprecated, removed, come late and worse than what there is: no session resets."""
    set_address(links, "2001:db8:1::5/64", "preferred_lft", "0")
    set_address(links, "2001:db8:2::5/64")
    with links.daemon(tmp_path, settings("10.0.0.2", PREFIX6)) as daemon:
        daemon.until_logged("started:")
        peer = WirePeer.to_us(links, "a", "10.0.0.2", "10.0.0.1")
        peer.establish(65001, FAMILIES)
        told = Told(peer)
        assert told.next_hop() == parse_address("2001:db8:2::5")
        # A virtual and a deprecated one are no better, and are not mentioned.
        set_address(links, "2001:db8:0::7/128")
        set_address(links, "2001:db8:0::8/64", "preferred_lft", "0")
        # What we use is deprecated: another preferred one takes over.
        set_address(links, "2001:db8:3::5/64")
        set_address(links, "2001:db8:2::5/64", "preferred_lft", "0")
        assert told.next_hop() == parse_address("2001:db8:3::5")
        # It goes without another of its kind: the virtual one is left.
        set_address(links, "2001:db8:3::5/64", verb="del")
        assert told.next_hop() == parse_address("2001:db8::7")
        for text in ("::7/128", ":0::8/64", ":1::5/64", ":2::5/64"):
            set_address(links, f"2001:db8{text}", verb="del")
        told.withdrawal()
        daemon.until_logged("next hop on sessions from 10.0.0.1 is now none")
        set_address(links, "2001:db8:4::5/64")
        assert told.next_hop() == parse_address("2001:db8:4::5")
        (row,) = daemon.peers().values()
        assert (row["flaps"], row["state"]) == (0, "Established")


def test_an_address_may_come_after_the_session(links: Links, tmp_path: Path) -> None:
    with links.daemon(tmp_path, settings("10.0.0.2", PREFIX6)) as daemon:
        daemon.until_logged("started:")
        peer = WirePeer.to_us(links, "a", "10.0.0.2", "10.0.0.1")
        peer.establish(65001, FAMILIES)
        daemon.until_logged(
            "no IPv6 address to use as next hop on sessions from 10.0.0.1"
        )
        (shown,) = daemon.ask("show-route", prefix=PREFIX6)
        assert "next hop" in str(shown["not_advertised"])
        set_address(links, "2001:db8:1::5/64")
        assert Told(peer).next_hop() == parse_address("2001:db8:1::5")


def test_an_address_under_test_is_not_named(links: Links, tmp_path: Path) -> None:
    """RFC 4862 5.4: a duplicate one is none at all."""
    links.at(OURS).run(["sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=1"])
    links.at(OURS).run(["sysctl", "-qw", "net.ipv6.conf.eth0.dad_transmits=1"])
    links.ip("a", "addr add 2001:db8:1::5/64 dev e0 nodad")
    links.ip(OURS, "addr add 2001:db8:1::5/64 dev eth0")
    set_address(links, "2001:db8:9::5/64")
    with links.daemon(tmp_path, settings("10.0.0.2", PREFIX6)) as daemon:
        daemon.until_logged("started:")
        peer = WirePeer.to_us(links, "a", "10.0.0.2", "10.0.0.1")
        peer.establish(65001, FAMILIES)
        assert Told(peer).next_hop() == parse_address("2001:db8:9::5")


def test_an_ipv4_address_of_an_ipv6_session_is_followed(
    links: Links, tmp_path: Path
) -> None:
    set_address(links, "2001:db8::1/64")
    links.ip("a", "addr add 2001:db8::2/64 dev e0 nodad")
    with links.daemon(tmp_path, settings("2001:db8::2", PREFIX4)) as daemon:
        daemon.until_logged("started:")
        peer = WirePeer.to_us(links, "a", "2001:db8::2", "2001:db8::1")
        peer.establish(65001, FAMILIES)

        def told(text: str) -> None:
            attribute = b"\x40\x03\x04" + parse_address(text)
            peer.until(lambda _, body: attribute in body)

        told("10.0.0.1")
        links.ip(OURS, "addr add 10.0.9.1/24 dev eth0", "addr del 10.0.0.1/24 dev eth0")
        told("10.0.9.1")
        (row,) = daemon.peers().values()
        assert row["flaps"] == 0


@pytest.mark.rfc("2545", "3", "MUST")
@pytest.mark.parametrize(
    ("kind", "asn"),
    [
        ("ipv4", 65001),
        ("internal", 65000),
        ("global", 65001),
        ("link-local", 65001),
        ("routed", 65000),
    ],
)
def test_both_addresses_are_sent_on_a_shared_link_and_only_there(
    links: Links, tmp_path: Path, kind: str, asn: int
) -> None:
    expected = {
        "ipv4": parse_address("2001:db8::1") + LINK_LOCAL,
        "global": parse_address("2001:db8::1") + LINK_LOCAL,
        "internal": parse_address("2001:db8::1"),
        "link-local": LINK_LOCAL,
        "routed": parse_address("2001:db8:ffff::1"),
    }[kind]
    ours, theirs = {
        "ipv4": ("10.0.0.1", "10.0.0.2"),
        "global": ("2001:db8::1", "2001:db8::2"),
        "internal": ("2001:db8::1", "2001:db8::2"),
        "link-local": ("fe80::d", "fe80::a"),
        "routed": ("2001:db8:ffff::1", "2001:db8:ffff::2"),
    }[kind]
    for name, device, addresses in (
        (OURS, "eth0", ("fe80::d/64", "2001:db8::1/64")),
        ("a", "e0", ("fe80::a/64", "2001:db8::2/64")),
    ):
        links.ip(name, *(f"addr add {a} dev {device} nodad" for a in addresses))
    if kind == "routed":
        links.ip(
            OURS,
            f"addr add {ours}/128 dev lo",
            f"route add {theirs} via fe80::a dev eth0",
        )
        links.ip(
            "a", f"addr add {theirs}/128 dev lo", f"route add {ours} via fe80::d dev e0"
        )
    zone = "%eth0" if kind == "link-local" else ""
    wanted = settings(f"{theirs}{zone}", PREFIX6, **{"as": asn, "multihop_ttl": 9})
    with links.daemon(tmp_path, wanted) as daemon:
        daemon.until_logged("started:")
        peer = WirePeer.to_us(links, "a", theirs, ours)
        peer.establish(
            asn, (IPV6_UNICAST,) if kind != "ipv4" else (IPV4_UNICAST, IPV6_UNICAST)
        )
        told = Told(peer)
        assert told.next_hop() == expected
        if len(expected) == 32:  # the second one goes, and comes back
            links.ip(OURS, "addr del fe80::d/64 dev eth0")
            assert told.next_hop() == expected[:16]
            links.ip(OURS, "addr add fe80::e/64 dev eth0 nodad")
            assert told.next_hop() == expected[:16] + parse_address("fe80::e")
