"""A pair of reflectors is rolled over as the documentation says: no client loses a route.

The clients are of several makers, in a range, with the time between attempts to connect that
they are delivered with: they would be back by themselves after two minutes.
"""

import time
from functools import partial

import pytest

from bgpd.lab.routers.base import Router
from bgpd.lab.routers.pybgpd import PyBgpd
from tests.support.rollover import (
    REFLECTORS,
    fewest_paths,
    prefixes,
    topology,
    watching,
)
from tests.support.routers import a_lab, eventually, needs

pytestmark = [needs("bird"), needs("frr"), needs("openbgpd"), pytest.mark.timeout(180)]
KINDS = ("bird", "frr", "openbgpd")


def restarts(router: Router) -> int:
    """Return how many restarts are over by the router's log."""
    return router.log_path.read_text().count("restart completed")


def bring_up(clients: dict[str, Router]) -> None:
    """Have every session up soon, though most try again after two minutes only."""
    for router in clients.values():
        router.restart()  # now that we listen, their first attempt succeeds
    wanted = prefixes(*clients)
    for name, router in clients.items():
        others = [prefix for owner, prefix in wanted.items() if owner != name]
        assert eventually(partial(has_two_paths, router, others), 40), name


def has_two_paths(router: Router, wanted: list[str]) -> bool:
    return fewest_paths(router, wanted) == 2


def test_no_client_loses_a_route_while_the_pair_is_rolled_over():
    with a_lab(topology(*KINDS)) as lab:
        clients = {kind: lab.routers[kind] for kind in KINDS}
        bring_up(clients)
        seconds = {}
        with watching(clients, prefixes(*KINDS)) as seen:
            for name in REFLECTORS:
                reflector = lab.routers[name]
                assert isinstance(reflector, PyBgpd)
                time.sleep(2)  # who is up is written down within a second
                began = time.monotonic()
                assert restarts(reflector) == 0
                reflector.stop()
                reflector.start()
                assert eventually(partial(restarts, reflector), 60)
                seconds[name] = time.monotonic() - began
                states = reflector.sessions()
                assert all(state.is_established for state in states.values())
                assert len(states) == len(KINDS) + 1
        for (client, owner), sightings in seen.items():
            assert sightings.looks > 5, client
            assert sightings.gaps == [], f"{client} lost the route of {owner}"
        assert max(seconds.values()) < 60, seconds
