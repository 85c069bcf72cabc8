"""A session without capabilities (RFC 5492), as with routers that are configured to offer none."""

import pytest

from bgpd.lab.routers.frr import Frr
from tests.support.routers import a_lab, eventually, has_routes, maker, shown_peer

LAB = """
nodes:
  one:
    addresses: [10.0.0.1/24]
    router:
      kind: pybgpd
      as: 65001
      fib: false
      originate: [10.1.0.0/24]
      neighbours: [{{node: gw}}]
      config:
        peers:
          - {{address: 10.0.0.2, as: 65002, disable_capabilities: [all],
             import_policy: accept-all, export_policy: accept-all}}
  gw:
    addresses: [10.0.0.2/24]
    router:
      {{kind: {kind}, as: 65002, fib: false, originate: [10.2.0.0/24],
        graceful_restart: false, neighbours: [{{node: one}}]}}
"""


@pytest.mark.parametrize("kind", [maker(kind) for kind in ("bird", "frr", "gobgp")])
def test_routes_go_both_ways_without_capabilities(kind: str) -> None:
    with a_lab(LAB.format(kind=kind)) as lab:
        one, gw = lab.routers["one"], lab.routers["gw"]
        if isinstance(gw, Frr):
            gw.configure("neighbor 10.0.0.1 dont-capability-negotiate")
        assert eventually(lambda: has_routes(one, "10.2.0.0/24"), 20)
        assert eventually(lambda: has_routes(gw, "10.1.0.0/24"), 20)
        row = shown_peer(one, "10.0.0.2")
        assert row["state"] == "Established"
