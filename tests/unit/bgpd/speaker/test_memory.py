"""What a peer does over and over leaves no more behind than doing it once."""

import gc
from collections.abc import Callable
from typing import Any

import pytest

from bgpd.speaker.peer import Peer
from bgpd.wire.capabilities import AddPathDirection, GracefulRestart
from bgpd.wire.framing import KEEPALIVE, MessageType
from bgpd.wire.route_refresh import RefreshSubtype, RouteRefresh, encode_route_refresh
from rib.attributes import PathAttributes
from rib.family import IPV4_UNICAST
from rib.nlri import Nlri
from rib.path import NextHop, Path
from tests.support.next_hops import ScriptedResolver
from tests.support.scripted_peer import (
    ScriptedPeer,
    a_withdrawal,
    an_open,
    an_update,
)
from tests.support.simnet import on_virtual_time
from tests.support.speakers import (
    ASN,
    PORT,
    Node,
    Rack,
    a_lone_node,
    some_nlris,
    unpaced,
    until,
)

BEGIN = encode_route_refresh(RouteRefresh(IPV4_UNICAST, RefreshSubtype.BEGIN))
END = encode_route_refresh(RouteRefresh(IPV4_UNICAST, RefreshSubtype.END))
MANY = some_nlris(5000)
MORE = some_nlris(9000)
KEPT = GracefulRestart(restart_time=60, families=((IPV4_UNICAST, True),))


def by_own_blocks(nlris: list[Nlri], first: int = 0, **options: str) -> bytes:
    """Return UPDATEs of one prefix each, none with the attributes of another."""
    return b"".join(
        an_update([nlri], f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}", **options)
        for n, nlri in enumerate(nlris, first)
    )


def alive(*kinds: type) -> int:
    gc.unfreeze()  # an event loop freezes what is in use, and the list leaves that out
    gc.collect()
    found = sum(isinstance(item, kinds) for item in gc.get_objects())
    gc.freeze()
    return found


async def everything_is_done(node: Node, peer: Peer) -> None:
    rib = peer.ribs_in[IPV4_UNICAST]
    await until(lambda: not node.speaker.work_queue and not rib.discarded)
    for _ in range(2):  # of two ages
        for _ in node.speaker.housekeeping.round(is_thorough=True):
            pass


async def a_session(
    node: Node, peer: ScriptedPeer, who: str, **capabilities: Any
) -> Peer:
    refresh: dict[str, Any] = {"has_route_refresh": True, "has_enhanced_refresh": True}
    await peer.establish(an_open(ASN, "10.0.0.9", **(refresh | capabilities)))
    await until(lambda: node.is_up(who))
    found = node.peer(who)
    await until(lambda: IPV4_UNICAST in found.imports.ended_families)
    return found


@pytest.mark.slow
@on_virtual_time
async def test_refreshes_that_are_begun_and_never_ended() -> None:
    async with (
        a_lone_node() as (node, who),
        ScriptedPeer(who, node.addr, PORT) as remote,
    ):
        unpaced(node)
        peer = await a_session(node, remote, who)
        source = peer.sources[IPV4_UNICAST]
        counts = []
        for _ in range(4):
            epoch = source.epoch
            remote.send(BEGIN + by_own_blocks(MANY))
            await until(
                lambda epoch=epoch: (
                    source.epoch > epoch  # type: ignore[misc]
                    and {p.epoch for p in node.table(IPV4_UNICAST).values()}
                    == {source.epoch}
                    and len(node.table(IPV4_UNICAST)) == len(MANY)
                )
            )
            await everything_is_done(node, peer)
            counts.append(alive(Path, PathAttributes))
        assert max(counts) - min(counts) <= 1000  # of many each time


@on_virtual_time
async def test_what_is_stale_for_long_goes_though_no_refresh_ends() -> None:
    kept, gone = MANY[:2]
    async with a_lone_node() as (node, who):
        node.speaker.context.stale_path_time = 0.2
        async with ScriptedPeer(who, node.addr, PORT) as remote:
            await a_session(node, remote, who)
            remote.send(END + an_update([kept, gone]))  # an end of nothing
            await until(lambda: len(node.table(IPV4_UNICAST)) == 2)
            remote.send(BEGIN + an_update([kept]))
            await until(lambda: list(node.table(IPV4_UNICAST)) == [kept])
            assert node.flaps(who) == 0


