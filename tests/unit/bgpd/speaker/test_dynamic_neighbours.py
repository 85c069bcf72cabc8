"""After a restart, neighbours of ranges that were up are connected to."""

import asyncio
from typing import Any

from bgpd.session.gr_restarting_speaker import DeferralLimits
from bgpd.speaker.dynamic_neighbours import reconnect
from bgpd.speaker.remembered_peers import RememberedPeer, RememberedPeers
from bgpd.speaker.selection_deferral import SelectionDeferral
from bgpd.speaker.speaker import FAMILIES
from tests.support.simnet import advance, on_virtual_time
from tests.support.speakers import ASN, Node, Rack, until

BOTH = frozenset(FAMILIES)
CAPS = DeferralLimits(60, 118, 120)


def was_up(
    reflector: Node,
    *addresses: str,
    age: float = 0.0,
    seconds: int = 120,
    asn: int = ASN,
) -> RememberedPeers:
    members = {
        who: RememberedPeer(who, "range", reflector.addr, asn, asn, BOTH, seconds)
        for who in addresses
    }
    return RememberedPeers(members, age=age)


def restarts(
    reflector: Node, remembered: RememberedPeers, **how: Any
) -> SelectionDeferral:
    deferral = SelectionDeferral(reflector.speaker, CAPS, remembered=remembered, **how)
    deferral.peers_are_known()
    return deferral


def has_ended(node: Node, other: Node) -> bool:
    return node.peer(other).imports.ended_families == BOTH


@on_virtual_time
async def test_a_passive_peer_is_connected_to_from_the_address_it_knows() -> None:
    async with Rack() as rack:
        reflector, a, b = [await rack.node(n) for n in (1, 2, 3)]
        reflector.accepts(f"{rack.network}.0/24", is_client=True)
        deferral = restarts(reflector, was_up(reflector, a.addr, b.addr))
        for node in (a, b):
            node.peers_with(reflector, is_passive=True)
            node.announce(f"10.{node.number}.0.0/16")
        await until(lambda: has_ended(a, reflector) and has_ended(b, reflector))
        assert a.prefixes() == b.prefixes() == {"10.2.0.0/16", "10.3.0.0/16"}
        assert deferral.progress is None
        assert reflector.peer(a).range_name == "range"
        assert not reflector.peer(a).driver.session.is_sought


@on_virtual_time
async def test_peers_that_connect_at_the_same_time_have_one_session() -> None:
    async with Rack() as rack:
        reflector, *clients = [await rack.node(n) for n in range(1, 6)]
        reflector.accepts(f"{rack.network}.0/24", is_client=True)
        addresses = [client.addr for client in clients]
        restarts(reflector, was_up(reflector, *addresses))
        await until(lambda: set(addresses) <= set(reflector.speaker.peers))
        for client in clients:
            client.peers_with(reflector)
        await until(lambda: all(has_ended(c, reflector) for c in clients))
        assert sum(client.flaps(reflector) for client in clients) == 0


@on_virtual_time
async def test_one_that_does_not_come_holds_up_the_end_until_it_is_forgotten() -> None:
    async with Rack() as rack:
        reflector, a = await rack.node(1), await rack.node(2)
        gone = f"{rack.network}.9"
        reflector.accepts(f"{rack.network}.0/24", is_client=True)
        remembered = was_up(reflector, a.addr, gone, seconds=120, age=114.0)
        deferral = restarts(reflector, remembered, window=0.3)
        a.peers_with(reflector)
        a.announce("10.2.0.0/16")
        await until(lambda: gone in reflector.speaker.peers)
        report = deferral.report
        assert report is not None
        await until(lambda: reflector.is_up(a) and has_ended(reflector, a))
        await until(lambda: deferral.report and list(deferral.report.awaited) == [gone])
        assert not a.peer(reflector).imports.ended_families
        await until(lambda: has_ended(a, reflector))
        await until(lambda: list(reflector.speaker.peers) == [a.addr])
        assert reflector.speaker.neighbours.range_sizes["range"] == 1


