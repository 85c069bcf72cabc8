"""The reflector that is the edge, too: ours beside BIRD and FRR with the same words."""

import pytest

from tests.support.routers import a_lab, eventually, has_routes, maker, needs

LAB = """
nodes:
  rr:
    addresses: [10.0.0.1/24]
    router:
      {{kind: {kind}, as: 65001, cluster_id: 9.9.9.9, fib: false,
        neighbours: [
          {{node: one, client: true, next_hop_self: true}},
          {{node: two, client: true, next_hop_self: true}},
          {{node: gw}}]}}
  one:
    addresses: [10.0.0.2/24]
    router:
      {{kind: pybgpd, as: 65001, fib: false, originate: [10.2.0.0/24],
        neighbours: [{{node: rr}}]}}
  two:
    addresses: [10.0.0.3/24]
    router:
      {{kind: pybgpd, as: 65001, fib: false, neighbours: [{{node: rr}}]}}
gateways:
  gw:
    addresses: [10.0.0.4/24]
    router:
      {{kind: pybgpd, as: 65004, fib: false, originate: [10.4.0.0/24],
        neighbours: [{{node: rr}}]}}
"""


@needs("bird")
@needs("frr")
@pytest.mark.parametrize("kind", [maker("bird"), maker("frr"), "pybgpd"])
def test_clients_get_the_edge_for_external_routes_and_each_other(kind):
    with a_lab(LAB.format(kind=kind)) as lab:
        two = lab.routers["two"]
        assert eventually(lambda: has_routes(two, "10.2.0.0/24", "10.4.0.0/24"))
        routes = two.routes()
        assert [route.next_hop for route in routes["10.2.0.0/24"]] == ["10.0.0.2"]
        assert [route.next_hop for route in routes["10.4.0.0/24"]] == ["10.0.0.1"]
