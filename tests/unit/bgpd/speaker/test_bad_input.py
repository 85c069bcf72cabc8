"""A peer that sends nonsense gets the RFC's remedy, and no other peer notices."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bgpd.session.settings import FamilySettings
from bgpd.wire.capabilities import CapabilityCode
from bgpd.wire.framing import KEEPALIVE, MARKER, MessageType, encode_message
from rib.family import IPV4_UNICAST
from tests.support.scripted_peer import ScriptedPeer, a_withdrawal, an_open, an_update
from tests.support.simnet import advance, on_virtual_time, run_virtually
from tests.support.speakers import (
    ASN,
    BOTH,
    PORT,
    Node,
    Rack,
    some_nlris,
    until,
)
from tests.support.turns import turn

OPEN = an_open(ASN)


@asynccontextmanager
async def a_reflector_with_a_client(
    **changes: Any,
) -> AsyncIterator[tuple[Rack, Node, Node]]:
    """A session beside the scripted one; at the end it must not have noticed."""
    async with Rack() as rack:
        reflector, client = await rack.node(1), await rack.node(2)
        reflector.accepts(f"{rack.network}.0/24", is_client=True, **changes)
        client.peers_with(reflector)
        client.announce("172.16.2.0/24")
        await until(lambda: "172.16.2.0/24" in reflector.prefixes())
        yield rack, reflector, client
        await until(lambda: client.addr in reflector.speaker.peers)
        assert reflector.flaps(client) == 0
        assert client.is_up(reflector)
        assert "172.16.2.0/24" in reflector.prefixes()
        # It is still told what is new.
        reflector.announce("172.16.1.0/24")
        await until(lambda: "172.16.1.0/24" in client.prefixes())


def a_scripted(rack: Rack, number: int = 99) -> ScriptedPeer:
    return ScriptedPeer(f"{rack.network}.{number}", f"{rack.network}.1", PORT)


def _header(length: int, kind: int) -> bytes:
    return MARKER + length.to_bytes(2, "big") + bytes([kind])


def _open_with(*capabilities: bytes) -> bytes:
    """Return an OPEN with capabilities as given: code, length, value each."""
    caps = b"".join(capabilities)
    parameters = bytes([2, len(caps)]) + caps
    body = b"\x04" + ASN.to_bytes(2, "big") + b"\0\x5a" + b"\x0a\0\0\x63"
    return encode_message(
        MessageType.OPEN, body + bytes([len(parameters)]) + parameters
    )


MP4 = bytes([1, 4, 0, 1, 0, 1])
MP6 = bytes([1, 4, 0, 2, 0, 1])
AS4 = bytes([65, 4]) + ASN.to_bytes(4, "big")

BEFORE_OPEN = {
    "garbage": (b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", (1, 1)),
    "length too small": (_header(18, 1), (1, 2)),
    "length too large": (_header(4097, 1) + bytes(4078), (1, 2)),
    "unknown type": (_header(19, 77), (1, 3)),
    "UPDATE first": (encode_message(MessageType.UPDATE, bytes(4)), (5, 1)),
    "KEEPALIVE first": (KEEPALIVE, (5, 1)),
    "wrong AS": (an_open(ASN + 1), (2, 2)),
    "our router id": (an_open(ASN, "10.0.0.1"), (2, 3)),
    "router id 0": (an_open(ASN, "0.0.0.0"), (2, 3)),
    "hold time 1": (an_open(ASN, hold_time=1), (2, 6)),
    "hold time 2": (an_open(ASN, hold_time=2), (2, 6)),
    "no common family": (_open_with(bytes([1, 4, 0, 25, 0, 70]), AS4), (2, 7)),
    "version 3": (OPEN[:19] + b"\x03" + OPEN[20:], (2, 1)),
    "AS 0": (_open_with(MP4, bytes([65, 4, 0, 0, 0, 0])), (2, 2)),
    "contradictory AS": (_open_with(MP4, AS4, bytes([65, 4, 0, 0, 0, 9])), (2, 2)),
}


@pytest.mark.parametrize(("octets", "kind"), BEFORE_OPEN.values(), ids=BEFORE_OPEN)
def test_bad_beginnings_are_answered_and_closed(
    octets: bytes, kind: tuple[int, int]
) -> None:
    async def scenario() -> None:
        async with a_reflector_with_a_client() as (rack, reflector, _):
            async with a_scripted(rack) as peer:
                peer.send(octets)
                ending = await peer.ending()
                assert ending is not None
                assert (ending.code, ending.subcode) == kind
            await until(lambda: len(reflector.speaker.peers) == 1)

    run_virtually(scenario())


GOOD_OPENS = {
    "twice the same": _open_with(MP4, MP4, MP6, AS4, AS4),
    "unknown capability": _open_with(MP4, AS4, bytes([200, 3, 1, 2, 3])),
    "empty restart capability": _open_with(
        MP4, AS4, bytes([CapabilityCode.GRACEFUL_RESTART, 2, 0, 0])
    ),
    "add-path for a family that is not offered": _open_with(
        MP4, AS4, bytes([CapabilityCode.ADD_PATH, 4, 0, 25, 70, 3])
    ),
}


@pytest.mark.parametrize("octets", GOOD_OPENS.values(), ids=GOOD_OPENS)
def test_odd_but_legal_opens_establish(octets: bytes) -> None:
    async def scenario() -> None:
        async with (
            a_reflector_with_a_client() as (rack, _, _client),
            a_scripted(rack) as peer,
        ):
            await peer.establish(octets)
            await peer.expect(MessageType.UPDATE)

    run_virtually(scenario())


def _malformed_attribute(nlri: bytes) -> bytes:
    """An UPDATE whose ORIGIN has a value that there is not (RFC 7606 7.1)."""
    good = an_update([nlri])
    at = good.index(b"\x40\x01\x01\x00")
    return good[: at + 3] + b"\x07" + good[at + 4 :]


@on_virtual_time
async def test_a_malformed_attribute_withdraws_and_the_session_stays() -> None:
    first, second = some_nlris(2)
    async with (
        a_reflector_with_a_client() as (rack, reflector, client),
        a_scripted(rack) as peer,
    ):
        await peer.establish(OPEN)
        peer.send(an_update([first]))
        await until(lambda: first in client.table(IPV4_UNICAST))
        peer.send(_malformed_attribute(first) + an_update([second]))
        await until(lambda: second in client.table(IPV4_UNICAST))
        await until(lambda: first not in client.table(IPV4_UNICAST))
        scripted = reflector.peer(f"{rack.network}.99")
        assert scripted.imports.errors.count == 1
        assert scripted.driver.session.counters.flaps == 0


ENDING_UPDATES = {
    "prefix of 33 bits": (a_withdrawal(bytes([33, 1, 2, 3, 4, 5])), (3, 10)),
    "prefix past the end": (a_withdrawal(bytes([24, 1])), (3, 10)),
    "fields past the end": (
        encode_message(MessageType.UPDATE, b"\xff\xff\0\0"),
        (3, 1),
    ),
    "over-long": (_header(4097, 2) + bytes(4078), (1, 2)),
    "OPEN again": (OPEN, (5, 3)),
}


@pytest.mark.parametrize(
    ("octets", "kind"), ENDING_UPDATES.values(), ids=ENDING_UPDATES
)
def test_nlri_that_cannot_be_split_ends_this_session_alone(
    octets: bytes, kind: tuple[int, int]
) -> None:
    async def scenario() -> None:
        nlris = some_nlris(3)
        async with a_reflector_with_a_client(has_extended_message=False) as (
            rack,
            _,
            client,
        ):
            async with a_scripted(rack) as peer:
                await peer.establish(OPEN)
                peer.send(an_update(nlris))
                await until(lambda: nlris[0] in client.table(IPV4_UNICAST))
                peer.send(octets)
                ending = await peer.ending()
                assert ending is not None
                assert (ending.code, ending.subcode) == kind
            await until(lambda: nlris[0] not in client.table(IPV4_UNICAST))

    run_virtually(scenario())


@on_virtual_time
async def test_a_flood_over_the_limit_ends_with_cease_1() -> None:
    limited = (FamilySettings(IPV4_UNICAST, max_prefixes=1000), BOTH[1])
    async with (
        a_reflector_with_a_client(families=limited) as (rack, _, client),
        a_scripted(rack) as peer,
    ):
        await peer.establish(OPEN)
        peer.send(an_update(some_nlris(50_000)))
        ending = await peer.ending()
        assert ending is not None
        assert (ending.code, ending.subcode) == (6, 1)
        assert ending.data[:7] == b"\0\x01\x01" + (1000).to_bytes(4, "big")
        await until(lambda: len(client.table(IPV4_UNICAST)) == 1)


@on_virtual_time
async def test_a_silent_peer_holds_up_no_other() -> None:
    async with a_reflector_with_a_client() as (rack, reflector, _):
        async with a_scripted(rack) as peer:
            await peer.expect(MessageType.OPEN)
            await advance(5)
            assert len(reflector.speaker.peers) == 2
        await until(lambda: len(reflector.speaker.peers) == 1)


@pytest.mark.slow
@on_virtual_time
async def test_a_thousand_connections_of_one_peer_leave_nothing() -> None:
    async with a_reflector_with_a_client() as (rack, reflector, _):
        for _ in range(20):
            peers = [a_scripted(rack) for _ in range(50)]
            await asyncio.gather(*(peer.__aenter__() for peer in peers))
            for peer in peers:
                peer.writer.transport.abort()
        await until(lambda: len(reflector.speaker.peers) == 1)


@on_virtual_time
async def test_strangers_are_turned_away() -> None:
    async with Rack() as rack:
        node = await rack.node(1)
        node.accepts("198.51.100.0/24")
        async with a_scripted(rack) as peer:
            assert await peer.ending() is None
        assert node.speaker.incoming.rejected_count == 1
        assert not node.speaker.peers


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_stream_cut_anywhere_is_the_same_stream(size: int) -> None:
    async def scenario() -> None:
        nlris = some_nlris(30)
        stream = OPEN + KEEPALIVE + an_update(nlris)
        async with (
            a_reflector_with_a_client() as (rack, _, client),
            a_scripted(rack) as peer,
        ):
            for start in range(0, len(stream), size):
                peer.send(stream[start : start + size])
                await turn()
            await until(lambda: set(nlris) <= client.table(IPV4_UNICAST).keys())

    run_virtually(scenario())
