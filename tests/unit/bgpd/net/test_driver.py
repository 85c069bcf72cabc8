"""Writes of a driver return what they did, and call nothing back."""

import pytest

from bgpd.net import tcp_connection
from bgpd.speaker.peer import Peer
from bgpd.wire.framing import MessageType
from bgpd.wire.update import end_of_rib
from rib.family import IPV4_UNICAST
from tests.support.scripted_peer import ScriptedPeer, an_open
from tests.support.simnet import on_virtual_time, sim
from tests.support.speakers import ASN, PORT, Rack, until

MANY = 2000  # End-of-RIBs in one write, about 46 kB
HIGH_WATER, LOW_WATER = 1 << 18, 1 << 16


@on_virtual_time
async def test_a_write_to_a_full_socket_says_so_and_calls_nothing_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp_connection, "HIGH_WATER", HIGH_WATER)
    monkeypatch.setattr(tcp_connection, "LOW_WATER", LOW_WATER)
    sim().buffer = LOW_WATER
    called: list[str] = []
    for name in ("writing_paused", "writing_resumed"):
        monkeypatch.setattr(Peer, name, lambda _, name=name: called.append(name))
    async with Rack() as rack:
        node = await rack.node(1)
        node.accepts(f"{rack.network}.0/24")
        async with ScriptedPeer(f"{rack.network}.9", node.addr, PORT) as slow:
            await slow.establish(an_open(ASN))
            slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await until(lambda: node.is_up(f"{rack.network}.9"))
            driver = node.peer(f"{rack.network}.9").driver
            connection = driver.connection
            assert connection is not None
            octets = end_of_rib(IPV4_UNICAST) * MANY
            is_writable = True
            while is_writable:
                is_writable = driver.write([octets], MANY)
                assert is_writable == (connection.unsent_len <= HIGH_WATER)
            assert called == []
            assert driver.session.next_deadline() is not None
            driver.send_message(octets)  # without a caller that reads the result
            assert called == ["writing_paused"]
            slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
            await until(lambda: called == ["writing_paused", "writing_resumed"])
            assert driver.write([octets], MANY)
            while connection.unsent_len:
                await slow.expect(MessageType.UPDATE)
