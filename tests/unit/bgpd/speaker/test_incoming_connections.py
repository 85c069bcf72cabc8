"""What holds for connections that we make holds for those that come in."""

import socket

import pytest

from bgpd.wire.framing import MessageType
from tests.support.scripted_peer import ScriptedPeer, an_open
from tests.support.speakers import ASN, PORT, Rack, on_both_loops


@pytest.mark.parametrize("is_range", [False, True])
@on_both_loops
async def test_a_peer_that_connects_to_another_local_address_is_rejected(
    is_range: bool,  # noqa: FBT001
) -> None:
    async with Rack() as rack:
        node = await rack.node(1)
        other, who = f"{rack.network}.7", f"{rack.network}.9"
        node.speaker.listener.listen(other, PORT)
        if is_range:
            node.accepts(f"{rack.network}.0/24", local_addr=node.addr)
        else:
            node.peers_with(who, is_passive=True)
        async with ScriptedPeer(who, other, PORT) as peer:
            peer.send(an_open(ASN))
            assert await peer.message() is None
        assert node.speaker.incoming.rejected_count == 1
        assert not is_range or not node.speaker.peers
        async with ScriptedPeer(who, node.addr, PORT) as peer:
            peer.send(an_open(ASN))
            await peer.expect(MessageType.KEEPALIVE)


@on_both_loops
async def test_without_a_configured_local_address_any_will_do() -> None:
    async with Rack() as rack:
        node = await rack.node(1)
        other, who = f"{rack.network}.7", f"{rack.network}.9"
        node.speaker.listener.listen(other, PORT)
        node.peers_with(who, is_passive=True, local_addr="")
        async with ScriptedPeer(who, other, PORT) as peer:
            peer.send(an_open(ASN))
            await peer.expect(MessageType.KEEPALIVE)


@on_both_loops
async def test_a_connection_that_comes_in_is_bound_to_the_interface() -> None:
    async with Rack() as rack:
        node, who = await rack.node(1), f"{rack.network}.9"
        node.peers_with(who, is_passive=True, interface="lo")
        async with ScriptedPeer(who, node.addr, PORT) as peer:
            peer.send(an_open(ASN))
            await peer.expect(MessageType.KEEPALIVE)
            (connection,) = node.peer(who).driver._connections.values()
            device = connection.sock.getsockopt(
                socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16
            )
            assert device.rstrip(b"\0") == b"lo"
        node.peers_with(f"{rack.network}.8", is_passive=True, interface="gone0")
        async with ScriptedPeer(f"{rack.network}.8", node.addr, PORT) as peer:
            assert await peer.message() is None