@pytest.mark.rfc("7313", "4", "MUST")
@on_virtual_time
async def test_a_refresh_before_end_of_rib_does_not_count() -> None:
    kept, gone = MANY[:2]
    async with (
        a_lone_node() as (node, who),
        ScriptedPeer(who, node.addr, PORT) as remote,
    ):
        remote.send(
            an_open(
                ASN,
                "10.0.0.9",
                has_route_refresh=True,
                has_enhanced_refresh=True,
                graceful_restart=KEPT,
            )
        )
        await remote.expect(MessageType.KEEPALIVE)
        remote.send(KEEPALIVE)
        await until(lambda: node.is_up(who))
        remote.send(an_update([kept, gone]) + BEGIN + an_update([kept]) + END)
        remote.send(an_update(MANY[2:3]))
        await until(lambda: len(node.table(IPV4_UNICAST)) == 3)


@pytest.mark.slow
@on_virtual_time
async def test_a_flapping_peer_whose_routes_are_filtered() -> None:
    async with a_lone_node() as (node, who):
        counts = []
        for _ in range(3):
            async with ScriptedPeer(who, node.addr, PORT) as remote:
                peer = await a_session(node, remote, who, graceful_restart=KEPT)
                rib = peer.ribs_in[IPV4_UNICAST]
                remote.send(by_own_blocks(MORE, as_path=str(ASN)))
                await until(lambda rib=rib: len(rib.filtered) == len(MORE))  # type: ignore[misc]
            await until(lambda: not node.is_up(who))
            await everything_is_done(node, peer)
            counts.append(alive(PathAttributes))
        assert max(counts) - min(counts) <= 1000  # of many each time


@pytest.mark.slow
@on_virtual_time
async def test_ever_new_attributes_and_next_hops() -> None:
    async with Rack() as rack:
        resolver = ScriptedResolver()
        released = resolver.released
        node, who = await rack.node(1, resolver=resolver), f"{rack.network}.9"
        node.accepts(f"{rack.network}.0/24")
        unpaced(node)
        before = alive(Path, NextHop)
        async with ScriptedPeer(who, node.addr, PORT) as remote:
            peer = await a_session(node, remote, who)
            for turn in range(6):
                remote.send(by_own_blocks(MANY[:1000], 1000 * turn))
                last = (10 << 24 | 1000 * turn + 999).to_bytes(4, "big")
                await until(_is_next_hop(node, MANY[999], last))
            await everything_is_done(node, peer)
            assert len(node.speaker.next_hops) <= 1002
            assert len(set(released)) >= 5000
            assert alive(Path, NextHop) <= before + 2010


def _is_next_hop(node: Node, nlri: Nlri, address: bytes) -> Callable[[], bool]:
    def holds() -> bool:
        entry = node.table(IPV4_UNICAST).get(nlri)
        return entry is not None and entry.next_hop.address == address

    return holds


@on_virtual_time
async def test_ever_new_path_identifiers() -> None:
    async with Rack() as rack:
        node, listener = await rack.node(1), await rack.node(2)
        both = listener.settings(node).families[:1]
        many = tuple(
            type(some)(some.family, add_path=type(some.add_path).BOTH) for some in both
        )
        who = f"{rack.network}.9"
        node.accepts(f"{rack.network}.9/32", families=many, is_client=True)
        node.peers_with(listener, families=many, is_client=True)
        listener.peers_with(node, families=many)
        await until(lambda: node.is_up(listener))
        async with ScriptedPeer(who, node.addr, PORT) as remote:
            way = ((IPV4_UNICAST, AddPathDirection.SEND),)
            await a_session(node, remote, who, add_path=way)
            ids = node.speaker.tables[IPV4_UNICAST]._membership.path_ids
            for turn in range(10):
                numbers = [(turn * 500 + n + 1).to_bytes(4, "big") for n in range(500)]
                pieces = [number + MANY[n] for n, number in enumerate(numbers)]
                remote.send(an_update(pieces))
                await until(lambda: len(listener.table(IPV4_UNICAST)) == 500)
                for at in range(0, 500, 250):
                    remote.send(a_withdrawal(b"".join(pieces[at : at + 250])))
                await until(lambda: not listener.table(IPV4_UNICAST))
            await until(lambda: not node.speaker.work_queue)
            assert len(ids) <= 1500
            assert ids._last <= 2000
