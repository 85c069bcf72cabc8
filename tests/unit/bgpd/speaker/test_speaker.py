"""Two and more speakers, over loopback TCP on both event loops; on virtual time where it passes."""

from collections.abc import Iterable

from bgpd.session.negotiation import RestartState
from bgpd.session.settings import ChangeCost, NextHopMode
from bgpd.speaker.speaker import FAMILIES
from rib.attributes import make_attributes
from rib.family import IPV4_UNICAST
from rib.next_hops import Reachability
from rib.nlri import parse_address
from rib.path_set import Entry, best_of
from tests.support.simnet import advance, on_virtual_time, sim
from tests.support.speakers import (
    Rack,
    a_pair,
    on_both_loops,
    some_nlris,
    until,
)


@on_both_loops
async def test_routes_of_both_families_go_both_ways_and_are_withdrawn() -> None:
    async with Rack() as rack:
        a, b = await a_pair(rack)
        a.announce("10.1.0.0/24", "10.1.1.0/26", "2001:db8:1::/48")
        b.announce("10.2.0.0/24", "2001:db8:2::/48")
        everything = a.prefixes() | b.prefixes()
        await until(lambda: a.prefixes() == b.prefixes() == everything)
        path = b.best("10.1.0.0/24")
        assert path is not None
        assert path.next_hop.address == bytes(map(int, a.addr.split(".")))
        a.withdraw("10.1.0.0/24", "2001:db8:1::/48")
        left = {"10.1.1.0/26", "10.2.0.0/24", "2001:db8:2::/48"}
        await until(lambda: a.prefixes() == b.prefixes() == left)
        assert a.flaps(b) == b.flaps(a) == 0


@on_both_loops
async def test_both_connect_at_once_and_one_session_stands() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        for _ in range(5):
            a.peers_with(b)
            b.peers_with(a)
            await until(lambda: a.is_up(b) and b.is_up(a))
            a.speaker.neighbours.remove(b.addr)
            b.speaker.neighbours.remove(a.addr)


@on_virtual_time
async def test_a_passive_side_waits_to_be_called() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        a.peers_with(b, is_passive=True)
        await advance(600)
        assert a.peer(b).driver.session.counters.connect_attempts == 0
        b.peers_with(a)
        await until(lambda: a.is_up(b) and b.is_up(a))
        assert a.peer(b).driver.session.counters.connect_attempts == 0


@on_both_loops
async def test_routes_of_a_removed_peer_go_everywhere() -> None:
    async with Rack() as rack:
        reflector = await rack.node(1)
        clients = [await rack.node(n) for n in (2, 3, 4)]
        reflector.accepts(f"{rack.network}.0/24", is_client=True)
        for client in clients:
            client.peers_with(reflector)
            client.announce(f"10.{client.addr.rsplit('.', 1)[1]}.0.0/16")
        everything = {"10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16"}
        await until(lambda: all(c.prefixes() == everything for c in clients))
        reflected = clients[0].best("10.3.0.0/16")
        assert reflected is not None
        assert reflected.attributes.originator_id == 0x0A000003
        assert reflected.attributes.cluster_list == (0x0A000001,)
        clients[2].speaker.neighbours.remove(reflector.addr)
        await until(
            lambda: all(
                c.prefixes() == {"10.2.0.0/16", "10.3.0.0/16"} for c in clients[:2]
            )
        )
        await until(lambda: clients[2].addr not in reflector.speaker.peers)


@on_virtual_time
async def test_a_range_takes_no_more_than_its_limit() -> None:
    async with Rack() as rack:
        a, b, c = [await rack.node(n) for n in (1, 2, 3)]
        a.accepts(f"{rack.network}.0/24", limit=1)
        b.peers_with(a)
        await until(lambda: b.is_up(a))
        c.peers_with(a)
        await until(lambda: a.speaker.incoming.rejected_count)
        assert list(a.speaker.peers) == [b.addr]
        b.speaker.neighbours.remove(a.addr)
        await until(lambda: c.is_up(a), 15)
        assert list(a.speaker.peers) == [c.addr]


@on_virtual_time
async def test_a_dynamic_neighbour_that_lost_its_connection_comes_back() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        a.accepts(f"{rack.network}.0/24")
        b.speaker.context.restart = RestartState(preserved=frozenset(FAMILIES))
        b.peers_with(a)
        b.announce("10.2.0.0/16")
        await until(lambda: "10.2.0.0/16" in a.prefixes())
        sim().host(b.addr).reset_connections()
        await until(lambda: a.flaps(b) == 1)
        assert a.prefixes() == {"10.2.0.0/16"}  # RFC 4724: stale, and still there
        await until(lambda: a.is_up(b) and b.is_up(a))
        await until(lambda: not a.peer(b).stale_family_count)
        assert a.prefixes() == {"10.2.0.0/16"}


