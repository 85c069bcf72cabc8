"""While our restart is not over, every view says what is held back, and which peers it waits for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bgpd.cli.details import status_page
from bgpd.cli.tables import GROUPS, PEERS
from bgpd.session.gr_restarting_speaker import DeferralLimits
from bgpd.show.commands import handlers
from bgpd.show.state import DaemonView
from bgpd.speaker.remembered_peers import RememberedPeer, RememberedPeers
from bgpd.speaker.selection_deferral import SelectionDeferral
from bgpd.speaker.speaker import FAMILIES
from tests.support.simnet import on_virtual_time
from tests.support.speakers import ASN, Node, Rack, until
from tests.support.world import AProcess

BOTH = frozenset(FAMILIES)


def rows(view: DaemonView, command: str, **arguments: object) -> list[dict[str, Any]]:
    answer: Any = handlers(view)[command](arguments)
    found = [answer] if isinstance(answer, dict) else list(answer)
    return [row for row in found if row is not None]


def remark(columns: Any, row: dict[str, Any], title: str) -> str:
    (column,) = [each for each in columns if each.title == title]
    return str(column.text(row))


@asynccontextmanager
async def a_restart() -> AsyncIterator[
    tuple[DaemonView, SelectionDeferral, list[Node]]
]:
    """A reflector after its restart, two clients that are back, and one that is not."""
    async with Rack() as rack:
        reflector, a, b, late = [await rack.node(n) for n in (1, 2, 3, 4)]
        reflector.accepts(f"{rack.network}.0/24", is_client=True, is_passive=True)
        members = {
            node.addr: RememberedPeer(
                node.addr, "range", reflector.addr, ASN, ASN, BOTH, 120
            )
            for node in (a, b, late)
        }
        deferral = SelectionDeferral(
            reflector.speaker,
            DeferralLimits(60, 118, 120),
            remembered=RememberedPeers(members),
        )
        deferral.peers_are_known()
        view = DaemonView(
            reflector.speaker,
            reflector.speaker.loop.time(),
            process=AProcess(report=lambda: deferral.report),
        )
        reflector.announce("10.1.0.0/16")
        for node in (a, b):
            node.peers_with(reflector)
            node.announce(f"10.{node.number}.0.0/16")
        for node in (a, b):
            await until(lambda n=node: reflector.is_up(n))  # type: ignore[misc]
            await until(lambda n=node: reflector.peer(n).imports.ended_families == BOTH)  # type: ignore[misc]
        await until(
            lambda: deferral.report and list(deferral.report.awaited) == [late.addr]
        )
        yield view, deferral, [reflector, a, b, late]


@on_virtual_time
async def test_what_is_held_back_is_not_said_to_be_advertised() -> None:
    async with a_restart() as (view, deferral, (reflector, a, b, late)):
        await until(lambda: a.prefixes() == {"10.1.0.0/16", "10.2.0.0/16"})
        told = rows(view, "show-routes", advertised_to=[a.addr])
        assert {row["prefix"] for row in told} == {"10.1.0.0/16"}
        (why,) = rows(view, "show-route", prefix="10.3.0.0/16")
        assert why["advertised"] == []
        reasons = {
            row["reason"] for row in why["not_advertised"] if a.addr in row["peers"]
        }
        assert any("our restart is over" in reason for reason in reasons), reasons
        late.peers_with(reflector)
        await until(lambda: a.peer(reflector).imports.ended_families == BOTH)
        assert deferral.report is None
        told = rows(view, "show-routes", advertised_to=[a.addr])
        assert {row["prefix"] for row in told} == {"10.1.0.0/16", "10.3.0.0/16"}
        assert a.prefixes() == b.prefixes()


@on_virtual_time
async def test_peers_groups_and_status_tell_of_it() -> None:
    async with a_restart() as (view, _, (reflector, a, _b, late)):
        peers = {row["address"]: row for row in rows(view, "show-peers")}
        assert [who for who, row in peers.items() if row["is_awaited"]] == [late.addr]
        assert remark(PEERS, peers[late.addr], "REMARK").startswith(
            "our restart waits for its End-of-RIB"
        )
        assert "only our own routes" in remark(PEERS, peers[a.addr], "REMARK")
        groups = rows(view, "show-groups")
        assert groups
        for row in groups:
            assert row["defers_routes"]
            assert "deferred until our restart" in remark(GROUPS, row, "SLOW PEERS")
        (status,) = rows(view, "show-status")
        assert status["selection_deferral"]["awaited"] == [late.addr]
        assert status["selection_deferral"]["awaited_count"] == 1
        assert status["selection_deferral"]["defers_routes"] == list(
            map(str, sorted(BOTH))
        )
        (line,) = [row for row in status_page(status) if "selection deferral:" in row]
        assert "routes and End-of-RIB" in line
        assert line.endswith(f"waiting for {late.addr}")
        late.peers_with(reflector)
        await until(lambda: a.peer(reflector).imports.ended_families == BOTH)
        (status,) = rows(view, "show-status")
        assert status["selection_deferral"] is None
        assert not any("selection deferral:" in row for row in status_page(status))
        for row in rows(view, "show-peers"):
            assert not row["is_awaited"]
            assert remark(PEERS, row, "REMARK") == ""
