"""The listener: several addresses, keys that come and go, and what goes wrong."""

import asyncio
import resource
import socket
from pathlib import Path

import pytest

from bgpd.daemon.listen_retry import ListenRetry
from bgpd.net import listener as listener_module
from bgpd.net.listener import Listener
from bgpd.net.poller import Poller
from bgpd.net.sockets import (
    SocketError,
    is_own_address,
    listening_socket,
    start_listening,
)
from bgpd.net.tcp_connection import Connection
from tests.support.speakers import on_both_loops, own_network, until
from tests.support.turns import turn

PORT = 17913
SYN_SENT = b"\2"  # of TCP_INFO


def dropped_for_their_key() -> int:
    """Return how many segments the kernel has dropped as they lacked a key."""
    lines = Path("/proc/net/netstat").read_text().splitlines()
    names, values = lines[0].split(), lines[1].split()
    return int(values[names.index("TCPMD5NotFound")])


def a_listener(accepted: list[Connection]) -> Listener:
    return Listener(Poller(asyncio.get_running_loop()), accepted.append)


@on_both_loops
async def test_it_listens_on_several_addresses_and_ignores_them_again() -> None:
    network, accepted = own_network(), list[Connection]()
    listener = a_listener(accepted)
    for number in (1, 2):
        listener.listen(f"{network}.{number}", PORT)
    listener.listen(f"{network}.1", PORT)  # a second time is not an error
    assert listener.addresses == [(f"{network}.1", PORT), (f"{network}.2", PORT)]
    for number in (1, 2):
        _, writer = await asyncio.open_connection(
            f"{network}.{number}", PORT, local_addr=(f"{network}.9", 0)
        )
        await until(lambda number=number: len(accepted) == number)  # type: ignore[misc]
        assert accepted[-1].address_pair() == (f"{network}.{number}", f"{network}.9")
        writer.close()
    listener.ignore(f"{network}.1", PORT)
    await turn(3)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(f"{network}.1", PORT)
    listener.close()
    assert not listener.addresses
    for connection in accepted:
        connection.close()
    await turn(3)


@on_both_loops
async def test_an_address_that_no_interface_has_is_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    network, absent = own_network(), "192.0.2.254"
    listening = ListenRetry(a_listener([]))
    listening.follow([f"{network}.1", absent, "2001:db8::254"], PORT)
    assert listening.missing() == [
        f"listening on {each} port {PORT}, but no interface has {each} yet"
        for each in (absent, "2001:db8::254")
    ]
    assert not listening.faults
    assert listening.missing()[0] in caplog.text
    listening.follow([f"{network}.1"], PORT)
    assert not listening.missing()
    listening.follow([], PORT)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "127.0.0.1", "::1"])
def test_addresses_for_all_and_of_loopback_are_our_own(address: str) -> None:
    assert is_own_address(address)


@on_both_loops
async def test_accepted_sockets_are_set_up_as_ours_are() -> None:
    network, accepted = own_network(), list[Connection]()
    listener = a_listener(accepted)
    listener.listen(f"{network}.1", PORT)
    _, writer = await asyncio.open_connection(f"{network}.1", PORT)
    await until(lambda: accepted)
    sock = accepted[0].sock
    assert isinstance(sock, socket.socket)
    assert not sock.getblocking()
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0xC0
    writer.close()
    listener.close()
    accepted[0].close()


@on_both_loops
async def test_a_peer_that_cannot_be_accepted_now_is_accepted_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener_module, "_REST", 0.05)
    network, accepted = own_network(), list[Connection]()
    listener = a_listener(accepted)
    listener.listen(f"{network}.1", PORT)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as client:
        client.connect((f"{network}.1", PORT))
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, limits[1]))
        try:
            await until(lambda: len(caplog.messages) > 2)
            assert not accepted
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        await until(lambda: accepted)
    assert "cannot accept" in caplog.messages[-1]
    assert "Too many open files" in caplog.messages[-1]
    listener.close()
    accepted[0].close()


