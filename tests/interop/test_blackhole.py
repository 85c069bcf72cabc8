"""A customer asks for packets to an address under attack to be dropped (RFC 7999)."""

import json

from tests.support.routers import a_lab, eventually, has_routes, needs, our_daemon

LAB = """
nodes:
  edge:
    addresses: [10.0.0.1/24]
    router:
      kind: pybgpd
      as: 65001
      hold_time: 9
      neighbours: [{node: customer}, {node: inside}]
      config:
        peers:
          - {address: 10.0.0.2, as: 65001, hold_time: 9}
          - {address: 10.0.0.3, as: 65002, hold_time: 9, export_policy: accept-all,
             import_policy: customers}
        policies:
          customers:
            terms:
              - match:
                  communities: {all: [blackhole]}
                  prefixes: [{prefix: 10.9.0.0/16, ge: 32}]
                set: {next_hop: discard}
                action: accept
              - action: accept
  inside:
    addresses: [10.0.0.2/24]
    router: {kind: pybgpd, as: 65001, hold_time: 9, neighbours: [{node: edge}]}
gateways:
  customer:
    addresses: [10.0.0.3/24]
    router:
      {kind: gobgp, as: 65002, originate: [10.9.0.0/16], hold_time: 9,
       neighbours: [{node: edge}]}
"""
ATTACKED = "10.9.0.7"


@needs("gobgp")
def test_packets_for_what_a_peer_asks_to_blackhole_are_dropped_at_the_edge():
    with a_lab(LAB) as lab:
        edge, inside = lab.routers["edge"], our_daemon(lab, "inside")
        space = lab.namespace("edge")
        assert eventually(lambda: has_routes(inside, "10.9.0.0/16"))
        rib = ["gobgp", "global", "rib"]
        lab.namespace("customer").run(
            [*rib, "add", f"{ATTACKED}/32", "community", "65535:666"]
        )
        assert eventually(lambda: has_routes(edge, f"{ATTACKED}/32"))

        def kinds():
            shown = space.run(["ip", "-j", "route", "show", f"{ATTACKED}/32"])
            return [route.get("type") for route in json.loads(shown or "[]")]

        assert eventually(lambda: kinds() == ["blackhole"])
        lab.namespace("customer").run([*rib, "del", f"{ATTACKED}/32"])
        assert eventually(lambda: kinds() == [])
        # It was for this router alone.
        events = inside.ask("history", prefix=f"{ATTACKED}/32")
        assert {row["event"] for row in events} == {"journal-began"}
