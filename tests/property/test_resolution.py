"""Laws of next hops that lead to one another, over generated routing tables."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fib.next_hop_state import NextHopState
from fib.next_hop_watch import NextHopWatch
from fib.resolution import OwnRoute, Resolver, Step
from fib.routes import Hop
from rib.family import AFI_IPV4
from rib.nlri import Nlri, make_nlri
from tests.support.grounds import BLACKHOLE, ETH0, ETH1, Ground

# Few addresses that share prefixes of several lengths: loops and chains are common.
ADDRESSES = [bytes((10, high, 0, low)) for high in (0, 1, 128) for low in (1, 2, 129)]
LENGTHS = (0, 8, 9, 16, 24, 25, 32)
PLACES = sorted({make_nlri(a, bits) for a in ADDRESSES for bits in LENGTHS})

MOST_ASKED = 400

address = st.sampled_from(ADDRESSES)
place = st.sampled_from(PLACES)
groups = st.lists(st.lists(address, min_size=1, max_size=2), max_size=2)
own_route = st.one_of(
    st.none(),
    st.builds(
        lambda metric, groups, barred: OwnRoute(
            metric,
            not groups and not barred,
            tuple([Step(a) for a in group] for group in groups),
            [Step(a) for a in barred],
        ),
        st.sampled_from((10, 30)),
        groups,
        st.lists(address, max_size=2),
    ),
)
foreign = st.tuples(place, st.sampled_from(("link", "router", "hole")))


def a_ground(routes: Sequence[tuple[Nlri, str]]) -> Ground:
    ground = Ground()
    for number, (nlri, kind) in enumerate(routes):
        text = f"{'.'.join(map(str, nlri[1:].ljust(4, bytes(1))))}/{nlri[0]}"
        device = (ETH0, ETH1)[number % 2]
        if kind == "hole":
            ground.foreign(text, kind=BLACKHOLE, metric=20)
        else:
            gateway = "" if kind == "link" else "192.0.2.1"
            ground.foreign(text, (gateway, device), metric=20)
    return ground


def plainly(
    ground: Ground, goal: bytes, asked: list[bytes], chain: tuple[bytes, ...] = ()
) -> set[Hop]:
    """Resolve as the rule is written, without remembering anything."""
    asked.append(goal)
    assume(len(asked) < MOST_ASKED)  # beyond that the resolver gives up
    for bits in range(32, -1, -1):
        nlri = make_nlri(goal, bits)
        theirs = ground.view.best(AFI_IPV4, nlri)
        mine = ground.own.find(AFI_IPV4, nlri)
        if mine is not None and (theirs is None or mine.metric < theirs.metric):
            if mine.is_discard:
                return set()
            for group in mine.groups:
                found = {
                    hop
                    for step in group
                    if step.address not in (*chain, goal)
                    for hop in plainly(ground, step.address, asked, (*chain, goal))
                }
                if found:
                    return found
        if theirs is not None:
            return {
                Hop(gateway or goal, ground.view.links.by_index[index].name)
                for gateway, index, _, _ in theirs.image[3]
            }
    return set()


def own_to(*groups: bytes, barred: bytes = b"") -> OwnRoute:
    """Return a route whose groups, of last octets two by two, lead to 10.HIGH.0.LOW."""
    steps = [
        [Step(bytes((10, *pair[:1], 0, *pair[1:]))) for pair in _pairs(group)]
        for group in groups
    ]
    return OwnRoute(
        10, False, tuple(steps), [Step(bytes((10, 0, 0, n))) for n in barred]
    )


def _pairs(octets: bytes) -> list[bytes]:
    return [octets[at : at + 2] for at in range(0, len(octets), 2)]


@given(
    st.lists(foreign, max_size=4, unique_by=lambda each: each[0]),
    st.dictionaries(place, own_route, max_size=6),
)
@example(  # what is barred once took all the looks
    [(b"\x19\n\x01\x00\x80", "link")],
    {
        b"\x00": own_to(b"\x00\x01", barred=b"\x02"),
        b"\x08\n": own_to(b"\x00\x01", barred=b"\x02"),
        b"\t\n\x00": own_to(b"\x01\x01\x01\x02", barred=b"\x01"),
        b"\x10\n\x80": own_to(b"\x00\x81\x01\x81"),
    },
)
def test_what_is_found_is_what_the_rule_says(routes, own) -> None:
    ground = a_ground(routes)
    table = {(AFI_IPV4, n): route for n, route in own.items() if route is not None}
    ground.own.table = table
    resolver = Resolver(ground.view, ground.own, uses_default=True)
    for goal in ADDRESSES:
        found = resolver.resolve(goal)
        assert {*found.hops} == plainly(ground, goal, [])
        assert len({*found.hops}) == len(found.hops)
        for afi, nlri in found.through:
            assert (afi, nlri) in table


def states_of(ground: Ground) -> Iterator[NextHopState]:
    fresh = NextHopWatch(ground.view, lambda _: None, ground.own)
    for goal in ADDRESSES:
        yield fresh.watch(goal)
    fresh.close()


@pytest.mark.slow
@given(
    st.lists(foreign, max_size=3, unique_by=lambda each: each[0]),
    st.lists(st.dictionaries(place, own_route, max_size=3), min_size=1, max_size=8),
)
def test_a_watch_knows_what_a_fresh_resolution_finds(routes, steps) -> None:
    """Whatever changes, the watch examines again all that could have changed."""
    ground = a_ground(routes)
    told: dict[bytes, NextHopState] = {}
    watch = NextHopWatch(
        ground.view, lambda news: told.update({s.address: s for s in news}), ground.own
    )
    for goal in ADDRESSES:
        told[goal] = watch.watch(goal)
    for changes in steps:
        for nlri, route in changes.items():
            if route is None:
                ground.own.table.pop((AFI_IPV4, nlri), None)
            else:
                ground.own.table[AFI_IPV4, nlri] = route
        watch.note(AFI_IPV4, [*changes])
        for _ in watch.look_again():
            pass
        assert [told[goal] for goal in ADDRESSES] == [*states_of(ground)]
    watch.close()
    assert not watch._asking
    assert not watch._looked_at
    assert all(not interest._inside for interest in watch.interest.values())