@on_virtual_time
async def test_a_peer_that_has_changed_is_not_connected_to() -> None:
    async with Rack() as rack:
        reflector, other, configured = [await rack.node(n) for n in (1, 2, 3)]
        reflector.accepts(f"{rack.network}.0/24", limit=2, is_client=True)
        reflector.peers_with(configured)

        def run(remembered: RememberedPeers) -> set[str]:
            now = asyncio.get_running_loop().time()
            for _ in reconnect(
                reflector.speaker.neighbours, remembered, now, lambda: None
            ):
                pass
            return set(reflector.speaker.peers) - {configured.addr}

        outside = was_up(reflector, "192.0.2.1")
        assert run(outside) == set(), "no range has it any more"
        assert run(was_up(reflector, other.addr, asn=ASN + 1)) == set(), "another AS"
        assert run(was_up(reflector, configured.addr)) == set(), "it is configured now"
        many = was_up(reflector, *(f"{rack.network}.{n}" for n in range(20, 30)))
        assert len(run(many)) == 2, "the range has its limit"


@on_virtual_time
async def test_a_passive_range_waits_for_peers_that_were_up_and_does_not_connect() -> (
    None
):
    async with Rack() as rack:
        reflector, a = await rack.node(1), await rack.node(2)
        reflector.accepts(f"{rack.network}.0/24", is_client=True, is_passive=True)
        deferral = restarts(reflector, was_up(reflector, a.addr))
        await until(lambda: a.addr in reflector.speaker.peers)
        session = reflector.peer(a).driver.session
        assert session.counters.connect_attempts == 0
        await until(lambda: deferral.report and a.addr in deferral.report.awaited)
        a.peers_with(reflector)
        await until(lambda: has_ended(a, reflector))


@on_virtual_time
async def test_a_peer_that_is_not_back_gives_way_to_one_that_connects() -> None:
    async with Rack() as rack:
        reflector, a, b = [await rack.node(n) for n in (1, 2, 3)]
        reflector.accepts(f"{rack.network}.0/24", limit=1, is_client=True)
        restarts(reflector, was_up(reflector, f"{rack.network}.9"))
        await until(lambda: reflector.speaker.peers)
        a.peers_with(reflector)
        await until(lambda: reflector.is_up(a))
        assert list(reflector.speaker.peers) == [a.addr]
        b.peers_with(reflector)  # who is up does not give way
        await until(lambda: b.peer(reflector).driver.session.counters.last_down)
        assert list(reflector.speaker.peers) == [a.addr]


@on_virtual_time
async def test_one_that_was_found_is_a_neighbour_like_any_other_afterwards() -> None:
    async with Rack() as rack:
        reflector, a = await rack.node(1), await rack.node(2)
        reflector.accepts(f"{rack.network}.0/24", is_client=True)
        remembered = was_up(reflector, a.addr, seconds=62, age=58.0)
        restarts(reflector, remembered)
        a.peers_with(reflector, is_passive=True, has_graceful_restart=False)
        await until(lambda: reflector.is_up(a))
        await advance(4.2)  # past the time for which it was sought
        assert reflector.is_up(a)
        a.speaker.neighbours.remove(reflector.addr)
        await until(lambda: not reflector.speaker.peers)


@on_virtual_time
async def test_the_more_are_sought_the_longer_are_the_pauses_between_attempts() -> None:
    async with Rack() as rack:
        reflector = await rack.node(1)
        reflector.accepts(f"{rack.network}.2/32", is_client=True)
        elsewhere = (f"192.0.{n >> 8}.{n & 255}" for n in range(4000))
        many = was_up(reflector, f"{rack.network}.2", *elsewhere)
        now = asyncio.get_running_loop().time()
        for _ in reconnect(reflector.speaker.neighbours, many, now, lambda: None):
            pass
        (peer,) = reflector.speaker.peers.values()
        assert peer.settings.connect_retry_time == 4001 // 100


@on_virtual_time
async def test_thousands_are_connected_to_one_a_step() -> None:
    async with Rack() as rack:
        reflector = await rack.node(1)
        reflector.accepts(f"{rack.network}.0/24", limit=4000, is_client=True)
        many = was_up(reflector, *(f"{rack.network}.{n}" for n in range(2, 200)))
        done: list[int] = []
        now = asyncio.get_running_loop().time()
        steps = reconnect(
            reflector.speaker.neighbours, many, now, lambda: done.append(1)
        )
        for number, _ in enumerate(steps, 1):
            assert len(reflector.speaker.peers) == number
        assert done == [1]
