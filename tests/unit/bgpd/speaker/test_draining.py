"""Peers are taken out of service and put in again, without a session that is reset."""

import json
from typing import Final

import pytest

from bgpd.session.fsm import State
from bgpd.session.settings import NextHopMode
from bgpd.speaker import draining as module
from bgpd.speaker.drain_orders import (
    DrainOrder,
    DrainOrders,
    DrainOrigin,
    decode,
    encode,
)
from bgpd.speaker.draining import Draining, Use
from rib.attributes import PathAttributes, make_attributes
from rib.family import IPV4_UNICAST
from rib.nlri import format_prefix
from rib.path_set import members_of
from rib.policy import GRACEFUL_SHUTDOWN, Actions, Outcome, PolicySpec, Term
from tests.support.simnet import on_virtual_time
from tests.support.speakers import Node, Rack, until

EXTERNAL: Final = 65001
OPEN: Final = {"import_policy": "accept-all", "export_policy": "accept-all"}
PREFIX: Final = "10.1.0.0/16"
TEXT: Final = "new fans"


def communities(node: Node, prefix: str = PREFIX) -> tuple[int, ...]:
    best = node.best(prefix)
    return () if best is None else best.received.communities


def local_pref(node: Node, prefix: str = PREFIX) -> int | None:
    best = node.best(prefix)
    return None if best is None else best.attributes.local_pref


def heard_from(node: Node, other: Node, prefix: str = PREFIX) -> bool:
    best = node.best(prefix)
    return best is not None and best.source is node.peer(other).sources[IPV4_UNICAST]


async def gateways(rack: Rack) -> tuple[Node, Node, Node]:
    """Return two gateways of our AS, and a router of another one that both announce to."""
    one, two = await rack.node(1), await rack.node(2)
    outside = await rack.node(3, asn=EXTERNAL)
    for gateway in (one, two):
        gateway.peers_with(outside, **OPEN)
        outside.peers_with(gateway, **OPEN)
        gateway.announce(PREFIX)
    outside.announce("10.9.0.0/16")
    one.peers_with(two, next_hop=NextHopMode.SELF)
    two.peers_with(one, next_hop=NextHopMode.SELF)
    await until(lambda: outside.best(PREFIX) and one.is_up(two) and two.is_up(one))
    await until(lambda: one.best("10.9.0.0/16") and two.best("10.9.0.0/16"))
    return one, two, outside


@pytest.mark.rfc("8326", "4.2", "SHOULD")
@on_virtual_time
async def test_external_peers_get_the_community_and_internal_ones_local_pref_0() -> (
    None
):
    async with Rack() as rack:
        one, two, outside = await gateways(rack)
        await until(lambda: heard_from(outside, one))
        draining = Draining(one.speaker)
        draining.drain_all(DrainOrigin.COMMAND)
        await until(lambda: heard_from(outside, two))
        paths = outside.speaker.peers[one.addr].ribs_in[IPV4_UNICAST]
        assert paths.accepted_count
        # In our AS it is the last choice, too, where there was another one.
        from_one = two.peer(one).ribs_in[IPV4_UNICAST]
        await until(
            lambda: (
                {
                    path.attributes.local_pref
                    for entry in two.table(IPV4_UNICAST).values()
                    for path in members_of(entry)
                    if path.source is from_one.source
                }
                == {0}
            )
        )
        assert one.flaps(two) == one.flaps(outside) == 0
        draining.undrain_all(DrainOrigin.COMMAND)
        await until(lambda: heard_from(outside, one))
        await until(lambda: heard_from(one, outside, "10.9.0.0/16"))
        assert communities(outside) == ()
        assert one.flaps(two) == one.flaps(outside) == 0
        draining.close()


@on_virtual_time
async def test_policies_neither_hide_a_drain_nor_outweigh_it() -> None:
    heavy = Term("all", Outcome.ACCEPT, actions=Actions(weight=500, local_pref=300))
    async with Rack() as rack:
        one, two, outside = await gateways(rack)
        for node in (one, outside):
            node.speaker.policies.replace([PolicySpec("heavy", (heavy,))])
        one.speaker.neighbours.remove(outside.addr)
        outside.speaker.neighbours.remove(one.addr)
        one.peers_with(outside, import_policy="heavy", export_policy="heavy")
        outside.peers_with(one, import_policy="accept-all", export_policy="accept-all")
        await until(lambda: heard_from(one, outside, "10.9.0.0/16"))
        draining = Draining(one.speaker)
        draining.drain([one.peer(outside)], shuts=False)
        await until(lambda: heard_from(one, two, "10.9.0.0/16"))
        await until(lambda: heard_from(outside, two))
        draining.close()


@on_virtual_time
async def test_a_group_is_drained_as_a_whole_and_else_the_drained_ones_move() -> None:
    async with Rack() as rack:
        hub = await rack.node(1)
        ends = [await rack.node(number) for number in (2, 3, 4)]
        for end in ends:
            hub.peers_with(end, is_client=True)
            end.peers_with(hub)
        hub.announce(PREFIX)
        await until(lambda: all(end.best(PREFIX) for end in ends))
        tables = hub.speaker.tables[IPV4_UNICAST]
        (group,) = tables.groups.values()
        draining = Draining(hub.speaker)
        draining.drain([hub.peer(ends[0])], shuts=False)
        await until(lambda: local_pref(ends[0]) == 0)
        assert [local_pref(end) for end in ends[1:]] == [100, 100]
        assert len(tables.groups) == 2
        # The others join the group that is there.
        draining.drain([hub.peer(end) for end in ends], shuts=False)
        await until(lambda: all(local_pref(end) == 0 for end in ends))
        assert len(tables.groups) == 1
        draining.undrain([hub.peer(end) for end in ends])
        await until(lambda: all(local_pref(end) == 100 for end in ends))
        (after,) = tables.groups.values()
        # All at once: the group has another context, and the same members.
        draining.drain_all(DrainOrigin.COMMAND)
        await until(lambda: all(local_pref(end) == 0 for end in ends))
        assert [*tables.groups.values()] == [after]
        assert [context.is_drained for context in tables.groups] == [True]
        assert group is not after
        # One that comes meanwhile is drained from its first route on.
        late = await rack.node(5)
        hub.peers_with(late, is_client=True)
        late.peers_with(hub)
        await until(lambda: local_pref(late) == 0)
        assert [*tables.groups.values()] == [after]
        draining.close()


