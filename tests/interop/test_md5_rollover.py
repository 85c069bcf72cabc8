"""MD5 keys are changed on both sides, in either order, beside routers of other makers.

Some end the session when their key changes, under the former one; others keep it. Whatever
they do, routes are back soon after the later change, with the time between attempts to
connect that the makers deliver.
"""

import time
from functools import partial

import pytest

from bgpd.lab.routers.base import Router
from tests.support.keys import change_key
from tests.support.routers import a_lab, eventually, has_routes, needs

pytestmark = pytest.mark.slow
BACK_TIME = 15.0  # seconds that a rotation may cost; twice as many on a busy machine
GAP = 0.5  # seconds between the changes of both sides

PEER = """
nodes:
  ours:
    addresses: [{ours}]
    router: {{kind: pybgpd, as: 65001, router_id: 10.0.0.1, fib: false,
              originate: [10.1.0.0/24],
              neighbours: [{{node: theirs, password: one}}]}}
  theirs:
    addresses: [{theirs}]
    router: {{kind: {kind}, as: 65001, router_id: 10.0.0.2, fib: false,
              connect_retry: 120, originate: [10.2.0.0/24],
              neighbours: [{{node: ours, password: one}}]}}
"""
RANGE = """
nodes:
  ours:
    addresses: [{ours}]
    router: {{kind: pybgpd, as: 65001, router_id: 10.0.0.1, fib: false,
              originate: [10.1.0.0/24], config: {{ranges: [
                {{name: all, prefix: 10.0.0.0/24, as: 65001, password: one}}]}}}}
  theirs:
    addresses: [{theirs}]
    router: {{kind: {kind}, as: 65001, router_id: 10.0.0.2, fib: false,
              connect_retry: 5, originate: [10.2.0.0/24],
              neighbours: [{{node: ours, password: one}}]}}
"""
CASES = [
    *(
        pytest.param(kind, PEER, marks=needs(kind), id=kind)
        for kind in ("bird", "bird3", "frr", "gobgp", "openbgpd", "pybgpd")
    ),
    *(
        pytest.param(kind, RANGE, marks=needs(kind), id=f"{kind} in a range")
        for kind in ("bird", "frr")
    ),
]
ADDRESSES = {"ours": "10.0.0.1/24", "theirs": "10.0.0.2/24"}


def have_each_others_routes(ours: Router, theirs: Router, numbers: range) -> bool:
    return has_routes(ours, *(f"10.2.{n}.0/24" for n in numbers)) and has_routes(
        theirs, *(f"10.1.{n}.0/24" for n in numbers)
    )


def rotate(key: str, number: int, first: Router, second: Router) -> None:
    """Change the key of both, and let both tell something new."""
    change_key(first, key)
    time.sleep(GAP)
    change_key(second, key)
    for router in (first, second):
        router.originate(
            f"{router.originated[0].removesuffix('.0.0/24')}.{number}.0/24"
        )


@pytest.mark.parametrize(("kind", "text"), CASES)
def test_routes_are_back_soon_after_both_keys_changed(kind: str, text: str) -> None:
    with a_lab(text.format(kind=kind, **ADDRESSES)) as lab:
        ours, theirs = lab.routers["ours"], lab.routers["theirs"]
        assert eventually(lambda: have_each_others_routes(ours, theirs, range(1)), 40)
        for number, pair in enumerate(((ours, theirs), (theirs, ours)), 1):
            rotate(f"key-{number}", number, *pair)
            is_back = partial(have_each_others_routes, ours, theirs, range(number + 1))
            assert eventually(is_back, 2 * BACK_TIME)
