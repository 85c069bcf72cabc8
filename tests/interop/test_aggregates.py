"""Aggregates and a default towards another AS: ours beside FRR with its words for them."""

import pytest

from bgpd.lab.routers.frr import Frr
from tests.support.routers import (
    a_lab,
    eventually,
    has_none_of,
    has_routes,
    maker,
    needs,
    shown_peers,
)

LAB = """
nodes:
  m:
    addresses: [10.0.0.1/24]
    router:
      kind: {kind}
      as: 65000
      fib: false
      neighbours: [{{node: from}}, {{node: to}}]
      config:
        bgp: {{defaults: {{default_originate: true}}}}
        routes:
          originate: [{{prefix: 172.16.0.0/12, aggregate: on, summary_only: on}}]
  from:
    addresses: [10.0.0.2/24]
    router:
      {{kind: pybgpd, as: 65001, fib: false, originate: [172.16.1.0/24, 172.32.0.0/24],
        neighbours: [{{node: m}}]}}
  to:
    addresses: [10.0.0.3/24]
    router: {{kind: pybgpd, as: 65003, fib: false, neighbours: [{{node: m}}]}}
"""


@needs("frr")
@pytest.mark.parametrize("kind", [maker("frr"), "pybgpd"])
def test_a_summary_stands_for_what_is_inside(kind: str) -> None:
    with a_lab(LAB.format(kind=kind)) as lab:
        m, origin, to = (lab.routers[name] for name in ("m", "from", "to"))
        if isinstance(m, Frr):
            line = "aggregate-address 172.16.0.0/12 summary-only"
            default = "neighbor 10.0.0.3 default-originate"
            m.configure("address-family ipv4 unicast", line, default)
        assert eventually(lambda: has_routes(to, "172.16.0.0/12", "172.32.0.0/24"), 20)
        assert eventually(lambda: has_none_of(to, "172.16.1.0/24"))
        assert eventually(lambda: has_routes(to, "0.0.0.0/0"))
        for prefix in ("172.16.0.0/12", "0.0.0.0/0"):
            (route,) = to.routes()[prefix]
            assert (route.as_path, route.next_hop) == ((65000,), "10.0.0.1")
        (row,) = to.ask("show-route", prefix="172.16.0.0/12")  # type: ignore[attr-defined]
        attributes = row["paths"][0]["attributes"]
        assert attributes["atomic_aggregate"] is True
        assert attributes["aggregator"].startswith("65000 ")
        origin.withdraw("172.16.1.0/24")
        assert eventually(lambda: has_none_of(to, "172.16.0.0/12"), 20)
        assert has_routes(to, "172.32.0.0/24")
        assert all(row["flaps"] == 0 for row in shown_peers(to))


CONDITION = """
nodes:
  m:
    addresses: [10.0.0.1/24]
    router:
      kind: {kind}
      as: 65000
      fib: false
      neighbours: [{{node: from}}, {{node: to}}]
      config:
        bgp:
          defaults:
            default_originate: true
            default_originate_when: [172.16.1.0/24]
            default_originate_policy: of-defaults
        policies:
          of-defaults: {{terms: [{{set: {{med: 50}}, action: accept}}]}}
  from:
    addresses: [10.0.0.2/24]
    router:
      {{kind: pybgpd, as: 65001, fib: false, originate: [172.32.0.0/24],
        neighbours: [{{node: m}}]}}
  to:
    addresses: [10.0.0.3/24]
    router: {{kind: pybgpd, as: 65003, fib: false, neighbours: [{{node: m}}]}}
"""
FRR_CONDITION = """
ip prefix-list GROUND permit 172.16.1.0/24
route-map DEFAULT permit 10
 match ip address prefix-list GROUND
 set metric 50
router bgp 65000
 address-family ipv4 unicast
  neighbor 10.0.0.3 default-originate route-map DEFAULT
"""


@needs("frr")
@pytest.mark.parametrize("kind", [maker("frr"), "pybgpd"])
def test_a_default_is_advertised_to_one_peer_while_its_condition_holds(
    kind: str,
) -> None:
    with a_lab(CONDITION.format(kind=kind)) as lab:
        m, origin, to = (lab.routers[name] for name in ("m", "from", "to"))
        if isinstance(m, Frr):
            m.configure("exit", *FRR_CONDITION.strip().splitlines())
        assert eventually(lambda: has_routes(to, "172.32.0.0/24"), 30)
        assert has_none_of(to, "0.0.0.0/0")
        origin.originate("172.16.1.0/24")
        assert eventually(lambda: has_routes(to, "0.0.0.0/0"), 30)
        (route,) = to.routes()["0.0.0.0/0"]
        assert (route.as_path, route.med) == ((65000,), 50)
        origin.withdraw("172.16.1.0/24")
        assert eventually(lambda: has_none_of(to, "0.0.0.0/0"), 30)
        assert has_routes(to, "172.32.0.0/24")
        assert all(row["flaps"] == 0 for row in shown_peers(to))
