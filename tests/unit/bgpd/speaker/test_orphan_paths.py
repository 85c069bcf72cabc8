"""Paths without a reason are found, told and removed; those with one are left alone."""

from unittest import mock

from bgpd.speaker.peer_imports import PeerImports
from bgpd.wire.capabilities import GracefulRestart
from rib.family import IPV4_UNICAST
from tests.support.scripted_peer import ScriptedPeer, an_open, an_update
from tests.support.simnet import on_virtual_time
from tests.support.speakers import (
    ASN,
    PORT,
    Node,
    a_lone_node,
    some_nlris,
    until,
)


async def a_visit(node: Node, who: str, graceful: GracefulRestart | None) -> None:
    async with ScriptedPeer(who, node.addr, PORT) as remote:
        await remote.establish(an_open(ASN, "10.0.0.9", graceful_restart=graceful))
        remote.send(an_update(some_nlris(3)))
        await until(lambda: len(node.table(IPV4_UNICAST)) == 3)
        leftovers = node.speaker.housekeeping.leftovers
        for _ in range(3):
            leftovers.look()
        assert not leftovers.found
    await until(lambda: not node.is_up(who))


@on_virtual_time
async def test_routes_of_a_peer_without_session_are_found_and_removed() -> None:
    async with a_lone_node() as (node, who):
        node.announce("10.200.0.0/16")  # our own need no session
        await until(lambda: len(node.table(IPV4_UNICAST)) == 1)
        node.withdraw("10.200.0.0/16")
        leftovers = node.speaker.housekeeping.leftovers
        with mock.patch.object(
            PeerImports, "_sweep"
        ):  # the fault that must not stay unseen
            await a_visit(node, who, None)
        leftovers.look()
        assert not leftovers.found  # they may be on their way out
        leftovers.look()
        assert leftovers.count == 3
        (line,) = leftovers.warnings()
        assert who in line
        assert "3 orphan paths" in line
        await until(lambda: not node.table(IPV4_UNICAST))
        assert not node.speaker.tables[IPV4_UNICAST].loc_rib.path_counts
        leftovers.look()
        assert not leftovers.warnings()


@on_virtual_time
async def test_a_count_that_is_wrong_is_made_right() -> None:
    async with a_lone_node() as (node, who):
        await a_visit(node, who, None)
        await until(lambda: who not in node.speaker.peers)
        async with ScriptedPeer(who, node.addr, PORT) as remote:
            await remote.establish(an_open(ASN, "10.0.0.9"))
            await until(lambda: node.is_up(who))
            source = node.peer(who).sources[IPV4_UNICAST]
        await until(lambda: who not in node.speaker.peers)
        counts = node.speaker.tables[IPV4_UNICAST].loc_rib.path_counts
        counts[source] = 7  # as an interrupted batch may leave it
        for _ in range(2):
            node.speaker.housekeeping.leftovers.look()
        await until(lambda: not counts)


@on_virtual_time
async def test_routes_that_wait_for_their_peer_are_none() -> None:
    graceful = GracefulRestart(restart_time=60, families=((IPV4_UNICAST, True),))
    async with a_lone_node() as (node, who):
        await a_visit(node, who, graceful)
        for _ in range(3):
            node.speaker.housekeeping.leftovers.look()
        assert not node.speaker.housekeeping.leftovers.found
        assert len(node.table(IPV4_UNICAST)) == 3
