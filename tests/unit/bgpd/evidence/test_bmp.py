"""What collectors of BMP get, over real sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bgpd.config.evidence_settings import BmpCollectorSettings, BmpSettings
from bgpd.evidence import bmp_collector
from bgpd.evidence import bmp_messages as bmp
from bgpd.evidence.bmp_monitor import BmpMonitor
from bgpd.evidence.bmp_routes import end_of_rib
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from tests.support.bmp_collectors import Sink, dissected, needs_tshark
from tests.support.speakers import Node, Rack, on_both_loops, until

ROUTE_AT = 42  # octets of a per-peer header


@asynccontextmanager
async def told(
    *, late: bool = False, **changes: Any
) -> AsyncIterator[tuple[Node, Node, Sink, BmpMonitor]]:
    """Yield two nodes with a session, and a collector of the first."""
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        sink = Sink(a.addr)
        await sink.open()
        monitor = BmpMonitor(a.speaker, "here", "a speaker", a.asn)
        collector = BmpCollectorSettings("one", sink.address, sink.port, **changes)
        settings = BmpSettings((collector,))
        if not late:
            monitor.start(settings)
        a.peers_with(b)
        b.peers_with(a)
        b.announce("10.2.0.0/24", "fd02::/64")
        await until(lambda: len(a.prefixes()) == 2)
        if late:
            monitor.start(settings)
        try:
            yield a, b, sink, monitor
        finally:
            monitor.close()
            await sink.close()


def kinds(sink: Sink) -> list[int]:
    return [kind for kind, _ in sink.messages()]


def routes(sink: Sink, prefix: bytes, peer_kind: int = bmp.GLOBAL_PEER) -> int:
    """Count UPDATEs that name a prefix."""
    return sum(
        kind == bmp.ROUTE_MONITORING and body[0] == peer_kind and prefix in body
        for kind, body in sink.messages()
    )


@pytest.mark.parametrize("late", [False, True])
@on_both_loops
async def test_a_collector_gets_sessions_and_routes(*, late: bool) -> None:
    async with told(late=late) as (a, b, sink, _):
        for prefix in (b"\x18\x0a\2\0", b"\x40\xfd\x02\0\0\0\0\0\0"):
            await until(partial(routes, sink, prefix))
            await until(partial(routes, sink, prefix, bmp.LOC_RIB_PEER))
        assert kinds(sink)[0] == bmp.INITIATION
        assert kinds(sink).count(bmp.PEER_UP) == 2  # the peer, and Loc-RIB
        b.withdraw("10.2.0.0/24")
        b.announce("10.3.0.0/24")
        await until(lambda: routes(sink, b"\x18\x0a\3\0", bmp.LOC_RIB_PEER))
        assert routes(sink, b"\x18\x0a\3\0")
        a.peer(b).driver.stop()
        await until(lambda: bmp.PEER_DOWN in kinds(sink))


@on_both_loops
async def test_a_collector_that_breaks_gets_everything_again(monkeypatch) -> None:
    monkeypatch.setattr(bmp_collector, "FIRST_PAUSE", 0.01)
    async with told() as (_, _, sink, monitor):
        await until(lambda: routes(sink, b"\x18\x0a\2\0"))
        sink.reset()
        await until(lambda: len(sink.streams) == 2)
        await until(lambda: routes(sink, b"\x18\x0a\2\0"))
        assert kinds(sink)[0] == bmp.INITIATION
        assert monitor.collectors[0].cuts == 1


@on_both_loops
async def test_a_collector_that_reads_nothing_is_cut_off_and_slows_no_peer(
    monkeypatch,
) -> None:
    monkeypatch.setattr(bmp_collector, "QUEUE_OCTETS", 1 << 16)
    monkeypatch.setattr(bmp_collector, "FIRST_PAUSE", 0.01)
    async with told() as (a, b, sink, monitor):
        await until(lambda: routes(sink, b"\x18\x0a\2\0"))
        (collector,) = monitor.collectors
        message = bytes(1 << 14)
        for _ in range(1000):  # in one turn: none of it can leave
            collector.put(message)
        await until(lambda: collector.cuts)
        assert a.is_up(b)
        await until(lambda: len(sink.streams) >= 2)


@on_both_loops
async def test_figures_come_at_their_interval(monkeypatch) -> None:
    async with told(statistics_interval=1) as (_, _, sink, _):
        await until(lambda: kinds(sink).count(bmp.STATISTICS) >= 2)


@on_both_loops
async def test_a_collector_does_not_get_what_it_does_not_want() -> None:
    async with told(monitor=("loc-rib",)) as (_, _, sink, _):
        await until(lambda: routes(sink, b"\x18\x0a\2\0", bmp.LOC_RIB_PEER))
        assert not routes(sink, b"\x18\x0a\2\0")


@needs_tshark
@pytest.mark.slow
@on_both_loops
async def test_tshark_reads_every_message(tmp_path: Path) -> None:
    async with told() as (a, b, sink, monitor):
        await until(lambda: routes(sink, b"\x18\x0a\2\0", bmp.LOC_RIB_PEER))
        a.peer(b).driver.stop()
        await until(lambda: bmp.PEER_DOWN in kinds(sink))
        monitor.collectors[0].close()
        await until(lambda: bmp.TERMINATION in kinds(sink))
        # tshark 4.0 takes the name of Loc-RIB's table for one more OPEN.
        some = [
            (kind, body)
            for kind, body in sink.messages()
            if (kind, body[0]) != (bmp.PEER_UP, bmp.LOC_RIB_PEER)
        ]
        octets = b"".join(
            b"\3" + (6 + len(body)).to_bytes(4, "big") + bytes((kind,)) + body
            for kind, body in some
        )
        assert dissected(octets, tmp_path) == [kind for kind, _ in some]


def test_the_end_of_a_table_is_an_empty_update() -> None:
    assert end_of_rib(IPV4_UNICAST)[19:] == bytes(4)
    assert end_of_rib(IPV6_UNICAST)[23:] == b"\x80\x0f\x03\0\x02\x01"