@on_virtual_time
async def test_undrain_leaves_what_was_advertised_before_to_the_octet() -> None:
    async with Rack() as rack:
        one, _, outside = await gateways(rack)
        one.announce(
            "10.5.0.0/16",
            attributes=make_attributes(
                next_hop=b"", communities=(0xFDE80001, GRACEFUL_SHUTDOWN)
            ),
        )
        one.announce(
            "10.6.0.0/16",
            attributes=make_attributes(next_hop=b"", communities=(0xFDE80001,)),
        )
        await until(lambda: outside.best("10.6.0.0/16"))

        def held() -> dict[str, PathAttributes]:
            source = outside.peer(one).sources[IPV4_UNICAST]
            return {
                format_prefix(nlri): path.received
                for nlri, entry in outside.table(IPV4_UNICAST).items()
                for path in members_of(entry)
                if path.source is source
            }

        def octets() -> dict[str, bytes]:
            return {prefix: each.octets for prefix, each in held().items()}

        before = octets()
        draining = Draining(one.speaker)
        draining.drain([one.peer(outside)], shuts=False)
        marked = (0xFDE80001, GRACEFUL_SHUTDOWN)
        await until(lambda: held()["10.6.0.0/16"].communities == marked)
        assert held()["10.5.0.0/16"].communities == marked
        draining.undrain([one.peer(outside)])
        await until(lambda: octets() == before)
        draining.close()


@pytest.mark.rfc("8326", "4.2", "SHOULD")
@on_virtual_time
async def test_sessions_end_with_the_text_once_all_has_moved() -> None:
    async with Rack() as rack:
        one, two, outside = await gateways(rack)
        draining = Draining(one.speaker)
        draining.drain([one.peer(outside)], TEXT, wait=60, shuts=True)
        (state,) = draining.states()
        assert (state.name, state.shuts, state.order.text) == ("draining", True, TEXT)
        began = one.speaker.loop.time()
        await until(lambda: not outside.is_up(one), 60)
        took = one.speaker.loop.time() - began
        assert module.SETTLE_TIME <= took < module.SETTLE_TIME + 3
        reason = outside.peer(one).driver.session.counters.last_reset
        assert TEXT in str(reason)
        assert heard_from(outside, two)
        assert heard_from(one, two, "10.9.0.0/16")
        (state,) = draining.states()
        assert (state.name, state.use) == ("shut down", Use(0, 0, is_sent=True))
        assert one.speaker.context.drains.is_shut(outside.addr)
        draining.undrain([one.peer(outside)])
        await until(lambda: outside.is_up(one))
        assert [*draining.states()] == []
        draining.close()


@on_virtual_time
async def test_time_ends_a_wait_that_nothing_else_would() -> None:
    async with Rack() as rack:
        one, two, outside = await gateways(rack)
        draining = Draining(one.speaker)
        # Its changes do not count as sent for as long as its socket is full.
        peer = one.peer(outside)
        peer.writing_paused()
        draining.drain([peer], wait=10, shuts=True)
        await until(lambda: peer.state is not State.ESTABLISHED, 30)
        assert peer.driver.session.counters.last_reset is not None
        assert one.is_up(two)
        draining.close()


@on_virtual_time
async def test_a_peer_that_was_shut_down_stays_down_in_the_next_run() -> None:
    async with Rack() as rack:
        one, two = await rack.node(1), await rack.node(2)
        mine = {"since": 1.5, "by": "command", "text": "x", "is_shut": True}
        peers = {two.addr: mine, "junk": {}, "::1": mine | {"since": "x"}}
        orders = decode(json.dumps({"format": 1, "all": [], "peers": peers}))
        assert orders is not None
        assert [*orders.peers] == [two.addr]
        one.speaker.context.drains.peers.update(orders.peers)
        one.peers_with(two)
        two.peers_with(one)
        draining = Draining(one.speaker)
        assert not one.peer(two).driver.session.is_started
        draining.undrain_all(DrainOrigin.COMMAND)
        await until(lambda: one.is_up(two))
        draining.close()


def test_orders_have_a_text() -> None:
    for text in (
        "",
        "{",
        "[]",
        '{"format": 2}',
        '{"format": 1, "all": [{}], "peers": {}}',
    ):
        assert decode(text) is None
    ending = DrainOrders({DrainOrigin.SHUTDOWN: DrainOrder(1.5, DrainOrigin.SHUTDOWN)})
    assert encode(DrainOrders()) == encode(ending) == ""
    marked = {DrainOrigin.NODE: DrainOrder(1.5, DrainOrigin.NODE)}
    orders = DrainOrders(marked, {"::1": DrainOrder(2.5, text="x", is_shut=True)})
    assert decode(encode(orders)) == orders
