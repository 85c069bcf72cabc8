"""The listener: several addresses, keys that come and go, and what goes wrong."""

import asyncio

import pytest

from bgpd.net.connection import Connection, Inbox
from bgpd.net.listener import Listener
from bgpd.net.sockets import SocketError
from tests.support.speakers import on_both_loops, own_network, until

PORT = 17913


def a_listener(accepted: list[Connection]) -> Listener:
    return Listener(
        asyncio.get_running_loop(), Inbox(asyncio.get_running_loop()), accepted.append
    )


@on_both_loops
async def test_it_listens_on_several_addresses_and_ignores_them_again() -> None:
    network, accepted = own_network(), list[Connection]()
    listener = a_listener(accepted)
    for number in (1, 2):
        await listener.listen(f"{network}.{number}", PORT)
    await listener.listen(f"{network}.1", PORT)  # a second time is no error
    assert listener.addresses == [(f"{network}.1", PORT), (f"{network}.2", PORT)]
    for number in (1, 2):
        _, writer = await asyncio.open_connection(
            f"{network}.{number}", PORT, local_addr=(f"{network}.9", 0)
        )
        await until(lambda number=number: len(accepted) == number)  # type: ignore[misc]
        assert accepted[-1].address_pair() == (f"{network}.{number}", f"{network}.9")
        writer.close()
    listener.ignore(f"{network}.1", PORT)
    await asyncio.sleep(0.01)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(f"{network}.1", PORT)
    listener.close()
    assert not listener.addresses
    for connection in accepted:
        connection.close(asyncio.get_running_loop())
    await asyncio.sleep(0.01)


@on_both_loops
async def test_a_taken_address_is_an_error_and_the_others_stay() -> None:
    network = own_network()
    first, second = a_listener([]), a_listener([])
    await first.listen(f"{network}.1", PORT)
    await second.listen(f"{network}.2", PORT)
    with pytest.raises(SocketError, match="another program"):
        await second.listen(f"{network}.1", PORT)
    assert second.addresses == [(f"{network}.2", PORT)]
    first.close()
    second.close()
    await asyncio.sleep(0.01)


@on_both_loops
async def test_keys_hold_on_addresses_that_are_listened_on_later() -> None:
    network, accepted = own_network(), list[Connection]()
    listener = a_listener(accepted)
    listener.set_key(f"{network}.0/24", "secret")
    await listener.listen(f"{network}.1", PORT)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await asyncio.open_connection(
                f"{network}.1", PORT, local_addr=(f"{network}.9", 0)
            )
    listener.set_key(f"{network}.0/24", "")
    _, writer = await asyncio.open_connection(
        f"{network}.1", PORT, local_addr=(f"{network}.9", 0)
    )
    writer.close()
    await until(lambda: accepted)
    listener.close()
    for connection in accepted:
        connection.close(asyncio.get_running_loop())
    await asyncio.sleep(0.01)
