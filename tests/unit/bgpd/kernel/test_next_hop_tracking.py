"""How next hops are reached when one of our static routes leads to some of them."""

from dataclasses import replace
from typing import cast

from bgpd.kernel.next_hop_tracking import NextHopTracker
from fib.kernel_view import KernelView
from fib.next_hop_state import NextHopState
from fib.routes import Hop
from rib.nlri import parse_address
from rib.zones import scoped

PEER, OTHER, GATEWAY, SECOND = (bytes((192, 0, 2, n)) for n in (1, 2, 254, 253))


class Watch:
    """A kernel with scripted answers; counts which addresses are watched."""

    def __init__(self, ways: NextHopTracker) -> None:
        self.states: dict[bytes, NextHopState] = {}
        self.watched: list[bytes] = []
        ways._watch = self  # type: ignore[assignment]  # asked for four methods

    def watch(self, address: bytes) -> NextHopState:
        self.watched.append(address)
        return self.states.get(address, NextHopState(address))

    def unwatch(self, address: bytes) -> None:
        self.watched.remove(address)


def direct(address: bytes, device: str = "eth0") -> NextHopState:
    hops = (Hop(address, device),)
    return NextHopState(address, device, is_reachable=True, gateway=address, hops=hops)


class Told:
    def __init__(self) -> None:
        self.states: list[NextHopState] = []
        self.moved: list[bytes] = []

    def __call__(self, states: list[NextHopState], moved: list[bytes]) -> None:
        self.states, self.moved = states, moved


def a_world() -> tuple[NextHopTracker, Watch, Told]:
    told = Told()
    ways = NextHopTracker()
    ways._deliver = told
    watch = Watch(ways)
    watch.states = {address: direct(address) for address in (GATEWAY, SECOND, OTHER)}
    return ways, watch, told


def test_a_peer_behind_a_gateway_is_reached_as_the_gateway_is() -> None:
    ways, watch, _ = a_world()
    ways.reach_through({PEER: GATEWAY})
    state = ways.track(PEER)
    assert state.address == PEER
    assert state.hops == (Hop(GATEWAY, "eth0"),)
    assert ways.states == {PEER: state}
    assert watch.watched == [GATEWAY]
    ways.release(PEER)
    assert watch.watched == []
    assert ways.states == {}


def test_another_gateway_moves_what_goes_through_it() -> None:
    ways, watch, told = a_world()
    ways.reach_through({PEER: GATEWAY})
    ways.track(PEER)
    ways.track(OTHER)
    ways.reach_through({PEER: SECOND})
    assert told.moved == [PEER]
    assert ways.states[PEER].hops == (Hop(SECOND, "eth0"),)
    assert sorted(watch.watched) == sorted([OTHER, SECOND])
    ways.reach_through({})
    assert [state.address for state in told.states] == [PEER]
    assert not ways.states[PEER].is_reachable


def test_news_of_a_gateway_are_news_of_everybody_behind_it() -> None:
    ways, _, told = a_world()
    ways.reach_through({PEER: GATEWAY})
    for address in (PEER, GATEWAY, OTHER):
        ways.track(address)
    ways._changed([direct(GATEWAY, "eth1")])
    assert {state.address for state in told.states} == {PEER, GATEWAY}
    assert set(told.moved) == {PEER, GATEWAY}
    assert ways.states[PEER].hops == (Hop(GATEWAY, "eth1"),)
    assert ways.states[OTHER].hops == (Hop(OTHER, "eth0"),)


GLOBAL, LINK_LOCAL = parse_address("2001:db8::1"), parse_address("fe80::1")
PAIR, ALONE = (scoped(field, "eth0") for field in (GLOBAL + LINK_LOCAL, LINK_LOCAL))


def test_our_gateway_leads_to_a_pair_by_its_global_address() -> None:
    ways, watch, _ = a_world()
    ways.reach_through({GLOBAL: GATEWAY})
    assert ways.track(PAIR).hops == (Hop(GATEWAY, "eth0"),)
    ways.reach_through({})
    assert watch.watched == [PAIR]
    assert ways.gateway_of(ALONE) == ALONE


def test_equal_link_local_addresses_on_two_links_are_two_ways() -> None:
    ways, watch, _ = a_world()
    keys = [scoped(LINK_LOCAL, device) for device in ("eth0", "eth1")]
    watch.states = {
        key: replace(direct(LINK_LOCAL, device), address=key)
        for key, device in zip(keys, ("eth0", "eth1"), strict=True)
    }
    hops = [ways.track(key).hops for key in keys]
    assert hops == [(Hop(LINK_LOCAL, "eth0"),), (Hop(LINK_LOCAL, "eth1"),)]
    ways._changed([NextHopState(keys[0])])
    assert not ways.states[keys[0]].is_reachable
    assert ways.states[keys[1]].is_reachable


def test_a_tracker_that_watches_nothing_believes_every_next_hop() -> None:
    ways = NextHopTracker()
    assert ways.track(PEER).is_reachable
    ways.release(PEER)
    ways.close()
    assert cast("KernelView | None", ways._watch) is None
