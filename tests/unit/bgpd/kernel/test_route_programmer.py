"""What the kernel gets for each entry of Loc-RIB."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from bgpd.config.settings import FibSettings
from bgpd.kernel.route_programmer import RouteProgrammer
from bgpd.pipeline.local_sources import plain_sources
from fib.kernel_policy import KernelPolicy
from fib.next_hop_state import NextHopState
from fib.routes import Hop, Target, TargetKind
from rib.attributes import make_attributes
from rib.decision import DecisionOptions
from rib.family import IPV4_UNICAST, Family
from rib.loc_rib import LocRib
from rib.next_hops import NextHopTable, TrustingResolver
from rib.nlri import Nlri, parse_address
from rib.path import Path, Source, SourceKind
from rib.policy import Actions, Match, Operator, Outcome, PolicySpec, Term, prefix_match
from tests.support.routes import a_path, a_source, nlris, some_attributes

GATEWAY, OTHER = parse_address("192.0.2.1"), parse_address("192.0.2.2")


class Table:
    """What was submitted, as a kernel would have it."""

    def __init__(self) -> None:
        self.routes: dict[Nlri, Target] = {}
        self.batches = 0
        self.found: set[Nlri] = set()
        self.moves: list[tuple[Target, Target]] = []

    def stale(self, _family: Family) -> set[Nlri]:
        return self.found

    def submit(
        self, _family: Family, given: Iterable[Nlri], target: Target | None
    ) -> None:
        self.batches += 1
        for nlri in given:
            if target is None:
                self.routes.pop(nlri, None)
            else:
                self.routes[nlri] = target

    def retarget(self, _family: Family, old: Target, new: Target) -> None:
        self.moves.append((old, new))
        self.routes = {n: new if t == old else t for n, t in self.routes.items()}


class Feed:
    def __init__(self, metric: int = 0) -> None:
        self.table = Table()
        self.ways: dict[bytes, NextHopState] = {}
        self.origins = plain_sources()
        self.blocks = self.origins.blocks
        self.loc_rib = LocRib(IPV4_UNICAST, DecisionOptions(max_ecmp=8))
        self.feed = RouteProgrammer(
            self.table,  # type: ignore[arg-type]  # submit is all that is asked of it
            IPV4_UNICAST,
            FibSettings(metric=metric),
            self.ways,
            self.origins,
        )

    def announce(self, path: Path, *prefixes: str) -> None:
        self.feed.changed(self.loc_rib.announce(nlris(*prefixes), path))

    def withdraw(self, source: Source, *prefixes: str) -> None:
        self.feed.changed(self.loc_rib.withdraw(nlris(*prefixes), source))

    def routes(self) -> dict[Nlri, Target]:
        return self.table.routes

    def reach(self, *states: NextHopState) -> None:
        self.ways.update({state.address: state for state in states})
        addresses = [state.address for state in states]
        for _ in self.feed.ways_changed(self.loc_rib, addresses):
            pass


def way(address: bytes, *hops: Hop) -> NextHopState:
    return NextHopState(address, is_reachable=bool(hops), hops=hops)


def test_a_learned_route_leads_to_its_next_hop_until_it_is_withdrawn() -> None:
    feed, source = Feed(metric=7), a_source()
    feed.announce(a_path(source=source), "10.1.0.0/16", "10.2.0.0/16")
    wanted = Target(TargetKind.UNICAST, (Hop(GATEWAY),), metric=7)
    first, second = nlris("10.1.0.0/16", "10.2.0.0/16")
    assert feed.routes() == {first: wanted, second: wanted}
    assert feed.routes()[first] is feed.routes()[second]
    assert feed.table.batches == 1
    feed.withdraw(source, "10.1.0.0/16")
    assert list(feed.routes()) == [second]


def test_own_blocks_are_blackholes_and_own_networks_are_nothing() -> None:
    feed = Feed()
    local = Source("networks", SourceKind.LOCAL, weight=32768)
    feed.announce(a_path(source=feed.blocks), "10.1.0.0/26")
    feed.announce(a_path(source=local), "10.2.0.0/26")
    (block,) = nlris("10.1.0.0/26")
    assert feed.routes() == {block: Target(TargetKind.BLACKHOLE)}


def test_the_kernel_s_own_routes_are_not_given_back() -> None:
    feed, peer = Feed(), a_source()
    kernel = Source("kernel", SourceKind.KERNEL, weight=32768)
    feed.announce(a_path(source=peer), "10.1.0.0/16")
    feed.announce(a_path(source=kernel), "10.1.0.0/16")
    assert not feed.routes()
    feed.withdraw(kernel, "10.1.0.0/16")
    assert len(feed.routes()) == 1


def test_equal_paths_are_one_route_with_several_hops() -> None:
    feed = Feed()
    for number, hop in ((1, "192.0.2.1"), (2, "192.0.2.2"), (3, "192.0.2.1")):
        source = a_source(f"p{number}", address=f"192.0.2.{number}", router_id=number)
        feed.announce(
            a_path(some_attributes(next_hop=hop), source=source), "10.0.0.0/8"
        )
    (target,) = feed.routes().values()
    assert set(target.hops) == {Hop(GATEWAY), Hop(OTHER)}
    assert len(target.hops) == 2


def test_what_resolves_through_our_route_moves_without_what_goes_the_same_way() -> None:
    """The gateway's own routes stay when a loopback behind it moves to another one."""
    feed, source = Feed(), a_source()
    loopback = parse_address("198.51.100.1")
    there, here = Hop(GATEWAY, "eth0"), Hop(OTHER, "eth1")
    through = ((1, nlris("198.51.100.1/32")[0]),)
    feed.reach(way(GATEWAY, there), way(OTHER, here))
    feed.reach(replace(way(loopback, there), through=through))
    feed.announce(a_path(source=source), "10.1.0.0/16")
    behind = a_path(some_attributes(next_hop="198.51.100.1"), source=a_source("p2"))
    feed.announce(behind, "10.2.0.0/16", "10.3.0.0/16")
    near, *far = nlris("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
    before = feed.routes()[far[0]]
    assert before.hops == feed.routes()[near].hops == (there,)
    assert before != feed.routes()[near]
    batches = feed.table.batches
    feed.reach(replace(way(loopback, here), through=through))
    assert feed.table.batches == batches
    assert feed.table.moves == [(before, feed.routes()[far[0]])]
    assert feed.routes()[near].hops == (there,)
    assert {feed.routes()[each].hops for each in far} == {(here,)}
    # Without our own route it leads where others do, and shares what they have.
    feed.reach(way(loopback, there))
    assert feed.routes()[far[0]] == feed.routes()[near]


def test_a_next_hop_that_is_reached_another_way_moves_its_routes_alone() -> None:
    feed = Feed()
    feed.ways[GATEWAY] = way(GATEWAY, Hop(GATEWAY, "eth0"))
    feed.announce(a_path(source=a_source("a")), "10.1.0.0/16")
    feed.announce(
        a_path(some_attributes(next_hop="192.0.2.2"), source=a_source("b")),
        "10.2.0.0/16",
    )
    batches = feed.table.batches
    feed.reach(way(GATEWAY, Hop(OTHER, "eth1")))
    moved, kept = nlris("10.1.0.0/16", "10.2.0.0/16")
    assert feed.routes()[moved].hops == (Hop(OTHER, "eth1"),)
    assert feed.routes()[kept].hops == (Hop(OTHER),)
    assert feed.table.batches == batches
    assert len(feed.table.moves) == 1


def two_next_hops(feed: Feed) -> tuple[Nlri, Nlri]:
    for name, hop, prefix in (
        ("a", "192.0.2.1", "10.1.0.0/16"),
        ("b", "192.0.2.2", "10.2.0.0/16"),
    ):
        path = a_path(some_attributes(next_hop=hop), source=a_source(name))
        feed.announce(path, prefix)
    first, second = nlris("10.1.0.0/16", "10.2.0.0/16")
    return first, second


SOUTH, NORTH = Hop(parse_address("10.0.0.1"), "s"), Hop(parse_address("10.0.0.2"), "n")


def test_next_hops_that_part_are_submitted_again() -> None:
    feed = Feed()
    feed.ways.update({a: way(a, SOUTH) for a in (GATEWAY, OTHER)})
    first, second = two_next_hops(feed)
    feed.reach(way(GATEWAY, NORTH))
    assert not feed.table.moves
    assert feed.routes()[first].hops == (NORTH,)
    assert feed.routes()[second].hops == (SOUTH,)
    feed.reach(way(GATEWAY, SOUTH))  # and meet again
    assert feed.routes()[first] == feed.routes()[second]
    feed.reach(way(GATEWAY, NORTH), way(OTHER, NORTH))
    assert {target.hops for target in feed.routes().values()} == {(NORTH,)}
    assert len(feed.table.moves) == 2


def test_next_hops_that_swap_their_ways_are_not_mixed_up() -> None:
    feed = Feed()
    feed.ways.update({GATEWAY: way(GATEWAY, SOUTH), OTHER: way(OTHER, NORTH)})
    first, second = two_next_hops(feed)
    feed.reach(way(GATEWAY, NORTH), way(OTHER, SOUTH))
    assert feed.routes()[first].hops == (NORTH,)
    assert feed.routes()[second].hops == (SOUTH,)


def test_a_next_hop_no_longer_watched_does_not_hold_others_back() -> None:
    feed = Feed()
    feed.ways.update({a: way(a, SOUTH) for a in (GATEWAY, OTHER)})
    first, _ = two_next_hops(feed)
    feed.withdraw(a_source("b"), "10.2.0.0/16")
    del feed.ways[OTHER]
    feed.reach(way(GATEWAY, NORTH))
    assert feed.routes()[first].hops == (NORTH,)
    assert len(feed.table.moves) == 1


def test_a_next_hop_that_gets_a_way_only_now_brings_its_prefixes() -> None:
    feed = Feed()
    feed.ways.update({GATEWAY: way(GATEWAY), OTHER: way(OTHER, NORTH)})
    first, second = two_next_hops(feed)
    assert list(feed.routes()) == [second]
    feed.reach(way(GATEWAY, SOUTH))
    assert feed.routes()[first].hops == (SOUTH,)


@pytest.mark.rfc("4724", "4.1", "MUST")
def test_what_an_earlier_run_left_is_neither_replaced_nor_removed_before_its_time() -> (
    None
):
    feed, early, late = Feed(), a_source("a"), a_source("b")
    left, fresh = nlris("10.1.0.0/16", "10.2.0.0/16")
    feed.table.found = {left}
    feed.feed.hold()
    worse = some_attributes(next_hop="192.0.2.2", local_pref=50)
    feed.announce(a_path(worse, source=early), "10.1.0.0/16", "10.2.0.0/16")
    assert list(feed.routes()) == [fresh], "no route is there that could be kept"
    feed.withdraw(early, "10.1.0.0/16")
    assert list(feed.routes()) == [fresh]
    feed.announce(a_path(source=late), "10.1.0.0/16")
    feed.reach(way(GATEWAY, Hop(GATEWAY, "eth0")))
    assert list(feed.routes()) == [fresh]
    feed.feed.release(feed.loc_rib)
    assert feed.routes()[left].hops == (Hop(GATEWAY, "eth0"),)
    feed.withdraw(late, "10.1.0.0/16")
    assert list(feed.routes()) == [fresh]


def test_own_blocks_do_not_wait_for_peers() -> None:
    feed = Feed()
    (block,) = nlris("10.1.0.0/26")
    feed.table.found = {block}
    feed.feed.hold()
    feed.announce(a_path(source=feed.blocks), "10.1.0.0/26")
    assert feed.routes() == {block: Target(TargetKind.BLACKHOLE)}


POOL = prefix_match(Operator.IN, "10.1.0.0/16")
TUNNEL = Term("pool", Outcome.ACCEPT, Match(prefixes=POOL), Actions(device="tunl0"))


def kernel_policy(*terms: Term, normal: int | None = None) -> KernelPolicy:
    return KernelPolicy(PolicySpec("k", terms, accepts_unmatched=True), normal)


def follow(feed: Feed, policy: KernelPolicy) -> None:
    for _ in feed.feed.set_policy(policy, feed.loc_rib):
        pass


def test_a_kernel_policy_sends_some_prefixes_of_a_path_through_a_tunnel() -> None:
    feed = Feed()
    feed.announce(a_path(source=a_source()), "10.1.0.0/26", "10.2.0.0/26")
    inside, outside = nlris("10.1.0.0/26", "10.2.0.0/26")
    follow(feed, kernel_policy(TUNNEL, normal=1024))
    tunnel = Hop(GATEWAY, "tunl0", is_onlink=True)
    assert feed.routes()[inside] == Target(hops=(tunnel,), metric=1024)
    assert feed.routes()[outside] == Target(hops=(Hop(GATEWAY),), metric=1024)
    follow(feed, KernelPolicy())
    assert feed.routes()[inside] == Target(hops=(Hop(GATEWAY),))


def test_what_the_kernel_policy_rejects_leaves_the_kernel() -> None:
    feed = Feed()
    feed.announce(a_path(source=a_source()), "10.1.0.0/26", "10.2.0.0/26")
    feed.announce(a_path(source=feed.blocks), "10.1.9.0/26")
    follow(feed, kernel_policy(Term("pool", Outcome.REJECT, Match(prefixes=POOL))))
    assert list(feed.routes()) == nlris("10.2.0.0/26")
    feed.announce(a_path(source=a_source("late")), "10.1.3.0/26")
    assert list(feed.routes()) == nlris("10.2.0.0/26")
    follow(feed, KernelPolicy())
    assert len(feed.routes()) == 4


def test_each_way_of_an_ecmp_route_has_its_own_fate() -> None:
    feed = Feed()
    near = prefix_match(Operator.IN, "192.0.2.1/32")
    plain = Term("near", Outcome.ACCEPT, Match(prefixes=POOL, next_hops=near))
    follow(feed, kernel_policy(plain, TUNNEL))
    for number in (1, 2):
        hop = f"192.0.2.{number}"
        source = a_source(f"p{number}", address=hop, router_id=number)
        feed.announce(
            a_path(some_attributes(next_hop=hop), source=source), "10.1.0.0/26"
        )
    (target,) = feed.routes().values()
    assert set(target.hops) == {Hop(GATEWAY), Hop(OTHER, "tunl0", is_onlink=True)}


def test_a_next_hop_that_turns_out_to_be_a_workload_leaves_the_tunnel() -> None:
    feed = Feed()
    near = Term("workload", Outcome.ACCEPT, Match(interface="cali*"))
    follow(feed, kernel_policy(near, TUNNEL))
    path = a_path(source=a_source())
    feed.announce(path, "10.1.0.0/26")
    feed.announce(a_path(source=feed.origins.gateways), "10.1.9.0/26")
    (nlri,) = nlris("10.1.0.0/26")
    assert feed.routes()[nlri].hops == (Hop(GATEWAY, "tunl0", is_onlink=True),)

    def reach_by(device: str) -> None:
        feed.reach(way(GATEWAY, Hop(GATEWAY, device)))
        path.next_hop.interface = device
        for _ in feed.feed.devices_changed(feed.loc_rib, [GATEWAY]):
            pass

    reach_by("cali1")
    assert feed.routes()[nlri].hops == (Hop(GATEWAY, "cali1"),)
    reach_by("eth0")
    assert feed.routes()[nlri].hops == (Hop(GATEWAY, "tunl0", is_onlink=True),)
    batches = feed.table.batches
    follow(feed, kernel_policy(TUNNEL))
    batches = feed.table.batches
    reach_by("cali1")  # the policy has no such condition, so nothing is evaluated again
    assert feed.table.batches == batches


def test_what_a_speaker_on_this_machine_tells_of_itself_is_not_written() -> None:
    feed = Feed()
    local = a_source("local", address="192.0.2.3", router_id=3)
    ends_here = some_attributes().with_changes({}, next_hop=b"")
    feed.announce(a_path(ends_here, source=local), "10.1.0.0/26")
    assert feed.routes() == {}
    # Not by another way of equal cost either: what is for it ends here.
    far = a_source("far", address="192.0.2.9", router_id=9)
    feed.announce(a_path(source=far), "10.1.0.0/26")
    assert feed.routes() == {}
    feed.withdraw(local, "10.1.0.0/26")
    assert len(feed.routes()) == 1
    feed.announce(a_path(ends_here, source=local), "10.1.0.0/26")
    assert feed.routes() == {}


def test_a_static_route_through_a_gateway_is_written() -> None:
    feed = Feed()
    feed.ways[GATEWAY] = way(GATEWAY, Hop(GATEWAY, "eth0"))
    feed.announce(a_path(source=feed.origins.gateways), "198.51.100.1/32")
    (target,) = feed.routes().values()
    assert target == Target(hops=(Hop(GATEWAY, "eth0"),))


def test_the_same_policy_again_changes_nothing() -> None:
    feed = Feed()
    follow(feed, kernel_policy(TUNNEL))
    feed.announce(a_path(source=a_source()), "10.1.0.0/26")
    batches = feed.table.batches
    follow(feed, kernel_policy(TUNNEL))
    assert feed.table.batches == batches


# -- what is foreseen -------------------------------------------------------------------

THIRD = parse_address("192.0.2.3")


def from_gateway(number: int, *, local_pref: int = 100) -> Path:
    """Return a path of the gateway of that number, which is its own next hop."""
    hop = f"192.0.2.{number}"
    source = a_source(f"p{number}", address=hop, router_id=number)
    return a_path(some_attributes(next_hop=hop, local_pref=local_pref), source=source)


def lose(feed: Feed, source: Source) -> list[tuple[Target, Target]]:
    """Lose a session; return the moves that came first."""
    source.epoch += 1
    after = feed.loc_rib.predict_sweep(source)
    assert after is not None
    feed.feed.predict(after)
    moves, predicted = [*feed.table.moves], feed.routes()
    everything = [*feed.loc_rib.table]
    feed.feed.changed(feed.loc_rib.sweep_stale(everything, source))
    if moves:
        assert feed.routes() == predicted  # nothing was left to be done
    return moves


def test_a_lost_gateway_s_routes_move_before_each_is_decided_again() -> None:
    feed, best = Feed(), from_gateway(1, local_pref=200)
    feed.announce(best, "10.1.0.0/26", "10.2.0.0/26")
    feed.announce(from_gateway(2), "10.1.0.0/26", "10.2.0.0/26", "10.3.0.0/26")
    assert lose(feed, best.source) == [
        (Target(hops=(Hop(GATEWAY),)), Target(hops=(Hop(OTHER),)))
    ]
    assert {target.hops for target in feed.routes().values()} == {(Hop(OTHER),)}


def test_a_group_that_loses_a_member_shrinks() -> None:
    feed, lost = Feed(), from_gateway(1)
    for path in (lost, from_gateway(2)):
        feed.announce(path, "10.1.0.0/26", "10.2.0.0/26")
    ((old, new),) = lose(feed, lost.source)
    assert (len(old.hops), new.hops) == (2, (Hop(OTHER),))


def test_nothing_moves_before_its_time_where_a_prefix_loses_its_only_path() -> None:
    feed, lost = Feed(), from_gateway(1, local_pref=200)
    feed.announce(lost, "10.1.0.0/26", "10.2.0.0/26")
    feed.announce(from_gateway(2), "10.1.0.0/26")
    assert not lose(feed, lost.source)
    assert [target.hops for target in feed.routes().values()] == [(Hop(OTHER),)]


def test_prefixes_that_part_are_not_foreseen() -> None:
    feed, lost = Feed(), from_gateway(1, local_pref=200)
    feed.announce(lost, "10.1.0.0/26", "10.2.0.0/26")
    feed.announce(from_gateway(2), "10.1.0.0/26")
    feed.announce(from_gateway(3), "10.2.0.0/26")
    assert not lose(feed, lost.source)
    hops = [target.hops for target in feed.routes().values()]
    assert hops == [(Hop(OTHER),), (Hop(THIRD),)]


def test_one_way_out_does_not_become_several_by_one_message() -> None:
    feed, lost = Feed(), from_gateway(1, local_pref=200)
    for path in (lost, from_gateway(2), from_gateway(3)):
        feed.announce(path, "10.1.0.0/26")
    assert not lose(feed, lost.source)
    (target,) = feed.routes().values()
    assert len(target.hops) == 2


def test_a_policy_that_divides_prefixes_is_asked_about_each() -> None:
    feed, lost = Feed(), from_gateway(1, local_pref=200)
    follow(feed, kernel_policy(TUNNEL))
    for path in (lost, from_gateway(2)):
        feed.announce(path, "10.1.0.0/26")
    assert not lose(feed, lost.source)


def test_what_an_earlier_run_left_is_not_moved() -> None:
    feed, lost = Feed(), from_gateway(1, local_pref=200)
    feed.table.found = {*nlris("10.9.0.0/26")}
    feed.feed.hold()
    for path in (lost, from_gateway(2)):
        feed.announce(path, "10.1.0.0/26")
    assert not lose(feed, lost.source)
    (target,) = feed.routes().values()
    assert target.hops == (Hop(OTHER),)


def test_a_next_hop_out_of_reach_is_foreseen_too() -> None:
    feed, lost = Feed(), from_gateway(1, local_pref=200)
    for path in (lost, from_gateway(2)):
        feed.announce(path, "10.1.0.0/26", "10.2.0.0/26")
    lost.next_hop.is_reachable = False
    feed.loc_rib.forget_decisions()
    after = feed.loc_rib.predict_decisions({lost.next_hop})
    assert after is not None
    feed.feed.predict(after)
    assert len(feed.table.moves) == 1
    predicted = feed.routes()
    feed.feed.changed(feed.loc_rib.decide_again([*feed.loc_rib.table]))
    assert feed.routes() == predicted


def test_a_table_of_many_entries_is_not_looked_through() -> None:
    feed, lost = Feed(), from_gateway(1)
    for number in range(1025):
        path = a_path(some_attributes(med=number), source=lost.source)
        feed.announce(path, f"10.{number >> 8}.{number & 255}.0/24")
    assert feed.loc_rib.predict_sweep(lost.source) is None


def test_ways_to_next_hops_that_are_gone_are_forgotten_and_their_paths_too() -> None:
    feed, source = Feed(), a_source()

    class NextHopTracker(TrustingResolver):
        def release(self, key: bytes) -> None:  # as ``NextHopTracker.release``
            del feed.ways[key]

    hops = NextHopTable(NextHopTracker())
    addresses = [bytes((10, 9, number, 1)) for number in range(1, 201)]
    for number, address in enumerate(addresses, 1):
        feed.ways[address] = way(address, Hop(address, "eth0"))
        attributes = some_attributes(next_hop=f"10.9.{number}.1")
        path = Path(source, attributes, hops.get(attributes.next_hop))
        feed.announce(path, "10.1.0.0/16")
    for _ in range(2):  # of two ages
        for _ in feed.loc_rib.age():
            pass
        for _ in feed.feed.look_after():
            pass
        hops.forget_unused()
    for _ in feed.feed.look_after():
        pass
    assert len(hops) == len(feed.ways) == 1
    assert len(feed.feed._target_keys) == 1
    # What is in use is known as before: it moves as a whole.
    feed.reach(way(addresses[-1], Hop(address, "eth1")))
    assert feed.table.moves
    assert set(feed.routes().values()) == {
        Target(TargetKind.UNICAST, (Hop(addresses[-1], "eth1"),))
    }


def test_unwatched_link_local_next_hops_lead_out_of_their_own_link() -> None:
    feed = Feed()
    link_local, own_address = parse_address("fe80::1"), parse_address("2001:db8::1")
    for number, (field, zone, hop) in enumerate(
        (
            (link_local, "eth0", Hop(link_local, "eth0")),
            (link_local, "eth1", Hop(link_local, "eth1")),
            (own_address + link_local, "eth0", Hop(own_address)),
            (own_address, "eth0", Hop(own_address)),
            (link_local, "", Hop(link_local)),
        )
    ):
        prefix = f"10.{number}.0.0/16"
        attributes = make_attributes(next_hop=field, local_pref=100)
        path = Path(a_source(f"p{number}"), attributes, HOPS.get(field, zone))
        feed.announce(path, prefix)
        assert feed.routes()[nlris(prefix)[0]].hops == (hop,)


def test_one_link_s_next_hop_moves_alone() -> None:
    feed, gateway = Feed(), parse_address("fe80::1")
    one, other = HOPS.get(gateway, "eth0"), HOPS.get(gateway, "eth1")
    feed.reach(way(one.key, Hop(gateway, "eth0")), way(other.key, Hop(gateway, "eth1")))
    attributes = make_attributes(next_hop=gateway, local_pref=100)
    for prefix, hop in (("10.1.0.0/16", one), ("10.2.0.0/16", other)):
        feed.announce(Path(a_source(prefix), attributes, hop), prefix)
    first, second = nlris("10.1.0.0/16", "10.2.0.0/16")
    feed.reach(way(one.key, Hop(gateway, "eth9")))
    assert feed.routes()[first].hops == (Hop(gateway, "eth9"),)
    assert feed.routes()[second].hops == (Hop(gateway, "eth1"),)


HOPS = NextHopTable()