@on_virtual_time
async def test_a_dynamic_neighbour_is_forgotten_when_its_restart_time_is_over() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        a.accepts(f"{rack.network}.0/24")
        b.peers_with(a, graceful_restart_time=1)
        b.announce("10.2.0.0/16")
        await until(lambda: "10.2.0.0/16" in a.prefixes())
        await b.speaker.close(is_restart=True)
        await until(lambda: not a.is_up(b))
        assert a.prefixes() == {"10.2.0.0/16"}
        await until(lambda: not a.prefixes())
        await until(lambda: not a.speaker.peers)


@on_virtual_time
async def test_ebgp_without_policies_exchanges_nothing() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2, asn=64513)
        a.announce("10.1.0.0/16")
        b.announce("10.2.0.0/16")
        a.peers_with(b)
        b.peers_with(a)
        await until(lambda: len(a.peer(b).imports.ended_families) == 2)
        await until(lambda: len(b.peer(a).imports.ended_families) == 2)
        assert a.prefixes() == {"10.1.0.0/16"}
        assert b.prefixes() == {"10.2.0.0/16"}
        a.speaker.neighbours.remove(b.addr)
        a.peers_with(b, export_policy="accept-all")
        b.speaker.neighbours.change(
            b.settings(a, import_policy="accept-all"), ChangeCost.REFRESH
        )
        await until(lambda: b.prefixes() == {"10.1.0.0/16", "10.2.0.0/16"})
        path = b.best("10.1.0.0/16")
        assert path is not None
        assert path.attributes.as_path.contains(64512)
        assert a.prefixes() == {"10.1.0.0/16"}


@on_both_loops
async def test_our_own_originator_and_cluster_are_filtered() -> None:
    async with Rack() as rack:
        a, b = await a_pair(rack, is_client=True)
        looped = make_attributes(
            next_hop=b"\x0a\0\0\x09", originator_id=0x0A000002, cluster_list=(9,)
        )
        clustered = make_attributes(
            next_hop=b"\x0a\0\0\x09", originator_id=9, cluster_list=(0x0A000002,)
        )
        a.announce("10.1.0.0/16", attributes=looped)
        a.announce("10.2.0.0/16", attributes=clustered)
        a.announce("10.3.0.0/16")
        await until(lambda: "10.3.0.0/16" in b.prefixes())
        await until(lambda: b.peer(a).ribs_in[IPV4_UNICAST].received_count == 3)
        assert b.prefixes() == {"10.3.0.0/16"}


@on_both_loops
async def test_a_peer_has_its_own_cluster_id() -> None:
    async with Rack() as rack:
        a, b, c = [await rack.node(n) for n in (1, 2, 3)]
        a.peers_with(b, is_client=True, cluster_id="10.9.9.9")
        a.peers_with(c, is_client=True)
        b.peers_with(a)
        c.peers_with(a)
        b.announce("10.2.0.0/16")
        c.announce("10.3.0.0/16")
        await until(lambda: len(b.prefixes()) == len(c.prefixes()) == 2)
        to_b, to_c = b.best("10.3.0.0/16"), c.best("10.2.0.0/16")
        assert to_b is not None
        assert to_c is not None
        # Each side's cluster is named, so that either finds a loop.
        assert to_b.attributes.cluster_list == (0x0A090909, 0x0A000001)
        assert to_c.attributes.cluster_list == (0x0A000001, 0x0A090909)


@on_both_loops
async def test_next_hop_self_replaces_the_next_hop() -> None:
    async with Rack() as rack:
        a, b, c = [await rack.node(n) for n in (1, 2, 3)]
        a.peers_with(b, is_client=True)
        a.peers_with(c, is_client=True, next_hop=NextHopMode.SELF_ALL)
        b.peers_with(a)
        c.peers_with(a)
        b.announce("10.2.0.0/16")
        await until(lambda: c.best("10.2.0.0/16"))
        before = c.best("10.2.0.0/16")
        assert before is not None
        assert before.next_hop.address == bytes(map(int, a.addr.split(".")))
        # A change of what we advertise to the peer costs no session.
        a.speaker.neighbours.change(
            a.settings(c, is_client=True), ChangeCost.REFRESH, "next_hop"
        )
        wanted = bytes(map(int, b.addr.split(".")))
        await until(
            lambda: (path := c.best("10.2.0.0/16")) and path.next_hop.address == wanted
        )
        assert a.flaps(c) == 0


@on_both_loops
async def test_a_lost_next_hop_takes_every_prefix_of_a_large_table_along() -> None:
    async with Rack() as rack:
        node = await rack.node(1, listens=False)
        lost, kept = parse_address("10.9.9.9"), parse_address("10.9.9.8")
        for hop, base in ((lost, 10 << 24), (kept, 11 << 24)):
            attributes = make_attributes(next_hop=hop)
            node.speaker.local_routes.originate(
                IPV4_UNICAST, some_nlris(20_000, base), attributes
            )
        table = node.table(IPV4_UNICAST)
        node.speaker.next_hops_changed([Reachability(lost, is_reachable=False)])
        await until(lambda: count_usable(table.values()) == 20_000)
        node.speaker.next_hops_changed([Reachability(lost, is_reachable=True)])
        await until(lambda: count_usable(table.values()) == 40_000)


def count_usable(entries: Iterable[Entry]) -> int:
    return sum(best_of(entry) is not None for entry in entries)