@on_both_loops
async def test_a_taken_address_is_an_error_and_the_others_stay() -> None:
    network = own_network()
    first, second = a_listener([]), a_listener([])
    first.listen(f"{network}.1", PORT)
    second.listen(f"{network}.2", PORT)
    with pytest.raises(SocketError, match="another program"):
        second.listen(f"{network}.1", PORT)
    assert second.addresses == [(f"{network}.2", PORT)]
    first.close()
    second.close()
    await turn(3)


@on_both_loops
async def test_keys_hold_on_addresses_that_are_listened_on_later() -> None:
    network, accepted = own_network(), list[Connection]()
    listener = a_listener(accepted)
    listener.set_key(f"{network}.0/24", "secret")
    listener.listen(f"{network}.1", PORT)
    before = dropped_for_their_key()
    with socket.socket() as client:
        client.setblocking(False)
        client.bind((f"{network}.9", 0))
        with pytest.raises(BlockingIOError):
            client.connect((f"{network}.1", PORT))
        await until(lambda: dropped_for_their_key() > before)
        state = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        assert state == SYN_SENT
    assert not accepted
    listener.set_key(f"{network}.0/24", "")
    _, writer = await asyncio.open_connection(
        f"{network}.1", PORT, local_addr=(f"{network}.9", 0)
    )
    writer.close()
    await until(lambda: accepted)
    listener.close()
    for connection in accepted:
        connection.close()
    await turn(3)


@on_both_loops
async def test_a_peer_that_connects_before_it_is_open_waits_and_is_not_rejected() -> (
    None
):
    network, accepted = own_network(), list[Connection]()
    listener = a_listener(accepted)
    ready = listening_socket(f"{network}.1", PORT)
    unused = listening_socket(f"{network}.2", PORT)
    for sock in (ready, unused):
        start_listening(sock, 16)
    early = await asyncio.open_connection(f"{network}.1", PORT)
    listener.hold({(f"{network}.1", PORT): ready, (f"{network}.2", PORT): unused})
    listener.listen(f"{network}.1", PORT)
    listener.listen(f"{network}.3", PORT)  # not ready-made, and held like the others
    later = await asyncio.open_connection(f"{network}.3", PORT)
    early[1].write(b"an OPEN")
    for _ in range(20):
        await turn()
    assert not accepted
    listener.open()
    await until(lambda: len(accepted) == 2)
    assert listener.addresses == [(f"{network}.1", PORT), (f"{network}.3", PORT)]
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(f"{network}.2", PORT)
    at_once = await asyncio.open_connection(f"{network}.3", PORT)
    await until(lambda: len(accepted) == 3)
    for _, writer in (early, later, at_once):
        writer.close()
    for connection in accepted:
        connection.close()
    listener.close()


@pytest.mark.parametrize("who", ["address", "prefix"])
@on_both_loops
async def test_a_connection_from_before_the_key_was_set_has_proved_nothing(who) -> None:
    network, accepted = own_network(), list[Connection]()
    listener = a_listener(accepted)
    listener.hold({})
    listener.listen(f"{network}.1", PORT)
    from_there = [
        await asyncio.open_connection(
            f"{network}.1", PORT, local_addr=(f"{network}.{number}", 0)
        )
        for number in (8, 9, 8)
    ]
    try:
        listener.set_key(
            f"{network}.8" if who == "address" else f"{network}.8/32", "secret"
        )
    except SocketError as error:
        pytest.skip(str(error.strerror))
    listener.open()
    await until(lambda: accepted)
    for reader, _ in (from_there[0], from_there[2]):
        assert await reader.read() == b"", "closed"
    assert [c.address_pair()[1] for c in accepted] == [f"{network}.9"]
    for _, writer in from_there:
        writer.close()
    accepted[0].close()
    listener.close()
