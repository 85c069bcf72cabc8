"""Captures of whole speakers: what passes, from the command on, and nothing held up."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from bgpd.api.protocol import ControlError
from bgpd.net.tapped_socket import TappedSocket
from bgpd.show.commands import handlers
from bgpd.show.state import DaemonView
from bgpd.speaker import captures
from bgpd.wire.framing import KEEPALIVE, MessageType, encode_message
from tests.support.answer_forms import check_answer
from tests.support.scripted_peer import ScriptedPeer, an_open, an_update
from tests.support.simnet import advance, on_virtual_time, settle, sim
from tests.support.speakers import (
    ASN,
    PLAIN,
    PORT,
    Node,
    Rack,
    a_lone_node,
    a_pair,
    some_nlris,
    unpaced,
)


class Reader:
    """Reads a capture as the API does, without a client that could be slow."""

    def __init__(self, node: Node, *names: str, **arguments: Any) -> None:
        speaker = node.speaker
        self.node = node
        view = DaemonView(speaker, speaker.loop.time())
        given = {"peer": list(names), "decode": True} | arguments
        answer: Any = handlers(view)["capture"](given)
        self._rows: Iterator[Any] = answer
        self._waits: asyncio.Future[None] | None = None
        self.is_over = False

    def read(self) -> list[dict[str, Any]]:
        """Return what there is until it would have to wait."""
        found: list[dict[str, Any]] = []
        if self._waits is not None and not self._waits.done():
            return found
        for row in self._rows:
            if isinstance(row, asyncio.Future):
                self._waits = row
                check_answer("capture", found)
                return found
            if row is not None:
                found.append(row)
        self.is_over = True
        check_answer("capture", found)
        return found

    def close(self) -> None:
        self._rows.close()  # type: ignore[attr-defined]


def told(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(r["direction"], r["type"]) for r in rows if r["event"] == "message"]


def sockets(node: Node) -> list[bool]:
    return [
        isinstance(connection.sock, TappedSocket)
        for peer in node.speaker.peers.values()
        for connection in peer.driver._connections.values()
    ]


@on_virtual_time
async def test_a_session_is_captured_from_its_first_message_on() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        a.peers_with(b, is_passive=True)
        reader = Reader(a, f"peer {b.addr}")
        assert [row["event"] for row in reader.read()] == ["began"]
        b.peers_with(a)
        await advance(2)
        b.announce("10.1.0.0/16")
        await advance(1)
        rows = reader.read()
        assert rows[0]["event"] == "opened"
        assert rows[0]["direction"] == "in"  # who connected
        assert (rows[0]["local_address"], rows[0]["local_port"]) == (a.addr, PORT)
        assert rows[0]["address"] == b.addr
        first = [pair for pair in told(rows) if pair[1] != "update"]
        assert sorted(first[:2]) == [("in", "open"), ("out", "open")]
        assert [row["id"] for row in rows] == [*range(2, len(rows) + 2)]
        counters = a.peer(b).driver.session.counters
        for kind in (MessageType.OPEN, MessageType.UPDATE, MessageType.KEEPALIVE):
            name = kind.name.lower()
            assert told(rows).count(("in", name)) == counters.received[kind]
            assert told(rows).count(("out", name)) == counters.sent[kind]
        (row,) = [r for r in rows if "advertises 10.1.0.0/16" in r.get("text", "")]
        assert len(row["octets"]) == 2 * row["length"]
        a.peer(b).driver.stop()
        await settle()
        rows = reader.read()
        assert ("out", "notification") in told(rows)
        assert rows[-1]["event"] == "closed"
        assert rows[-1]["dropped"] == 0


@on_virtual_time
async def test_a_capture_that_ends_leaves_no_trace() -> None:
    async with Rack() as rack:
        a, b = await a_pair(rack)
        poller = a.speaker.context.poller
        first, second = Reader(a, b.addr), Reader(a, b.addr)
        assert [row["event"] for row in first.read()] == ["began", "found"]
        second.read()
        assert sockets(a) == [True]
        first.close()
        assert sockets(a) == [True]
        b.announce("10.1.0.0/16")
        await advance(1)
        assert ("in", "update") in told(second.read())
        second.close()
        assert sockets(a) == [False]
        assert poller.connection_watch is None
        b.announce("10.2.0.0/16")
        await advance(1)
        assert "10.2.0.0/16" in a.prefixes()


@on_virtual_time
async def test_messages_that_began_before_the_capture_come_whole_or_not_at_all() -> (
    None
):
    async with (
        a_lone_node() as (node, address),
        ScriptedPeer(address, node.addr, PORT) as peer,
    ):
        await peer.establish(an_open(ASN))
        await advance(1)
        message = an_update(some_nlris(3))
        peer.send(message[:30])
        await advance(1)
        reader = Reader(node, address)
        reader.read()
        peer.send(message[30:] + KEEPALIVE)
        await advance(1)
        rows = [row for row in reader.read() if row.get("direction") == "in"]
        assert [row["octets"] for row in rows] == [message.hex(), KEEPALIVE.hex()]


@on_virtual_time
async def test_a_slow_peer_is_captured_from_the_next_whole_message_on() -> None:
    async with (
        a_lone_node() as (node, address),
        ScriptedPeer(address, node.addr, PORT) as peer,
    ):
        unpaced(node)
        await peer.establish(an_open(ASN))
        await advance(1)
        sim().buffer = 5000
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        nlris = some_nlris(20_000)
        family = next(iter(node.speaker.tables))
        node.speaker.local_routes.originate(family, nlris, PLAIN, None)
        await advance(1)
        connection = node.peer(address).driver.connection
        assert connection is not None
        assert connection.unsent_len > 0
        reader = Reader(node, address)
        reader.read()
        peer.reader._transport.resume_reading()  # type: ignore[attr-defined]
        await advance(5)
        rows = [row for row in reader.read() if row.get("direction") == "out"]
        messages = [row for row in rows if row["event"] == "message"]
        assert len(messages) > 3
        assert {row["type"] for row in messages} <= {"update", "keepalive"}
        assert not [row for row in messages if "malformed" in row["text"]]


@on_virtual_time
async def test_a_reader_that_is_slow_loses_messages_and_the_session_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(captures, "MOST_WAITING", 20_000)
    async with Rack() as rack:
        a, b = await a_pair(rack)
        reader = Reader(a, b.addr)
        reader.read()
        for number in range(40):
            b.announce(*(f"10.{number}.{each}.0/24" for each in range(200)))
            await advance(0.2)
        assert len(a.prefixes()) == 8000
        (running,) = a.speaker.context.poller.connection_watch._taps  # type: ignore[union-attr]
        assert running._size <= 20_000
        rows = reader.read()
        lost = rows[-1]["dropped"]
        assert lost > 0
        received = a.peer(b).driver.session.counters.received
        before = 3  # OPEN, KEEPALIVE, and the two End-of-RIB are older
        seen = len([pair for pair in told(rows) if pair[0] == "in"])
        assert before <= sum(received) - seen - lost <= before + 2
        b.announce("10.99.0.0/16")
        await advance(1)
        assert "advertises 10.99.0.0/16" in reader.read()[-1]["text"]


@on_virtual_time
async def test_a_capture_has_only_what_its_filters_select() -> None:
    async with Rack() as rack:
        a, b = await a_pair(rack)
        only_in = Reader(a, b.addr, direction="in", type=["update", "notification"])
        prefix = Reader(a, b.addr, prefix="10.1.0.0/16")
        longer = Reader(a, b.addr, prefix="10.1.0.0/16", longer=True)
        readers = (only_in, prefix, longer)
        for reader in readers:
            reader.read()
        a.announce("10.9.0.0/16")
        b.announce("10.1.0.0/16", "fd00:1::/64")
        await advance(1)
        b.announce("10.1.1.0/24")
        b.withdraw("10.1.0.0/16")
        await advance(40)  # with KEEPALIVEs
        texts = [
            [row["text"].partition(";")[0] for row in reader.read()]
            for reader in readers
        ]
        ipv6 = "advertises fd00:1::/64"
        added, inside = "advertises 10.1.0.0/16", "advertises 10.1.1.0/24"
        gone = "withdraws 10.1.0.0/16"
        assert sorted(texts[0]) == sorted([ipv6, added, inside, gone])
        assert texts[1] == [added, gone]
        assert sorted(texts[2]) == sorted([added, inside, gone])
        assert texts[2][0] == added


@on_virtual_time
async def test_limits_end_a_capture_and_say_which() -> None:
    async with Rack() as rack:
        a, b = await a_pair(rack)
        by_time = Reader(a, b.addr, seconds=5)
        by_count = Reader(a, b.addr, max_messages=2)
        by_size = Reader(a, b.addr, max_octets=30)
        for reader in (by_time, by_count, by_size):
            reader.read()
        await advance(4)
        assert by_time.read() == []
        await advance(1)
        assert by_time.read()[-1]["reason"] == "seconds"
        await advance(60)  # KEEPALIVEs of 19 octets
        for reader, reason in ((by_count, "messages"), (by_size, "octets")):
            rows = reader.read()
            assert len(told(rows)) == 2
            assert rows[-1]["reason"] == reason
            assert reader.is_over
        assert a.speaker.context.poller.connection_watch is None


@on_virtual_time
async def test_there_are_only_so_many_captures_at_once() -> None:
    async with Rack() as rack:
        a, b = await a_pair(rack)
        readers = [Reader(a, b.addr) for _ in range(captures.MOST_CAPTURES)]
        for reader in readers:
            reader.read()
        with pytest.raises(ControlError) as refused:
            Reader(a, b.addr).read()
        assert refused.value.code == "too-many-captures"
        readers[0].close()
        assert Reader(a, b.addr).read()[0]["event"] == "began"


@on_virtual_time
async def test_a_neighbour_of_a_range_need_not_be_there_yet() -> None:
    async with a_lone_node() as (node, address):
        reader = Reader(node, address)
        assert [row["event"] for row in reader.read()] == ["began"]
        async with ScriptedPeer(address, node.addr, PORT) as peer:
            await peer.establish(an_open(ASN))
            await advance(1)
            assert ("in", "open") in told(reader.read())
        for name in ("10.99.0.1", "tor-9", "127.0.0.256"):
            with pytest.raises(ControlError) as refused:
                Reader(node, name)
            assert refused.value.code == "no-such-peer"


@on_virtual_time
async def test_octets_without_a_valid_header_are_captured_too() -> None:
    async with a_lone_node() as (node, address):
        reader = Reader(node, address)
        reader.read()
        async with ScriptedPeer(address, node.addr, PORT) as peer:
            peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await advance(1)
            rows = reader.read()
            (row,) = [r for r in rows if r.get("type") == "other"]
            assert bytes.fromhex(row["octets"]).startswith(b"GET /")
            assert ("out", "notification") in told(rows)
        async with ScriptedPeer(address, node.addr, PORT) as peer:
            peer.send(encode_message(1, b"\4")[:12])
            await advance(1)
        await advance(1)
        rows = reader.read()
        (row,) = [r for r in rows if r.get("type") == "other"]
        assert row["length"] == 12  # half of a message, at the end
