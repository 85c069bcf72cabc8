"""Neighbours by the class of their AS: who of BIRD and FRR may come, and who may not."""

from tests.support.routers import a_lab, eventually, needs, shown_peer, shown_peers

LAB = """
nodes:
  m:
    addresses: [10.0.0.1/24]
    router:
      kind: pybgpd
      as: 65000
      fib: false
      neighbours: [{node: outside}]
      config:
        bgp: {defaults: {import_policy: accept-all, export_policy: accept-all}}
        peers: [{address: 10.0.0.2, as: external, connect_retry_time: 1}]
        ranges: [{prefix: 10.0.0.0/24, as: [65003, 65010-65019]}]
  outside:
    addresses: [10.0.0.2/24]
    router: {kind: frr, as: 65002, fib: false, neighbours: [{node: m}]}
  listed:
    addresses: [10.0.0.3/24]
    router: {kind: bird, as: 65015, fib: false, neighbours: [{node: m}]}
  unlisted:
    addresses: [10.0.0.4/24]
    router: {kind: bird, as: 65020, fib: false, neighbours: [{node: m}]}
"""


@needs("frr")
@needs("bird")
def test_only_peers_of_the_configured_ases_connect():
    with a_lab(LAB) as lab:
        m = lab.routers["m"]

        def states() -> dict[str, str]:
            return {row["address"]: row["state"] for row in shown_peers(m)}

        wanted = {"10.0.0.2": "Established", "10.0.0.3": "Established"}
        assert eventually(lambda: states().items() >= wanted.items(), 20), states()
        refused = "configured is AS 65003, 65010-65019"
        assert eventually(lambda: refused in m.log_tail(100), 20)
        assert states().get("10.0.0.4") != "Established"
        row = shown_peer(m, "10.0.0.2")
        assert (row["remote_as"], row["accepted_as"]) == (65002, "external")
