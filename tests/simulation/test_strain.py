"""Peers that read slowly, announce too much, or never rest, over minutes and hours."""

import pytest

from bgpd.net import tcp_connection
from bgpd.session.settings import FamilySettings
from bgpd.wire.framing import MessageType
from reflector.pacing import FREE
from rib.attributes import make_attributes
from rib.family import IPV4_UNICAST
from tests.support.scripted_peer import ScriptedPeer, an_open
from tests.support.simnet import advance, on_virtual_time, sim
from tests.support.speakers import ASN, PORT, Node, Rack, some_nlris, until

HOUR = 3600
BUSY_TIME = 900  # seconds
PREFIX = "10.7.0.0/16"
UPDATE = int(MessageType.UPDATE)


def med_of(node: Node) -> int | None:
    best = node.best(PREFIX)
    return None if best is None else best.attributes.med


@on_virtual_time
async def test_a_slow_reader_holds_up_no_other_peer_and_misses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp_connection, "HIGH_WATER", 1 << 14)
    monkeypatch.setattr(tcp_connection, "LOW_WATER", 1 << 12)
    sim().buffer = 1 << 12
    nlris = some_nlris(3000)
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        a.accepts(f"{rack.network}.0/24", is_client=True)
        b.peers_with(a)
        async with ScriptedPeer(f"{rack.network}.9", a.addr, PORT) as slow:
            await slow.establish(an_open(ASN, hold_time=0))
            slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
            for med in range(20):
                a.speaker.local_routes.originate(
                    IPV4_UNICAST, nlris, make_attributes(next_hop=b"", med=med)
                )
                await advance(20)  # 400 s in all, less than the send hold time
                table = b.table(IPV4_UNICAST)
                assert len(table) == len(nlris)
            connection = a.peer(f"{rack.network}.9").driver.connection
            assert connection is not None
            assert connection.unsent_len < 1 << 17
            slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
            last: dict[bytes, bytes] = {}
            final = b"\x80\x04\x04" + (19).to_bytes(4, "big")
            while len(last) < len(nlris) or not all(
                final in at for at in last.values()
            ):
                body = await slow.expect(MessageType.UPDATE)
                at = 4 + int.from_bytes(body[2:4], "big")
                attributes, run = body[4:at], body[at:]
                last |= {run[n : n + 4]: attributes for n in range(0, len(run), 4)}
        assert a.flaps(b) == 0


@on_virtual_time
async def test_a_limit_lets_a_peer_back_after_its_time_and_no_sooner() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        few = FamilySettings(
            IPV4_UNICAST, max_prefixes=3, max_prefixes_restart_time=1800
        )
        a.peers_with(b, families=(few,), has_graceful_restart=False)
        b.peers_with(a, has_graceful_restart=False)
        b.announce(*(f"10.{n}.0.0/16" for n in range(5)))
        await until(lambda: b.flaps(a) == 1)
        for times in range(1, 4):
            await advance(1790)
            assert b.flaps(a) == times
            assert a.table(IPV4_UNICAST) == {}
            for _ in range(100):
                await advance(1)
                if b.flaps(a) > times:
                    break
            assert b.flaps(a) == times + 1
        b.withdraw("10.0.0.0/16", "10.1.0.0/16")
        await advance(1900)
        assert a.is_up(b)
        assert len(a.table(IPV4_UNICAST)) == 3
        await advance(HOUR)
        assert b.flaps(a) == 4


@on_virtual_time
async def test_a_prefix_that_never_rests_is_paced_all_the_time_and_right_at_the_end() -> (
    None
):
    async with Rack() as rack:
        a, b, c = [await rack.node(n) for n in (1, 2, 3)]
        for node in (a, b, c):
            node.speaker.tables[IPV4_UNICAST].pacing.interval = 60.0
        a.peers_with(b)
        b.peers_with(a, is_client=True)
        b.peers_with(c, is_client=True)
        c.peers_with(b)
        await until(lambda: a.is_up(b) and c.is_up(b))
        a.speaker.tables[IPV4_UNICAST].pacing.interval = 0
        sent = b.peer(c).driver.session.counters.sent
        before = sent[UPDATE]
        for med in range(BUSY_TIME):
            a.announce(PREFIX, attributes=make_attributes(next_hop=b"", med=med))
            await advance(1)
        assert b.peer(a).driver.session.counters.received[UPDATE] >= BUSY_TIME
        # One a minute, after those that are free.
        assert FREE + 10 < sent[UPDATE] - before < FREE + 30
        await advance(61)
        assert med_of(c) == BUSY_TIME - 1
        await advance(300)
        a.withdraw(PREFIX)
        await advance(61)
        assert med_of(c) is None
