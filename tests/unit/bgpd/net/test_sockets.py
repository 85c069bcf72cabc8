"""Options of TCP sockets, as the kernel has them."""

import socket

import pytest

from bgpd.net.network import Socket
from bgpd.net.sockets import (
    IP_MINTTL,
    IPV6_MINHOPCOUNT,
    SocketError,
    bind_device,
    canonical,
    endpoint,
    listening_socket,
    make_socket,
    set_md5_key,
    set_ttl,
)
from tests.support.speakers import own_network


def test_a_listening_socket_answers_with_the_highest_ttl() -> None:
    with listening_socket(f"{own_network()}.1", 0) as made:
        assert made.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 255
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert isinstance(made, socket.socket)
        assert not made.getblocking()


def test_the_error_of_a_taken_port_says_what_to_do() -> None:
    addr = f"{own_network()}.1"
    with socket.socket() as holder:
        holder.bind((addr, 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(SocketError, match=f"{addr} port {port}: another program"):
            listening_socket(addr, port)


def test_an_address_that_is_nowhere_can_be_listened_on_in_advance() -> None:
    with pytest.raises(SocketError, match="no interface has this address"):
        listening_socket("192.0.2.77", 0)
    with listening_socket("192.0.2.77", 0, is_free=True) as made:
        assert made.getsockname()[0] == "192.0.2.77"


@pytest.mark.parametrize(
    ("addr", "level", "ttl", "minimum"),
    [
        ("127.0.0.1", socket.IPPROTO_IP, socket.IP_TTL, IP_MINTTL),
        ("::1", socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, IPV6_MINHOPCOUNT),
    ],
)
def test_ttl_security_sends_255_and_takes_no_less_than_its_distance(
    addr: str, level: int, ttl: int, minimum: int
) -> None:
    with make_socket(addr) as made:
        set_ttl(made, security_hops=2)
        assert made.getsockopt(level, ttl) == 255
        assert made.getsockopt(level, minimum) == 254


def test_a_ttl_is_sent_and_zero_is_the_system_s() -> None:
    with make_socket("127.0.0.1") as made:
        before = made.getsockopt(socket.IPPROTO_IP, socket.IP_TTL)
        set_ttl(made)
        assert made.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == before
        set_ttl(made, sent=3)
        assert made.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 3
        set_ttl(made)
        assert made.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == before


@pytest.mark.parametrize("addr", ["127.0.0.1", "::1"])
def test_keys_are_set_and_removed_and_removing_none_is_not_an_error(addr: str) -> None:
    with make_socket(addr) as made:
        set_md5_key(made, addr, "secret")
        set_md5_key(made, addr, "")
        set_md5_key(made, addr, "")


def test_the_error_of_too_many_keys_says_what_to_do() -> None:
    def set_all(made: Socket) -> None:
        for number in range(1, 5000):
            set_md5_key(made, f"10.0.{number >> 8}.{number & 255}", "secret")

    with (
        make_socket("127.0.0.1") as made,
        pytest.raises(SocketError, match="optmem_max"),
    ):
        set_all(made)


def test_an_interface_that_is_not_there_is_named() -> None:
    with make_socket("127.0.0.1") as made, pytest.raises(SocketError, match="'none7'"):
        bind_device(made, "none7")
    with pytest.raises(SocketError, match="'none7'"):
        endpoint("fe80::1%none7", 179)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("2001:db8::1%eth0", "2001:db8::1"),
    ],
)
def test_addresses_have_one_form(given: str, wanted: str) -> None:
    assert canonical(given) == wanted
