"""Peers that are gone leave nothing behind, and no collector is needed for that."""

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from bgpd.net.driver import PeerDriver
from bgpd.net.tcp_connection import Connection
from bgpd.pipeline.update_receiver import UpdateReceiver
from bgpd.session.peer import PeerSession
from bgpd.speaker.peer import Peer
from bgpd.speaker.peer_handover import follow_ranges
from bgpd.wire.capabilities import GracefulRestart
from reflector.export import Export
from reflector.group import UpdateGroup
from reflector.member_fsm import Member
from rib.adj_rib_in import AdjRibIn
from rib.family import IPV4_UNICAST
from rib.path import Path, Source
from tests.support.scripted_peer import ScriptedPeer, an_open, an_update
from tests.support.simnet import on_virtual_time
from tests.support.speakers import (
    ASN,
    PORT,
    Node,
    Rack,
    a_lone_node,
    some_nlris,
    until,
)
from tests.support.turns import turn

KINDS = (
    Peer,
    PeerDriver,
    PeerSession,
    Connection,
    AdjRibIn,
    UpdateReceiver,
    UpdateGroup,
    Member,
    Export,
    Path,
    Source,
)


def counted() -> Counter[str]:
    return Counter(type(o).__name__ for o in gc.get_objects() if isinstance(o, KINDS))


@contextmanager
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def is_as_before(node: Node, before: Counter[str]) -> None:
    """Wait for what is under way; nothing more than before is left."""

    def is_left() -> Counter[str]:
        for _ in node.speaker.housekeeping.round(is_thorough=True):
            pass
        return counted() - before

    await until(lambda: not is_left(), what=f"{is_left()}")


async def come_and_go(
    node: Node, number: int, graceful: GracefulRestart | None
) -> None:
    prefix = node.addr.rpartition(".")[0]
    who = f"{prefix}.{number}"
    async with ScriptedPeer(who, node.addr, PORT) as peer:
        await peer.establish(
            an_open(ASN, f"10.0.1.{number}", graceful_restart=graceful)
        )
        peer.send(an_update(some_nlris(3, 10 << 24 | number << 16)))
        await until(lambda: len(node.table(IPV4_UNICAST)) == 3)
    await until(lambda: who not in node.speaker.peers)


@on_virtual_time
async def test_dynamic_peers_that_go_are_freed() -> None:
    async with a_lone_node() as (node, _):
        await come_and_go(node, 99, None)
        with without_collector():
            before = counted()
            for number in range(10, 20):
                await come_and_go(node, number, None)
            await is_as_before(node, before)


@on_virtual_time
async def test_dynamic_peers_whose_routes_outlive_them_are_freed_in_the_end() -> None:
    graceful = GracefulRestart(restart_time=1, families=((IPV4_UNICAST, True),))
    async with a_lone_node(graceful_restart_time=1) as (node, _):
        await come_and_go(node, 99, None)
        with without_collector():
            before = counted()
            await come_and_go(node, 10, graceful)
            await is_as_before(node, before)


@on_virtual_time
async def test_configured_peers_that_are_removed_are_freed_in_any_state() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        absent = f"{rack.network}.77"  # no speaker answers there
        with without_collector():
            before = counted()
            for _ in range(3):
                a.peers_with(b)
                b.peers_with(a)
                a.peers_with(absent)
                await until(lambda: a.is_up(b) and b.is_up(a))
                b.announce("10.1.0.0/16")
                await until(a.prefixes)
                b.withdraw("10.1.0.0/16")
                a.speaker.neighbours.remove(absent)
                a.speaker.neighbours.remove(b.addr)
                b.speaker.neighbours.remove(a.addr)
                await turn()
            await is_as_before(a, before)


@on_virtual_time
async def test_a_range_that_is_removed_leaves_nothing() -> None:
    async with a_lone_node() as (node, who):
        await come_and_go(node, 99, None)
        with without_collector():
            before = counted()
            async with ScriptedPeer(who, node.addr, PORT) as peer:
                await peer.establish(an_open(ASN, "10.0.1.9"))
                await until(lambda: node.is_up(who))
                node.speaker.neighbours.remove_range("range")
                node.speaker.work_queue.begin(follow_ranges(node.speaker))
                await peer.ending()
            await is_as_before(node, before)
