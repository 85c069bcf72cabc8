"""Filters and counts of routes: the same as looking through all of them."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpd.api.protocol import ControlError
from bgpd.show.commands import handlers
from rib.policy import Match, Operator, Outcome, PolicySpec, Term, prefix_match
from tests.support.cases import cases
from tests.support.world import World

Row = dict[str, Any]


def fill(world: World) -> None:
    """Three peers; paths that differ in each attribute; refused, stale, unreachable ones."""
    no_private = Term(
        "no-private",
        Outcome.REJECT,
        Match(prefixes=prefix_match(Operator.IN, "192.168.0.0/16")),
    )
    rest = Term("rest", Outcome.ACCEPT)
    world.speaker.policies.replace([PolicySpec("clean", (no_private, rest))])
    one = world.up("one", "192.0.2.1", is_client=True)
    two = world.up("two", "192.0.2.2", is_client=True)
    out = world.up("out", "198.51.100.1", 65001, import_policy="clean")
    world.announce(one, "10.1.0.0/16", "10.2.0.0/16", communities=(0xFDE80001,))
    world.announce(
        two,
        "10.2.0.0/16",
        "10.3.0.0/24",
        local_pref=50,
        communities=(0xFDE80001, 0xFDE90007),
        large_communities=((65000, 1, 2),),
        next_hop="203.0.113.7",
    )
    world.announce(out, "10.4.0.0/16", "192.168.1.0/24", as_path="65001 65002 65010")
    world.announce(out, "10.5.0.0/16", as_path="65001 64512")
    world.announce(out, "10.6.0.0/16", as_path="65001 65003", next_hop="198.51.100.1")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    fill(made)
    yield made
    made.close()


def shown(world: World, **arguments: Any) -> list[tuple[str, str]]:
    return [
        (row["prefix"], row["peer"]) for row in world.ask("show-routes", **arguments)
    ]


ALL = {"state": ["selected", "filtered"]}


@cases(
    ("arguments", "prefixes"),
    [
        ({"community": "65001:7"}, ["10.2.0.0/16", "10.3.0.0/24"]),
        ({"community": ["65000:1", "65001:*"]}, ["10.2.0.0/16", "10.3.0.0/24"]),
        ({"community": "65001:8-99"}, []),
        ({"large_community": "65000:*:2"}, ["10.2.0.0/16", "10.3.0.0/24"]),
        ({"ext_community": "rt:65000:1"}, []),
        ({"as_path": "_65002_"}, ["10.4.0.0/16"]),
        ({"as_path": "^65001 65003$"}, ["10.6.0.0/16"]),
        ({"origin_as": "65010"}, ["10.4.0.0/16"]),
        ({"origin_as": ["65010", "0.65003"]}, ["10.4.0.0/16", "10.6.0.0/16"]),
        ({"next_hop": "203.0.113.7"}, ["10.2.0.0/16", "10.3.0.0/24"]),
        ({"next_hop": "203.0.113.0/24"}, ["10.2.0.0/16", "10.3.0.0/24"]),
        ({"peer": ["one", "out"], "as_path": "65003"}, ["10.6.0.0/16"]),
        ({"state": "filtered"}, ["10.5.0.0/16", "192.168.1.0/24"]),
        ({"state": "filtered", "received_from": "one"}, []),
        ({"state": "filtered", "as_path": "64512"}, ["10.5.0.0/16"]),
        (
            {"received_from": ["out"], "origin_as": "65010"},
            ["10.4.0.0/16", "192.168.1.0/24"],
        ),
        ({"state": "selected", "peer": "two"}, ["10.3.0.0/24"]),
        ({"state": "stale"}, []),
        ({"state": "unreachable"}, []),
        ({"state": "multipath"}, []),
        ({"advertised_to": "one", "next_hop": "203.0.113.7"}, ["10.3.0.0/24"]),
        ({"advertised_to": "one", "community": "65001:7"}, ["10.3.0.0/24"]),
        (
            {"prefix": "10.0.0.0/8", "longer": True, "origin_as": "65010"},
            ["10.4.0.0/16"],
        ),
    ],
)
def test_filters_leave_what_has_all_of_them(world, arguments, prefixes):
    assert [prefix for prefix, _ in shown(world, **arguments)] == prefixes


def test_filtered_routes_of_all_peers_name_theirs(world):
    rows = world.ask("show-routes", state=["filtered"])
    assert {(row["prefix"], row["peer"]) for row in rows} == {
        ("10.5.0.0/16", "out"),
        ("192.168.1.0/24", "out"),
    }
    assert all(row["is_filtered"] and row["reason"] for row in rows)


def test_routes_of_several_peers_stand_together_in_order(world):
    assert shown(world, peer=["one", "two"]) == [
        ("10.1.0.0/16", "one"),
        ("10.2.0.0/16", "one"),
        ("10.2.0.0/16", "two"),
        ("10.3.0.0/24", "two"),
    ]


def test_what_peers_receive_names_the_receiver(world):
    rows = world.ask("show-routes", advertised_to=["one", "two"])
    assert {row["advertised_to"] for row in rows} == {"one", "two"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"community": "65000"}, "community: '65000' is not a community"),
        ({"community": "65000:9-1"}, "the range 9-1 is empty"),
        ({"large_community": "1:2"}, "large_community"),
        ({"origin_as": "x"}, "origin_as: 'x' is not an AS number"),
        ({"next_hop": "here"}, "next_hop"),
        ({"as_path": "(65001"}, "AS path expression '(65001'"),
        ({"state": "odd"}, "cannot be 'odd'"),
        ({"peer": "one", "received_from": "two"}, "only one of these arguments"),
        ({"advertised_to": "one", "state": "stale"}, "can only be selected"),
        ({"peer": "noe"}, "there is no peer 'noe'"),
    ],
)
def test_a_condition_that_cannot_be_is_an_error(world, arguments, text):
    with pytest.raises(ControlError, match=re.escape(text)):
        world.ask("show-routes", **arguments)


def test_the_nearest_names_of_peers_come_first(world):
    with pytest.raises(ControlError) as told:
        world.ask("show-routes", peer=["tow"])
    assert told.value.expected[0] == "two"


def test_counts_are_those_of_the_families(world):
    counts = world.ask("count-routes")
    assert counts[0] == {
        "family": "ipv4-unicast",
        "prefixes": 5,
        "routes": 6,
        "selected": 5,
    }


OF_VALUE: dict[str, Callable[[Row], list[str]]] = {
    "community": lambda row: row["attributes"].get("communities", []),
    "large-community": lambda row: row["attributes"].get("large_communities", []),
    "next-hop": lambda row: [row["attributes"]["next_hop"]],
    "peer": lambda row: [row["peer"]],
    "origin-as": lambda row: [(row["attributes"]["as_path"].split() or ["0"])[-1]],
}
some = st.sampled_from
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "community": st.lists(
            some(["65000:1", "65001:7", "65000:*", "1:1"]), max_size=2
        ),
        "large_community": some([["65000:1:2"], ["65000:*:*"]]),
        "as_path": some(["65001", "^$", "_65002_", "."]),
        "origin_as": st.lists(some(["65010", "65003", "0"]), max_size=2),
        "next_hop": st.lists(some(["203.0.113.7", "192.0.2.0/24"]), max_size=2),
        "state": st.lists(
            some(["selected", "filtered", "stale"]), max_size=2, unique=True
        ),
        "prefix": some(["10.0.0.0/8", "10.2.0.0/15", "0.0.0.0/0"]),
        "longer": st.just(value=True),
    },
).filter(lambda found: "longer" not in found or "prefix" in found)
SIDES = st.one_of(
    st.just({}),
    *(
        st.fixed_dictionaries(
            {name: st.lists(some(["one", "two", "out"]), min_size=1, unique=True)}
        )
        for name in ("peer", "received_from")
    ),
)


@given(FILTERS, SIDES, some(sorted(OF_VALUE)))
def test_counts_are_those_of_the_rows_that_would_be_shown(world, filters, sides, by):
    rows = world.ask("show-routes", family="ipv4", **filters, **sides)
    (total,) = world.ask("count-routes", family="ipv4", **filters, **sides)
    values = world.ask("count-routes", family="ipv4", by=by, **filters, **sides)
    assert total["routes"] == len(rows)
    assert total["selected"] == sum(row["is_best"] for row in rows)
    assert total["prefixes"] == len({row["prefix"] for row in rows})
    expected = Counter(value for row in rows for value in OF_VALUE[by](row))
    assert {row["value"]: row["routes"] for row in values} == dict(expected)
    assert [row["routes"] for row in values] == sorted(expected.values(), reverse=True)


def test_no_step_takes_more_than_a_slice_of_a_large_table():
    made = World()
    try:
        peer = made.up("big", "192.0.2.1", is_client=True)
        for number in range(40):
            prefixes = [f"10.{number}.{n}.0/24" for n in range(100)]
            made.announce(peer, *prefixes, communities=(number,))
        answer = handlers(made.view)
        for command in ("show-routes", "count-routes"):
            steps = iter(answer[command]({"community": ["0:7"]}))  # type: ignore[arg-type]  # rows
            found = list(steps)
            assert found.count(None) >= 4000 // 256
            assert any(found)
    finally:
        made.close()
