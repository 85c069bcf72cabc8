"""The kernel's filter lets packets of our peers through, and no others."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from struct import Struct

import pytest

from bgpd.bfd.packet import Packet, State, encode_packet
from bgpd.bfd.paths import Door, set_filter
from bgpd.bfd.socket_filter import INSTRUCTION, MAX_SOURCES, socket_filter
from tests.support.cases import cases

OCTETS = encode_packet(Packet(State.DOWN, 0, 0, 3, 77, 0, 1_000_000, 300_000))
_SOURCE = Struct("!I")


@contextmanager
def filtered(door: Door, *addresses: str) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if door.is_ipv6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1" if door.is_ipv6 else "127.0.0.1", 0))
        sock.setblocking(False)
        set_filter(sock, door, addresses)
        yield sock


def passes(
    to: socket.socket, source: str, octets: bytes = OCTETS, ttl: int = 255
) -> bool:
    with socket.socket(to.family, socket.SOCK_DGRAM) as sock:
        if to.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        sock.bind((source, 0))
        sock.sendto(octets, to.getsockname())
    try:
        return to.recv(100) == octets
    except BlockingIOError:
        return False


ONE_HOP, SEVERAL = Door(False, False, ""), Door(False, True, "")


@pytest.mark.rfc("5881", "5", "MUST")
def test_only_packets_with_ttl_255_of_a_peer_pass_where_one_hop_is_allowed() -> None:
    with filtered(ONE_HOP, "127.0.0.1", "127.9.9.9") as sock:
        assert passes(sock, "127.0.0.1")
        assert passes(sock, "127.9.9.9")
        assert not passes(sock, "127.0.0.2")
        assert not passes(sock, "127.0.0.1", ttl=254)
    with filtered(SEVERAL, "127.0.0.1") as sock:
        assert passes(sock, "127.0.0.1", ttl=3)
        assert not passes(sock, "127.0.0.2", ttl=3)
    with filtered(Door(True, False, ""), "::1") as sock:
        assert passes(sock, "::1")
        assert not passes(sock, "::1", ttl=254)
    with filtered(Door(True, False, ""), "2001:db8::1") as sock:
        assert not passes(sock, "::1")


def test_what_is_too_short_or_of_another_version_never_wakes_us() -> None:
    with filtered(ONE_HOP, "127.0.0.1") as sock:
        assert not passes(sock, "127.0.0.1", OCTETS[:23])
        assert not passes(sock, "127.0.0.1", b"\x40" + OCTETS[1:])
        assert passes(sock, "127.0.0.1", OCTETS + b"behind")
    with filtered(ONE_HOP) as sock:
        assert not passes(sock, "127.0.0.1")


@cases("count", [1, 3, 4, 5, 255, 256, 1000, MAX_SOURCES])
def test_each_of_many_peers_is_found_and_no_neighbour_of_it(count: int) -> None:
    addresses = [
        socket.inet_ntoa(_SOURCE.pack(0x7F010000 + 2 * n)) for n in range(count)
    ]
    with filtered(ONE_HOP, *addresses) as sock:
        for at in {0, 1, count // 2, count - 1}:
            if at < count:
                assert passes(sock, addresses[at])
                other = _SOURCE.pack(0x7F010000 + 2 * at + 1)
                assert not passes(sock, socket.inet_ntoa(other))


def test_more_peers_than_a_program_can_name_are_left_to_the_process() -> None:
    addresses = [_SOURCE.pack(0x0A000000 + n) for n in range(MAX_SOURCES + 1)]
    program = socket_filter(addresses, is_ipv6=False, is_multihop=False)
    assert len(program) < 20 * INSTRUCTION.size
    full = socket_filter(addresses[:-1], is_ipv6=False, is_multihop=False)
    assert len(full) <= 4096 * INSTRUCTION.size
