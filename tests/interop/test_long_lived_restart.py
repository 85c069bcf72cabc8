"""RFC 9494 with other makers: a router that is away for longer than its restart time."""

from typing import Any

import pytest

from bgpd.lab.routers.base import Router
from tests.support.routers import (
    a_lab,
    eventually,
    has_routes,
    maker,
    shown_peers,
)

LAB = """
nodes:
  ours:
    addresses: [10.0.0.1/24]
    router:
      {{kind: pybgpd, as: 65001, long_lived_stale_time: 600,
        neighbours: [{{node: theirs}}],
        config: {{graceful_restart: {{stale_path_time: 2}}}}}}
  theirs:
    addresses: [10.0.0.2/24]
    router:
      {{kind: {kind}, as: 65001, originate: [10.2.0.0/24, 10.2.1.0/24], fib: false,
        preserving: true, restart_time: 2, long_lived_stale_time: 600,
        neighbours: [{{node: ours}}]}}
"""
OTHERS = [maker(kind) for kind in ("bird", "frr")]
GONE, STAYS = "10.2.0.0/24", "10.2.1.0/24"


def family(router: Router) -> dict[str, Any]:
    [row] = shown_peers(router)
    found: dict[str, Any] = row["families"][0]
    return found


@pytest.mark.parametrize("kind", OTHERS)
def test_its_routes_stay_until_it_has_advertised_them_again(kind) -> None:
    with a_lab(LAB.format(kind=kind)) as lab:
        ours, theirs = lab.routers["ours"], lab.routers["theirs"]
        assert eventually(lambda: has_routes(ours, GONE, STAYS), 30)
        assert eventually(lambda: family(ours)["end_of_rib_received"], 30)
        theirs.kill()
        assert eventually(lambda: family(ours)["stale_phase"] == "long-lived", 30)
        # Longer than what the first phase and its bound have in all.
        assert eventually(lambda: family(ours)["stale_time_left"] < 595, 30)
        assert family(ours)["stale"] == 2
        assert "10.2.0.0/24" in lab.namespace("ours").run(["ip", "route"])
        theirs.originated.remove(GONE)
        theirs.start()
        assert eventually(lambda: family(ours)["is_negotiated"], 60)
        assert has_routes(ours, STAYS)
        assert eventually(lambda: not has_routes(ours, GONE), 60)
        assert eventually(lambda: family(ours)["stale_phase"] is None, 30)
        assert has_routes(ours, STAYS)
