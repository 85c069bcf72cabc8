"""Reflectors of reflectors: ours is a client of another maker's, with clients of its own."""

import pytest

from tests.support.routers import (
    REFLECTING_MAKERS,
    a_lab,
    eventually,
    has_none_of,
    has_routes,
    needs,
    shown_peers,
)

LAB = """
nodes:
  leaf:
    addresses: [10.0.0.1/24]
    router:
      {{kind: bird, as: 65001, fib: false, originate: [10.1.0.0/24],
        neighbours: [{{node: ours}}]}}
  ours:
    addresses: [10.0.0.2/24]
    router:
      {{kind: pybgpd, as: 65001, fib: false, cluster_id: {ours}, originate: [10.2.0.0/24],
        neighbours: [{{node: leaf, client: true}}, {{node: theirs}}]}}
  theirs:
    addresses: [10.0.0.3/24]
    router:
      {{kind: {kind}, as: 65001, fib: false, cluster_id: {theirs},
        neighbours: [{{node: ours, client: true}}, {{node: far, client: true}}]}}
  far:
    addresses: [10.0.0.4/24]
    router:
      {{kind: pybgpd, as: 65001, fib: false, originate: [10.4.0.0/24],
        neighbours: [{{node: theirs}}]}}
"""

pytestmark = needs("bird")


@pytest.mark.parametrize("kind", REFLECTING_MAKERS)
def test_cluster_lists_grow_on_the_way(kind):
    text = LAB.format(kind=kind, ours="2.2.2.2", theirs="3.3.3.3")
    with a_lab(text) as lab:
        leaf, theirs, far = (lab.routers[name] for name in ("leaf", "theirs", "far"))
        assert eventually(lambda: has_routes(far, "10.1.0.0/24", "10.2.0.0/24"))
        assert eventually(lambda: has_routes(leaf, "10.4.0.0/24", "10.2.0.0/24"))

        if kind != "openbgpd":  # which shows routes as it would pass them on
            (seen,) = theirs.routes()["10.1.0.0/24"]
            assert (seen.originator_id, seen.cluster_list) == ("10.0.0.1", ("2.2.2.2",))
            (seen,) = theirs.routes()["10.2.0.0/24"]
            assert (seen.originator_id, seen.cluster_list) == (None, ())
        (seen,) = far.routes()["10.1.0.0/24"]
        assert seen.originator_id == "10.0.0.1"
        assert seen.cluster_list == ("3.3.3.3", "2.2.2.2")
        assert seen.next_hop == "10.0.0.1"
        (seen,) = far.routes()["10.2.0.0/24"]
        assert (seen.originator_id, seen.cluster_list) == ("10.0.0.2", ("3.3.3.3",))
        (seen,) = leaf.routes()["10.4.0.0/24"]
        assert seen.originator_id == "10.0.0.4"
        assert seen.cluster_list == ("2.2.2.2", "3.3.3.3")


def test_a_route_that_was_in_our_cluster_is_filtered():
    text = LAB.format(kind="bird", ours="5.5.5.5", theirs="5.5.5.5")
    with a_lab(text) as lab:
        ours, leaf, theirs = (lab.routers[name] for name in ("ours", "leaf", "theirs"))
        assert eventually(lambda: has_routes(theirs, "10.4.0.0/24", "10.2.0.0/24"))
        assert eventually(lambda: has_routes(leaf, "10.2.0.0/24"))
        assert eventually(
            lambda: sorted(row["filtered"] for row in shown_peers(ours)) == [0, 1]
        )
        assert has_none_of(ours, "10.4.0.0/24")
        assert has_none_of(leaf, "10.4.0.0/24")
