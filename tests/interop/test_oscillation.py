"""RFC 3345 with daemons: two reflectors that never agree, ours and BIRD.

Ours is Ra of the topology in ``tests.support.oscillation``, BIRD is Rd.
"""

from typing import Any

from bgpd.lab.routers.bird import Bird
from bgpd.lab.speaker import NeighbourSpec
from reflector.pacing import FREE
from tests.support.routers import a_lab, eventually, needs, shown_peer

pytestmark = needs("bird")

REFLECTOR = """
  ra:
    addresses: [10.0.0.1/24]
    router:
      kind: pybgpd
      as: 65001
      fib: false
      neighbours: [{node: rd}, {node: b, client: true}, {node: c, client: true}]
      config: {bgp: {advertisement_interval: %d}}
  rd:
    addresses: [10.0.0.2/24]
    router:
      {kind: bird, as: 65001, fib: false, cluster_id: 9.9.9.9,
        neighbours: [{node: ra}, {node: e, client: true}]}
"""
CLIENT = """
  {name}:
    addresses: [10.0.0.1{number}/24]
    router:
      kind: pybgpd
      as: 65001
      fib: false
      neighbours: [{{node: {reflector}}}]
      config:
        routes: {{originate: [{{prefix: 192.168.0.0/16, med: {med}, next_hop: 10.9.0.{number}}}]}}
        policies: {{out: {{terms: [{{set: {{prepend: {as_path}}}, action: accept}}]}}}}
        bgp: {{defaults: {{export_policy: out}}}}
        next_hops: {{resolve: trust}}
"""
CLIENTS = (
    ("b", 1, "ra", "[10, 100]", 10),
    ("c", 2, "ra", "[6, 100]", 1),
    ("e", 3, "rd", "[6, 100]", 0),
)
COSTS_OF_RA, COSTS_OF_RD = (5, 4, 13), (6, 5, 12)


def _distances(_router: Bird) -> list[str]:
    """Give BIRD an interior cost to each next hop."""
    routes = " ".join(
        f"route 10.9.0.{number}/32 via 10.0.0.1{number} {{ igp_metric = {cost}; }};"
        for number, cost in enumerate(COSTS_OF_RD, start=1)
    )
    return [f"protocol static distances {{ ipv4; {routes} }}"]


_plain_peer = Bird._peer


def _peer(router: Bird, index: int, neighbour: NeighbourSpec) -> str:
    """Let BIRD compare MED as RFC 4271 has it, and keep its static routes to itself."""
    text = _plain_peer(router, index, neighbour).replace(", RTS_STATIC", "")
    return text.replace("hold time", "deterministic med on; hold time", 1)


def lab_text(interval: int) -> str:
    clients = (
        CLIENT.format(name=n, number=i, reflector=r, as_path=path, med=med)
        for n, i, r, path, med in CLIENTS
    )
    return "nodes:" + REFLECTOR % interval + "".join(clients)


def exchanged(ours: Any) -> int:
    row = shown_peer(ours, "10.0.0.2")
    return int(row["messages"]["update"]["received"])


def test_bird_and_ours_exchange_a_prefix_at_a_pace_and_the_log_says_why(
    monkeypatch,
) -> None:
    monkeypatch.setattr(Bird, "_gateway", _distances)
    monkeypatch.setattr(Bird, "_peer", _peer)
    with a_lab(lab_text(1)) as lab:
        ours = lab.routers["ra"]
        for number, cost in enumerate(COSTS_OF_RA, start=1):
            lab.namespace("ra").run(
                f"ip route add 10.9.0.{number} via 10.0.0.1{number} metric {cost}".split()
            )
        assert eventually(lambda: "keeps changing" in ours.log_tail(50), 60)
        assert "MED oscillation (RFC 3345)" in ours.log_tail(50)
        assert exchanged(ours) < FREE + 60
