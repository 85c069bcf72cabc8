"""Prefixes that keep changing, from one peer or between reflectors (RFC 3345)."""

import logging

import pytest

from bgpd.pipeline.advertisement_pacing import AdvertisementPacing, cause_of
from bgpd.session.settings import FamilySettings
from reflector.pacing import FREE, Unrest
from rib.attributes import make_attributes
from rib.family import IPV4_UNICAST
from tests.support.oscillation import PREFIX, oscillating, path_of
from tests.support.routes import a_path, a_source
from tests.support.scripted_peer import ScriptedPeer, an_open
from tests.support.simnet import advance, on_virtual_time
from tests.support.speakers import (
    ASN,
    PORT,
    Node,
    Rack,
    until,
)

UPDATE = 2
LONG = FREE + 300  # changes until a prefix waits for seconds
BUSY = FREE + 60  # UPDATEs; a paced prefix has no more within its first minute


def sent(node: Node, other: Node) -> int:
    return node.peer(other).driver.session.counters.sent[UPDATE]


def pacing_of(node: Node) -> AdvertisementPacing:
    return node.speaker.tables[IPV4_UNICAST].pacing


@on_virtual_time
async def test_two_reflectors_do_not_exchange_a_prefix_at_line_rate(caplog) -> None:
    async with Rack() as rack:
        ra, rd = await oscillating(rack, 1.0)
        with caplog.at_level(logging.WARNING):
            await until(lambda: "keeps changing" in caplog.text, 30)
        assert sent(ra, rd) < BUSY
        assert sent(rd, ra) < BUSY
        [line] = {
            record.getMessage()
            for record in caplog.records
            if "keeps changing" in record.getMessage()
        }
        assert line.startswith(f"{PREFIX} keeps changing, ")
        assert "MED oscillation (RFC 3345)" in line
        for told in ("AS path 6 100 MED 1 via 10.9.0.2", "AS path 10 100 MED 10"):
            assert told in line


@on_virtual_time
async def test_without_an_interval_they_do(caplog) -> None:
    async with Rack() as rack:
        ra, rd = await oscillating(rack, 0)
        await until(lambda: sent(ra, rd) > 5 * BUSY and sent(rd, ra) > 5 * BUSY, 30)
        assert "keeps changing" not in caplog.text
        for node in (ra, rd):
            pacing_of(node).interval = 60.0
        await until(lambda: pacing_of(ra).held_count or pacing_of(rd).held_count, 30)
        for node in (ra, rd):
            pacing_of(node).interval = 0
        before = sent(ra, rd)
        await until(lambda: sent(ra, rd) > before + BUSY, 30)


@on_virtual_time
async def test_a_route_that_flaps_is_passed_on_at_its_pace_and_right_at_the_end() -> (
    None
):
    async with Rack() as rack:
        a, b, c = [await rack.node(number) for number in (1, 2, 3)]
        pacing_of(a).interval, pacing_of(b).interval = 0, 0.4
        for other in (a, c):
            b.peers_with(other, is_client=True)
            other.peers_with(b)
        await until(lambda: a.is_up(b) and c.is_up(b))
        a.announce(PREFIX)
        await until(lambda: PREFIX in c.prefixes())
        start = sent(b, c)
        for med in range(6 * FREE):
            a.announce(PREFIX, attributes=make_attributes(next_hop=b"", med=med))
            await advance(0.002)
        received = b.peer(a).driver.session.counters.received[UPDATE]
        assert received > 3 * (sent(b, c) - start) > 3 * FREE

        def is_newest() -> bool:
            best = c.best(PREFIX)
            return best is not None and best.attributes.med == 6 * FREE - 1

        await until(is_newest)
        for _ in range(50):
            a.withdraw(PREFIX)
            a.announce(PREFIX)
            await advance(0.002)
        a.withdraw(PREFIX)
        await until(lambda: PREFIX not in c.prefixes())
        await until(lambda: not pacing_of(b).held_count)
        assert PREFIX not in c.prefixes()


@on_virtual_time
async def test_a_peer_that_joins_meanwhile_gets_what_the_others_have() -> None:
    async with Rack() as rack:
        a = await rack.node(1)
        pacing_of(a).interval = 60.0
        a.accepts(f"{rack.network}.0/24", is_client=True)
        async with ScriptedPeer(f"{rack.network}.8", a.addr, PORT) as first:
            await first.establish(an_open(ASN))
            await until(lambda: a.is_up(f"{rack.network}.8"))
            for med in range(LONG):
                a.announce(PREFIX, attributes=make_attributes(next_hop=b"", med=med))
                await advance(0.01)
            await until(lambda: pacing_of(a).held_count)
            b = await rack.node(2)
            b.peers_with(a)
            await until(lambda: PREFIX in b.prefixes())
            pacing_of(a).interval = 0
            await until(lambda: _med(b) == LONG - 1)


def _med(node: Node) -> int | None:
    best = node.best(PREFIX)
    return None if best is None else best.attributes.med


@on_virtual_time
async def test_paced_changes_are_advertised_before_reflection_changes() -> None:
    async with Rack() as rack:
        a, b, c = [await rack.node(number) for number in (1, 2, 3)]
        pacing_of(a).interval, pacing_of(b).interval = 0, 60.0
        for other in (a, c):
            b.peers_with(
                other, is_client=True, families=(FamilySettings(IPV4_UNICAST),)
            )
            other.peers_with(b)
        await until(lambda: a.is_up(b) and c.is_up(b))
        for med in range(FREE + 3):
            a.announce(PREFIX, attributes=make_attributes(next_hop=b"", med=med))
            await until(lambda med=med: _med(b) == med)  # type: ignore[misc]
        await until(lambda: pacing_of(b).held_count)
        tables = b.speaker.tables[IPV4_UNICAST]
        tables.re_export_routes_of(b.peer(a).sources[IPV4_UNICAST])
        assert not pacing_of(b).held_count
        await until(lambda: _med(c) == FREE + 2)


def unrest(*paths, is_withdrawn: bool = False) -> Unrest:
    return Unrest(b"\x08\x0a", 9, 1.0, paths, is_withdrawn=is_withdrawn)


@pytest.mark.parametrize(
    ("clients", "is_withdrawn", "expected"),
    [
        ("bce", False, "MED oscillation (RFC 3345)"),
        ("bc", False, "its best path alternates between b and c"),
        ("ce", False, "its best path alternates between c and e"),
        ("b", False, "b keeps changing it"),
        ("b", True, "b keeps advertising and withdrawing it"),
        ("", True, "a peer keeps advertising and withdrawing it"),
    ],
)
def test_the_cause_is_named(clients, is_withdrawn, expected) -> None:
    paths = [a_path(path_of(name), source=a_source(name)) for name in clients]
    found = cause_of(unrest(*paths, is_withdrawn=is_withdrawn), paths)
    assert found.startswith(expected)
