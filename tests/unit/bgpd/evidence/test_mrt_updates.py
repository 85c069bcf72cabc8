"""Messages of sessions as records, read back by mrtparse."""

from typing import Any

from bgpd.config.evidence_settings import MrtSettings
from bgpd.evidence.mrt_updates import MrtUpdates
from tests.support.mrt_readers import number_of, parsed
from tests.support.simnet import on_virtual_time
from tests.support.speakers import Node, Rack, until


async def recorded(
    rack: Rack, *chosen: str, has_sent: bool = False, **changes: Any
) -> tuple[Node, Node, list[bytes], MrtUpdates]:
    a, b = await rack.node(1), await rack.node(2)
    records: list[bytes] = []
    updates = MrtUpdates(a.speaker, chosen, records.append, has_sent=has_sent)
    updates.start()
    a.peers_with(b, **changes)
    b.peers_with(a, **changes)
    a.announce("10.1.0.0/24")
    b.announce("10.2.0.0/24", "fd02::/64")
    await until(lambda: len(a.prefixes()) == len(b.prefixes()) == 3)
    return a, b, records, updates


def kinds(records: list[dict[str, Any]]) -> list[str]:
    return [
        next(iter(r["bgp_message"]["type"].values()))
        for r in records
        if "bgp_message" in r
    ]


@on_virtual_time
async def test_every_message_and_change_of_state_is_recorded() -> None:
    async with Rack() as rack:
        a, b, records, updates = await recorded(rack)
        a.peer(b).driver.stop()
        read = parsed(b"".join(records))
        told = kinds(read)
        assert "OPEN" in told
        assert "KEEPALIVE" in told
        prefixes = {
            nlri["prefix"]
            for r in read
            for nlri in r.get("bgp_message", {}).get("nlri", ())
        }
        assert prefixes == {"10.2.0.0"}
        states = [
            (number_of(r["old_state"]), number_of(r["new_state"]))
            for r in read
            if "old_state" in r
        ]
        assert states[-1][0] == 6
        assert 6 in [new for _, new in states]
        assert {r["peer_ip"] for r in read} == {b.addr}
        assert {r["peer_as"] for r in read} == {str(b.asn)}
        updates.close()
        assert a.peer(b).driver.taps.listeners == ()


@on_virtual_time
async def test_what_is_sent_is_recorded_where_it_is_wanted() -> None:
    async with Rack() as rack:
        *_, records, _ = await recorded(rack, has_sent=True)
        read = parsed(b"".join(records))
        sent = {
            nlri["prefix"]
            for r in read
            if "LOCAL" in next(iter(r["subtype"].values()))
            for nlri in r["bgp_message"].get("nlri", ())
        }
        assert sent == {"10.1.0.0"}


@on_virtual_time
async def test_peers_that_are_not_chosen_are_not_recorded() -> None:
    async with Rack() as rack:
        a, b, records, _ = await recorded(rack, "another")
        assert records == []
        assert a.peer(b).driver.taps.listeners == ()


def test_nothing_is_recorded_by_default() -> None:
    settings = MrtSettings()
    assert not settings.table.folder
    assert not settings.updates.folder
